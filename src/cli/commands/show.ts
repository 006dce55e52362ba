import type { CommitReport } from '../../operations/show-commit.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatCommitHead } from '../format-commit.ts';
import { formatBytes, formatNumberOf } from '../format-size.ts';
import { formatFields } from '../format-table.ts';
import type { Fields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const SHOW_FIELDS: Fields<CommitReport> = [
  'commit',
  'parent',
  'timestamp',
  'subject',
  'body',
  'rootDirtree',
  'rootDirmeta',
  'metadata',
  'detachedMetadata',
  'stream',
  'streamId',
  'images',
  'files',
  'sizeBytes',
];

export const showCommand = (cli: CliContext) =>
  newCommand('show', {
    summary: 'show one commit',
    description: 'Shows a stored commit: its message, metadata, images and size.',
    examples: [{ command: 'cfs-ostree show os/main', explanation: 'The newest commit of a ref' }],
    output: 'report',
  })
    .argument('<commit-or-ref>', 'a stored commit')
    .action(async (name: string) => {
      await using repo = await cli.openRepository();
      const { showCommit } = await import('../../operations/show-commit.ts');
      await cli.report(await showCommit(repo, name), SHOW_FIELDS, (report) => formatReport(cli, report));
    });

function formatReport(cli: CliContext, report: CommitReport): string {
  const { rootDirtree, rootDirmeta, metadata, detachedMetadata, streamId, images, files, sizeBytes } = report;
  const facts = formatFields([
    ['Content', `${formatNumberOf(files, 'different file')}, ${formatBytes(sizeBytes)}`],
    ['Root dirtree', rootDirtree],
    ['Root dirmeta', rootDirmeta],
    ['Stream id', streamId],
    ...images.map((image): [string, string] => ['Image', image]),
  ]);
  return `${formatCommitHead(cli.paint, report)}\n${facts}${formatMetadata('Metadata', metadata)}${formatMetadata('Detached metadata', detachedMetadata ?? {})}`;
}

/** Longest value that is shown, in characters; --json has all of it. */
const SHOWN_CHARACTERS = 160;

function formatMetadata(title: string, metadata: Record<string, unknown>): string {
  const entries = Object.entries(metadata).map(([key, value]): [string, string] => {
    const text = shownText(typeof value === 'string' ? value : JSON.stringify(value));
    return [`  ${shownText(key)}`, text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text];
  });
  return entries.length === 0 ? '' : `${title}\n${formatFields(entries)}`;
}
