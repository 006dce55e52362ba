import { UsageError } from '../../errors.ts';
import type { BuiltImage, ImageReport } from '../../operations/create-image.ts';
import { type AlgorithmName, algorithmNamed, algorithmOption } from '../algorithm.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { checkAlgorithm, erofsVersionOption, parseErofsVersion } from '../erofs-version.ts';
import { formatBytes, formatCount } from '../format-size.ts';
import { formatFields } from '../format-table.ts';
import type { Fields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const CREATE_IMAGE_FIELDS: Fields<ImageReport> = [
  'commit',
  'image',
  'erofsVersion',
  'sizeBytes',
  'entries',
  'name',
  'digest',
];

interface Flags {
  dumpfile?: string;
  name?: string;
  erofsVersion?: string;
  algorithm?: AlgorithmName;
  requireDigest?: boolean;
  output?: string;
}

export const createImageCommand = (cli: CliContext) =>
  newCommand('create-image', {
    summary: 'build the image of a commit',
    description: `Builds the EROFS image of a stored commit, byte-equal to that of other composefs tools, links it in the repository
      and keeps it for as long as the commit. Every object of the commit is hashed again on the way. With --output the image goes
      to a file instead; a dumpfile then needs no repository.`,
    examples: [
      { command: 'cfs-ostree create-image os/main', explanation: 'The image of a ref' },
      { command: 'cfs-ostree create-image os/main --name next', explanation: 'With a name to mount it by' },
      {
        command: 'cfs-ostree create-image --dumpfile ./os.dump --erofs-version auto --output ./os-copy.erofs',
        explanation: 'As mkcomposefs --from-file does',
      },
    ],
    output: 'report',
  })
    .usage('[options] <commit-or-ref>\n       cfs-ostree create-image [options] --dumpfile <file>')
    .argument('[commit-or-ref]', 'a stored commit')
    .option('--dumpfile <file>', 'build the tree that a composefs dumpfile describes')
    .option('--name <name>', 'also give the image this name')
    .addOption(erofsVersionOption())
    .addOption(algorithmOption('digest of an image that is not stored; default: as in the dumpfile'))
    .option('--require-digest', 'refuse a commit that carries no composefs digest or another than that of its tree')
    .option('--output <file>', 'write the image to a file, store nothing')
    .action(async (commit: string | undefined, flags: Flags) => {
      if ((commit === undefined) === (flags.dumpfile === undefined))
        throw new UsageError('name either a commit or a dumpfile (--dumpfile)');
      if (flags.output !== undefined && flags.name !== undefined)
        throw new UsageError('--name is for an image that is stored, --output for one that is not');
      if (flags.requireDigest && commit === undefined)
        throw new UsageError('--require-digest is about a commit, a dumpfile carries no digest');
      const built = commit === undefined ? await fromDumpfile(cli, flags) : await fromCommit(cli, commit, flags);
      if (flags.output !== undefined) {
        const { writeWholeFile } = await import('../../operations/write-file.ts');
        await writeWholeFile(flags.output, built.bytes);
      }
      await cli.report<ImageReport>(built, CREATE_IMAGE_FIELDS, (report) => formatReport(report, flags.output));
    });

async function fromCommit(cli: CliContext, name: string, flags: Flags): Promise<BuiltImage> {
  const dryRun = flags.output !== undefined;
  await using repo = await cli.openRepository({ write: !dryRun });
  checkAlgorithm(flags.algorithm, repo.algorithm);
  const { resolveCommit } = await import('../../operations/resolve-name.ts');
  const { createImage } = await import('../../operations/create-image.ts');
  return await createImage(
    repo,
    { commit: await resolveCommit(repo, name) },
    {
      erofsVersion: parseErofsVersion(flags.erofsVersion),
      name: flags.name,
      requireDigest: flags.requireDigest,
      dryRun,
      signal: cli.signal,
      progress: cli.progress,
    },
  );
}

async function fromDumpfile(cli: CliContext, flags: Flags): Promise<BuiltImage> {
  const { openTree, FILE_PREFIX } = await import('../../operations/resolve-tree.ts');
  const { createImageFromTree } = await import('../../operations/create-image.ts');
  const options = { erofsVersion: parseErofsVersion(flags.erofsVersion), name: flags.name };
  const { root } = await openTree(() => cli.openRepository(), `${FILE_PREFIX}${flags.dumpfile}`);
  if (flags.output !== undefined) {
    const { algorithmOfTree } = await import('../../operations/list-images.ts');
    const asked = flags.algorithm && algorithmNamed(flags.algorithm);
    return createImageFromTree(root, { algorithm: asked ?? algorithmOfTree(root) ?? 'sha512' }, options);
  }
  await using repo = await cli.openRepository({ write: true });
  checkAlgorithm(flags.algorithm, repo.algorithm);
  return await createImageFromTree(root, { repo }, options);
}

const formatReport = (report: ImageReport, output: string | undefined): string =>
  `image ${report.image}\n${formatFields([
    ['  commit', report.commit],
    ['  EROFS version', String(report.erofsVersion)],
    ['  size', `${formatBytes(report.sizeBytes)}, ${formatCount(report.entries)} entries`],
    ['  name', report.name === undefined ? undefined : shownText(report.name)],
    ['  digest', report.digest === 'match' ? 'as the commit promises' : undefined],
    ['  written to', output === undefined ? undefined : shownText(output)],
  ])}`;
