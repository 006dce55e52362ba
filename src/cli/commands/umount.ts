import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import type { Fields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const UMOUNT_FIELDS: Fields<{ mountpoint: string }> = ['mountpoint'];

export const umountCommand = (cli: CliContext) =>
  newCommand('umount', {
    summary: 'unmount a tree',
    description: 'Takes away what `cfs-ostree mount` has mounted. Needs root.',
    examples: [{ command: 'cfs-ostree umount ./mnt', explanation: 'After mount' }],
    output: 'report',
  })
    .argument('<directory>', 'where it is mounted')
    .action(async (directory: string) => {
      const { unmountTree } = await import('../../operations/mount.ts');
      await cli.report(
        await unmountTree(directory),
        UMOUNT_FIELDS,
        ({ mountpoint }) => `Unmounted ${shownText(mountpoint)}\n`,
      );
    });
