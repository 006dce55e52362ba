import { UsageError } from '../../errors.ts';
import type { ExportReport } from '../../operations/export.ts';
import type { ExportMode } from '../../operations/ostree-file-stager.ts';
import { choiceOption, newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatBytes, formatNumberOf } from '../format-size.ts';
import type { Fields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const EXPORT_FIELDS: Fields<ExportReport> = ['refs', 'written', 'present', 'bytesWritten'];

export const exportCommand = (cli: CliContext) =>
  newCommand('export', {
    summary: 'write commits to an ostree repository',
    description: `Writes commits with everything that belongs to them, signatures included, into an ostree repository, which is made
      where there is none. Any ostree client can pull from it; for HTTP it only needs a web server.`,
    examples: [
      { command: 'cfs-ostree export os/main ./exported', explanation: 'An archive repository to be served' },
      {
        command: 'cfs-ostree export os/main os/old ./exported-bare --mode bare-user',
        explanation: 'Two refs, for local use',
      },
    ],
    output: 'report',
  })
    .usage('[options] <ref...> <directory>')
    .argument('<ref-and-directory...>', 'refs or commits; last, where to write them')
    .addOption(
      choiceOption('--mode <mode>', 'how the repository keeps files; default: as it does, archive for a new one', [
        'archive',
        'bare',
        'bare-user',
        'bare-user-only',
      ]),
    )
    .action(async (words: string[], { mode }: { mode?: ExportMode }) => {
      const refs = words.slice(0, -1);
      const directory = words.at(-1) as string;
      if (refs.length === 0) throw new UsageError('name at least one ref, and the directory last');
      await using repo = await cli.openRepository();
      const { exportCommits } = await import('../../operations/export.ts');
      const { signal, progress } = cli;
      const report = await exportCommits(repo, refs, directory, { mode, signal, progress });
      await cli.report(report, EXPORT_FIELDS, (done) => formatReport(done, directory));
    });

const formatReport = ({ refs, written, present, bytesWritten }: ExportReport, directory: string): string =>
  `${refs.map(({ ref, commit }) => `${shownText(ref)} ${commit}\n`).join('')}` +
  `${formatNumberOf(written, 'object')} written to ${shownText(directory)} (${formatBytes(bytesWritten)}), ` +
  `${present === 1 ? '1 was' : `${present} were`} there\n`;
