import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { LazyRepository } from '../lazy-repository.ts';
import { TREE_ARGUMENT } from '../tree-argument.ts';

export const imageObjectsCommand = (cli: CliContext) =>
  newCommand('image-objects', {
    summary: 'list the objects that an image needs',
    description: 'Prints the ids of the objects that hold the file content of a tree, sorted, each once.',
    examples: [
      { command: 'cfs-ostree image-objects os/main', explanation: 'Of a commit' },
      { command: 'cfs-ostree image-objects file:./os.erofs', explanation: 'Of an image file; needs no repository' },
    ],
    output: 'listing',
  })
    .argument('<tree>', TREE_ARGUMENT)
    .action(async (name: string) => {
      await using repo = new LazyRepository(cli);
      const { openTree } = await import('../../operations/resolve-tree.ts');
      const { listTreeObjects } = await import('../../operations/list-images.ts');
      await cli.listWords(listTreeObjects(await openTree(repo.get, name)));
    });
