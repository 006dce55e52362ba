import { isChecksum } from '../../formats/ids.ts';
import type { PullOptions, PullReport, PullResult } from '../../operations/pull.ts';
import { choiceOption, newCommand, repeatable } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatBytes, formatCount } from '../format-size.ts';
import { formatFields } from '../format-table.ts';
import { formatDuration } from '../format-time.ts';
import { type Fields, pickFields } from '../json.ts';
import { keepYoungGenerationSmall } from '../memory.ts';
import { shownText } from '../shown-text.ts';

export const PULL_FIELDS: Fields<PullResult> = [
  'ref',
  'commit',
  'stream',
  'streamId',
  'image',
  'upToDate',
  'base',
  'fetched',
  'reused',
  'bytesTransferred',
  'bytesWritten',
  'elapsedMs',
  'digest',
  'signatures',
];

/**
 * `--link` alone: extents where the file system can share them, else a hard link where nobody else can change our object by it;
 * `hard`: also into a secure repository, which turns on fs-verity of the source's file.
 */
const LINK_MODES = { auto: 'hard', reflink: 'reflink', hard: 'hard-sealed' } as const satisfies Record<
  string,
  PullOptions['link']
>;

interface Flags {
  base?: string[];
  name?: string;
  dryRun?: boolean;
  createImage?: boolean;
  link?: keyof typeof LINK_MODES;
}

export const pullCommand = (cli: CliContext) =>
  newCommand('pull', {
    summary: 'fetch commits from an ostree repository',
    description: `Fetches commits with everything that belongs to them, verifies every byte against its checksum, and sets a local ref.
      Objects that are here already are not fetched again. An interrupted pull goes on where it was.`,
    examples: [
      { command: 'cfs-ostree pull ./published os/main', explanation: 'From a repository on disk' },
      {
        command: 'cfs-ostree pull https://ostree.example.org/repo os/main',
        explanation: 'Over HTTP',
      },
      {
        command: 'cfs-ostree pull --create-image ./published os/main --name booted/next',
        explanation: 'Under another name, and ready to be mounted',
      },
      {
        command: 'cfs-ostree pull --dry-run --json ./published os/main',
        explanation: 'What would be fetched?',
      },
    ],
    output: 'report',
  })
    .argument('<source>', 'http:, https: or file: URL, or the path of an ostree repository')
    .argument('<ref-or-commit...>', 'refs as they are named at the source, or commits')
    .option('--base <name>', 'ref or commit that is stored here and shares objects; may be repeated', repeatable)
    .option('--name <ref>', 'local ref; default: the name at the source')
    .option('--dry-run', 'tell what would be fetched, and change nothing')
    .option('--create-image', 'also build the image')
    .addOption(
      choiceOption(
        '--link [how]',
        'share file content with a source on the same file system',
        Object.keys(LINK_MODES),
        'auto',
      ),
    )
    .action(async (location: string, wanted: string[], { base, name, dryRun, createImage, link }: Flags) => {
      const { checkTypedRef } = await import('../../operations/typed-ref.ts');
      for (const name of wanted) if (!isChecksum(name)) checkTypedRef(name, 'ref');
      if (name !== undefined) checkTypedRef(name, '--name');
      const { jobs } = cli.flags;
      const { signal, progress } = cli;
      await using repo = await cli.openRepository({ write: !dryRun, beginsWork: false });
      const { openSource } = await import('../../sources/open-source.ts');
      await using source = await openSource(location, {
        jobs,
        signal,
        likelyRef: wanted.find((name) => !isChecksum(name)),
      });
      const { pull } = await import('../../operations/pull.ts');
      const report = await pull(repo, source, wanted, {
        bases: base,
        name,
        dryRun,
        createImage,
        link: link && LINK_MODES[link],
        jobs,
        signal,
        progress,
        onWork: keepYoungGenerationSmall,
      });
      const results = report.results.map((result) => pickFields(result, PULL_FIELDS));
      await cli.report({ results }, ['results'], () => formatReport(report, dryRun ?? false));
    });

const formatReport = ({ results }: PullReport, dryRun: boolean): string =>
  results.map((result) => formatResult(result, dryRun)).join('\n');

function formatResult(result: PullResult, dryRun: boolean): string {
  const { commit, ref, upToDate, fetched, reused, bytesTransferred, bytesWritten, elapsedMs, base, image } = result;
  const title = ref === undefined ? 'commit' : shownText(ref);
  if (upToDate) return `${title} ${commit} is here already\n${image === undefined ? '' : `  image  ${image}\n`}`;
  const counts = ({ metadata, files }: { metadata: number; files: number }) =>
    `${formatCount(metadata)} metadata, ${formatCount(files)} files`;
  return `${title} ${commit}${dryRun ? ' (dry run)' : ''}\n${formatFields([
    [dryRun ? '  to fetch' : '  fetched', `${counts(fetched)}${dryRun ? '' : `, ${formatBytes(bytesTransferred)}`}`],
    ['  reused', counts(reused)],
    ['  written', dryRun ? undefined : formatBytes(bytesWritten)],
    ['  bases', base.length === 0 ? undefined : base.map((checksum) => checksum.slice(0, 16)).join(' ')],
    ['  digest', result.digest === 'match' ? 'as the commit promises' : undefined],
    ['  image', image],
    ['  time', formatDuration(elapsedMs)],
  ])}`;
}
