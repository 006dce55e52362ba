import { UsageError } from '../../errors.ts';
import type { ImageId } from '../../operations/compute-image-id.ts';
import { type AlgorithmName, algorithmNamed, algorithmOption } from '../algorithm.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { checkAlgorithm, erofsVersionOption, parseErofsVersion } from '../erofs-version.ts';
import type { Fields } from '../json.ts';

export const COMPUTE_ID_FIELDS: Fields<ImageId> = ['image', 'erofsVersion'];

interface Flags {
  dumpfile?: string;
  image?: string;
  algorithm?: AlgorithmName;
  erofsVersion?: string;
}

export const computeIdCommand = (cli: CliContext) =>
  newCommand('compute-id', {
    summary: 'the id of an image, without storing it',
    description: `Prints the fs-verity digest that the image of a stored commit, of a dumpfile, or an image file has. Nothing is
      stored; for files no repository is needed.`,
    examples: [
      { command: 'cfs-ostree compute-id os/main', explanation: 'The id that create-image would give' },
      { command: 'cfs-ostree compute-id --dumpfile ./os.dump', explanation: 'Of a tree that a dumpfile describes' },
      { command: 'cfs-ostree compute-id --image ./os.erofs', explanation: 'Of a file, as the kernel measures it' },
    ],
    output: 'report',
  })
    .usage('[options] <commit-or-ref>\n       cfs-ostree compute-id [options] --dumpfile <file> | --image <file>')
    .argument('[commit-or-ref]', 'a stored commit')
    .option('--dumpfile <file>', 'the tree that a composefs dumpfile describes')
    .option('--image <file>', 'an image file')
    .addOption(algorithmOption('default: as in the repository, dumpfile or image'))
    .addOption(erofsVersionOption())
    .action(async (commit: string | undefined, flags: Flags) => {
      const subjects = [commit, flags.dumpfile, flags.image].filter((subject) => subject !== undefined);
      if (subjects.length !== 1) throw new UsageError('name one thing: a commit, --dumpfile or --image');
      if (flags.image !== undefined && flags.erofsVersion !== undefined)
        throw new UsageError('--erofs-version is for an image that is built, an image file has one already');
      await cli.report(await computeId(cli, commit, flags), COMPUTE_ID_FIELDS, ({ image }) => `${image}\n`);
    });

async function computeId(cli: CliContext, commit: string | undefined, flags: Flags): Promise<ImageId> {
  const algorithm = flags.algorithm && algorithmNamed(flags.algorithm);
  const erofsVersion = parseErofsVersion(flags.erofsVersion);
  if (flags.image !== undefined) {
    const { computeIdOfImageFile } = await import('../../operations/compute-image-id.ts');
    return computeIdOfImageFile(flags.image, algorithm);
  }
  const { createImage, createImageFromTree } = await import('../../operations/create-image.ts');
  if (commit === undefined) {
    const { openTree, FILE_PREFIX } = await import('../../operations/resolve-tree.ts');
    const { algorithmOfTree } = await import('../../operations/list-images.ts');
    const { root } = await openTree(() => cli.openRepository(), `${FILE_PREFIX}${flags.dumpfile}`);
    return createImageFromTree(root, { algorithm: algorithm ?? algorithmOfTree(root) ?? 'sha512' }, { erofsVersion });
  }
  await using repo = await cli.openRepository();
  checkAlgorithm(flags.algorithm, repo.algorithm);
  const { resolveCommit } = await import('../../operations/resolve-name.ts');
  const { signal, progress } = cli;
  const name = await resolveCommit(repo, commit);
  return await createImage(repo, { commit: name }, { erofsVersion, dryRun: true, signal, progress });
}
