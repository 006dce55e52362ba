import type { UntagReport } from '../../operations/refs.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import type { Fields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const UNTAG_FIELDS: Fields<UntagReport> = ['ref', 'commit', 'image'];

export const untagCommand = (cli: CliContext) =>
  newCommand('untag', {
    summary: 'drop a name',
    description: `Drops a local ref, or the name of an image where no ref has that name. What it stood for stays until
      \`cfs-ostree gc\`, if nothing else keeps it.`,
    examples: [{ command: 'cfs-ostree untag os/old', explanation: 'Drop a ref' }],
    output: 'report',
  })
    .argument('<name>', 'ref, or name of an image')
    .action(async (name: string) => {
      await using repo = await cli.openRepository({ write: true, beginsWork: false });
      const { untagRef } = await import('../../operations/refs.ts');
      await cli.report(
        await untagRef(repo, name),
        UNTAG_FIELDS,
        ({ ref, commit, image }) => `Dropped ${shownText(ref)}, which was ${commit ?? image ?? 'damaged'}\n`,
      );
    });
