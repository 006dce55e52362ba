import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { LazyRepository } from '../lazy-repository.ts';
import { TREE_ARGUMENT } from '../tree-argument.ts';

export const catCommand = (cli: CliContext) =>
  newCommand('cat', {
    summary: 'print a file of a tree',
    description: 'Writes the content of one regular file to stdout, after it was verified.',
    examples: [{ command: 'cfs-ostree cat os/main /etc/os-release', explanation: 'A file of a commit' }],
    output: 'data',
  })
    .argument('<tree>', TREE_ARGUMENT)
    .argument('<path>', 'a regular file in it')
    .action(async (tree: string, path: string) => {
      await using repo = new LazyRepository(cli);
      const { openTree } = await import('../../operations/resolve-tree.ts');
      const { readTreeFile } = await import('../../operations/list-tree.ts');
      const { root } = await openTree(repo.get, tree);
      await cli.output.write(await readTreeFile(root, path, repo.get));
    });
