import type { MountReport } from '../../operations/mount.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import type { Fields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const MOUNT_FIELDS: Fields<MountReport> = ['image', 'mountpoint', 'verity'];

interface Flags {
  requireVerity?: boolean;
  upperdir?: string;
  workdir?: string;
}

export const mountCommand = (cli: CliContext) =>
  newCommand('mount', {
    summary: 'mount a tree',
    description: `Mounts the image of a tree read-only, or with a writable layer on top. In a repository with fs-verity the kernel
      verifies every file while it is read. Needs root.`,
    examples: [
      { command: 'cfs-ostree mount os/main ./mnt', explanation: 'What a ref stands for' },
      {
        command: 'cfs-ostree mount os/main ./mnt --upperdir ./upper --workdir ./work',
        explanation: 'With changes going to another directory',
      },
    ],
    output: 'report',
  })
    .argument('<tree>', 'ref, commit, image id or name; an image that is missing is built')
    .argument('<directory>', 'where to mount it')
    .option('--require-verity', 'refuse to mount unless the kernel verifies image and content')
    .option('--upperdir <directory>', 'writable layer')
    .option('--workdir <directory>', "work directory of the writable layer, on that layer's file system")
    .action(async (tree: string, directory: string, flags: Flags) => {
      await using repo = await cli.openRepository({ beginsWork: false });
      const { mountTree } = await import('../../operations/mount.ts');
      await cli.report(
        await mountTree(repo, tree, directory, flags),
        MOUNT_FIELDS,
        ({ image, mountpoint, verity }) =>
          `${shownText(mountpoint)} is image ${image}${verity ? ', verified by the kernel' : ''}\n`,
      );
    });
