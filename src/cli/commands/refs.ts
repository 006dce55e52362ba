import type { LocalRef } from '../../operations/resolve-name.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatTable } from '../format-table.ts';
import type { Fields } from '../json.ts';
import { shownText } from '../shown-text.ts';

export const REFS_FIELDS: Fields<LocalRef> = ['ref', 'commit', 'stream'];

export const refsCommand = (cli: CliContext) =>
  newCommand('refs', {
    summary: 'list refs',
    description: 'Lists the local refs with the commit that each stands for.',
    examples: [{ command: 'cfs-ostree refs', explanation: 'All of them' }],
    output: 'listing',
  }).action(async () => {
    await using repo = await cli.openRepository({ beginsWork: false });
    const { listRefs } = await import('../../operations/resolve-name.ts');
    await cli.list(await listRefs(repo), { fields: REFS_FIELDS, text: { table: formatRefs } });
  });

const formatRefs = (refs: LocalRef[]): string =>
  refs.length === 0
    ? 'No refs here\n'
    : formatTable(
        [{ title: 'REF' }, { title: 'COMMIT' }],
        refs.map(({ ref, commit }) => [shownText(ref), commit]),
      );
