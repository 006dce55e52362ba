import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { LazyRepository } from '../lazy-repository.ts';
import { TREE_ARGUMENT } from '../tree-argument.ts';

export const dumpCommand = (cli: CliContext) =>
  newCommand('dump', {
    summary: 'print a tree as a composefs dumpfile',
    description: 'Writes the whole tree to stdout in the text format of mkcomposefs and composefs-info.',
    examples: [
      { command: 'cfs-ostree dump os/main', explanation: 'Of a commit' },
      { command: 'cfs-ostree dump file:./os.erofs', explanation: 'Of an image file, as composefs-info dump' },
    ],
    output: 'data',
  })
    .argument('<tree>', TREE_ARGUMENT)
    .action(async (name: string) => {
      await using repo = new LazyRepository(cli);
      const { openTree } = await import('../../operations/resolve-tree.ts');
      const { serializeDumpfile } = await import('../../formats/dumpfile.ts');
      const { root } = await openTree(repo.get, name);
      for (const chunk of serializeDumpfile(root)) await cli.output.write(chunk);
    });
