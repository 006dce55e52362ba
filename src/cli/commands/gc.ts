import type { GcReport } from '../../operations/gc.ts';
import { newCommand, repeatable, wholeNumber } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatBytes, formatNumberOf } from '../format-size.ts';
import type { Fields } from '../json.ts';

export const GC_FIELDS: Fields<GcReport> = [
  'objectsRemoved',
  'bytesRemoved',
  'streamsRemoved',
  'imagesRemoved',
  'temporariesRemoved',
  'objectsKept',
  'dryRun',
];

interface Flags {
  dryRun?: boolean;
  root?: string[];
  keepDepth?: number;
}

export const gcCommand = (cli: CliContext) =>
  newCommand('gc', {
    summary: 'remove what no ref keeps',
    description: `Removes commits, images and objects that nothing with a name leads to, and what interrupted work left. Everything
      that is kept is checked first: nothing is removed from a damaged repository. Waits until nobody else works on the repository.`,
    examples: [
      { command: 'cfs-ostree gc --dry-run', explanation: 'What would be removed?' },
      { command: 'cfs-ostree gc --keep-depth 1', explanation: 'Keep the parents of commits with a name too' },
    ],
    output: 'report',
  })
    .option('--dry-run', 'count, and remove nothing')
    .option('--root <name>', 'keep this stream, image or commit too; may be repeated', repeatable)
    .option('--keep-depth <n>', 'keep so many ancestors of each kept commit', wholeNumber(0))
    .action(async ({ dryRun, root, keepDepth }: Flags) => {
      await using repo = await cli.openRepository({
        lock: dryRun ? 'shared' : 'exclusive',
        write: !dryRun,
        beginsWork: false,
      });
      const { collectGarbage } = await import('../../operations/gc.ts');
      const { signal, progress } = cli;
      const report = await collectGarbage(repo, { dryRun, roots: root, keepDepth, signal, progress });
      await cli.report(report, GC_FIELDS, formatReport);
    });

function formatReport(report: GcReport): string {
  const { objectsRemoved, bytesRemoved, streamsRemoved, imagesRemoved, temporariesRemoved, objectsKept, dryRun } =
    report;
  const others = [
    [streamsRemoved, 'stream'],
    [imagesRemoved, 'image'],
    [temporariesRemoved, 'temporary', 'temporaries'],
  ] as const;
  const parts = others.filter(([count]) => count > 0).map(([count, one, many]) => formatNumberOf(count, one, many));
  const removed = [`${formatNumberOf(objectsRemoved, 'object')} (${formatBytes(bytesRemoved)})`, ...parts].join(', ');
  return `${dryRun ? 'Would remove' : 'Removed'} ${removed}; ${formatNumberOf(objectsKept, 'object')} kept\n`;
}
