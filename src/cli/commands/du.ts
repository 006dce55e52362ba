import type { TreeUsage } from '../../operations/measure-trees.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { formatBytes, formatCount } from '../format-size.ts';
import { formatTable } from '../format-table.ts';
import type { Fields } from '../json.ts';
import { LazyRepository } from '../lazy-repository.ts';
import { shownText } from '../shown-text.ts';
import { TREE_ARGUMENT } from '../tree-argument.ts';

export const DU_FIELDS: Fields<TreeUsage> = ['path', 'entries', 'apparentBytes', 'storedBytes'];

export const duCommand = (cli: CliContext) =>
  newCommand('du', {
    summary: 'how much trees hold, and how much is stored for them',
    description: `Counts the entries of each tree, the bytes that its files have, and the bytes that are stored for them: content
      that several paths share is stored once.`,
    examples: [{ command: 'cfs-ostree du os/main os/main^', explanation: 'Of two commits' }],
    output: 'listing',
  })
    .argument('<tree...>', TREE_ARGUMENT)
    .action(async (names: string[]) => {
      await using repo = new LazyRepository(cli);
      const { openTree } = await import('../../operations/resolve-tree.ts');
      const { measureUsage } = await import('../../operations/measure-trees.ts');
      const usages = async function* () {
        for (const name of names) yield measureUsage(name, (await openTree(repo.get, name)).root);
      };
      await cli.list(usages(), { fields: DU_FIELDS, text: { table: formatUsages } });
    });

const formatUsages = (usages: TreeUsage[]): string =>
  formatTable(
    [
      { title: 'ENTRIES', align: 'right' },
      { title: 'IN FILES', align: 'right' },
      { title: 'STORED', align: 'right' },
      { title: 'TREE' },
    ],
    usages.map(({ path, entries, apparentBytes, storedBytes }) => [
      formatCount(entries),
      formatBytes(apparentBytes),
      formatBytes(storedBytes),
      shownText(path),
    ]),
  );
