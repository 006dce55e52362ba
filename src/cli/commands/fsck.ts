import { ExitCode } from '../../errors.ts';
import type { Finding, FsckReport } from '../../operations/fsck.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatBytes, formatNumberOf } from '../format-size.ts';
import { type Fields, pickFields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const FSCK_FIELDS: Fields<FsckReport> = ['ok', 'objectsChecked', 'bytesChecked', 'findings'];
export const FINDING_FIELDS: Fields<Finding> = ['severity', 'kind', 'subject', 'detail', 'refs'];

export const fsckCommand = (cli: CliContext) =>
  newCommand('fsck', {
    summary: 'check that everything is intact and complete',
    description: `Reads every object, stream, image and name, and checks each against everything that is said about it. Changes nothing.
      Ends with ${ExitCode.findings} when there are errors; warnings alone are fine.`,
    examples: [
      { command: 'cfs-ostree fsck', explanation: 'Check everything' },
      { command: 'cfs-ostree fsck --metadata-only', explanation: 'Quicker: without the contents of files' },
    ],
    output: 'report',
  })
    .option('--metadata-only', 'do not read the contents of files')
    .action(async ({ metadataOnly }: { metadataOnly?: boolean }) => {
      await using repo = await cli.openRepository({ tolerant: true });
      const { checkRepository } = await import('../../operations/fsck.ts');
      const { signal, progress } = cli;
      const report = await checkRepository(repo, { metadataOnly, signal, progress });
      if (!report.ok) cli.exitCode = ExitCode.findings; // warnings alone are fine
      const findings = report.findings.map((finding) => pickFields(finding, FINDING_FIELDS) as Finding);
      await cli.report({ ...report, findings }, FSCK_FIELDS, (done) => formatReport(cli, done));
    });

function formatReport(cli: CliContext, { ok, objectsChecked, bytesChecked, findings }: FsckReport): string {
  const lines = findings.map((finding) => formatFinding(cli, finding));
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const counts = [
    ...(errors > 0 ? [formatNumberOf(errors, 'error')] : []),
    ...(findings.length > errors ? [formatNumberOf(findings.length - errors, 'warning')] : []),
  ];
  const verdict = ok ? cli.paint('green', 'ok') : cli.paint('red', 'damaged');
  const checked = `${formatNumberOf(objectsChecked, 'object')} (${formatBytes(bytesChecked)}) checked`;
  return `${lines.join('')}${verdict}: ${[checked, ...counts].join(', ')}\n`;
}

function formatFinding({ paint }: CliContext, { severity, kind, subject, detail, refs }: Finding): string {
  const label = paint(severity === 'error' ? 'red' : 'yellow', severity);
  const concerned = refs.length === 0 ? '' : `  (needed by ${refs.map(shownText).join(', ')})`;
  return `${label} ${kind}: ${shownText(subject)}: ${shownText(detail)}${concerned}\n`;
}
