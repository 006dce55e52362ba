import type { TagReport } from '../../operations/refs.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import type { Fields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const TAG_FIELDS: Fields<TagReport> = ['ref', 'commit'];

export const tagCommand = (cli: CliContext) =>
  newCommand('tag', {
    summary: 'give a commit one more name',
    description: `Makes a local ref for a stored commit, which keeps it from being collected. A name that stands for another commit
      is not moved; drop it first.`,
    examples: [
      { command: 'cfs-ostree tag os/main release/1', explanation: 'Keep what a ref stands for now' },
      { command: 'cfs-ostree tag os/main^ release/0', explanation: 'Keep its parent' },
    ],
    output: 'report',
  })
    .argument('<source>', 'ref or commit')
    .argument('<name>', 'the new ref')
    .action(async (source: string, name: string) => {
      await using repo = await cli.openRepository({ write: true });
      const { tagRef } = await import('../../operations/refs.ts');
      await cli.report(
        await tagRef(repo, source, name),
        TAG_FIELDS,
        ({ ref, commit }) => `${shownText(ref)} is ${commit}\n`,
      );
    });
