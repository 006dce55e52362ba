import type { ListedEntry } from '../../operations/list-tree.ts';
import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import type { Fields } from '../json.ts';
import { LazyRepository } from '../lazy-repository.ts';
import { shownText } from '../shown-text.ts';
import { TREE_ARGUMENT } from '../tree-argument.ts';

export const LS_FIELDS: Fields<ListedEntry> = [
  'path',
  'type',
  'mode',
  'uid',
  'gid',
  'sizeBytes',
  'mtime',
  'target',
  'object',
  'xattrs',
];

interface Flags {
  long?: boolean;
  recursive?: boolean;
}

export const lsCommand = (cli: CliContext) =>
  newCommand('ls', {
    summary: 'list what is in a tree',
    description: 'Lists a directory of a tree, or one entry, without mounting anything.',
    examples: [
      { command: 'cfs-ostree ls os/main', explanation: 'The root directory' },
      { command: 'cfs-ostree ls -lR os/main /etc', explanation: 'Everything below a directory, with owners and sizes' },
      { command: 'cfs-ostree ls file:./os.erofs /etc', explanation: 'In an image file; needs no repository' },
    ],
    output: 'listing',
  })
    .argument('<tree>', TREE_ARGUMENT)
    .argument('[path]', 'what to list', '/')
    .option('-l, --long', 'with mode, owner, size and link target')
    .option('-R, --recursive', 'with everything below')
    .action(async (tree: string, path: string, { long, recursive }: Flags) => {
      await using repo = new LazyRepository(cli);
      const { openTree } = await import('../../operations/resolve-tree.ts');
      const { listTree } = await import('../../operations/list-tree.ts');
      const { root } = await openTree(repo.get, tree);
      await cli.list(listTree(root, path, { recursive }), {
        fields: LS_FIELDS,
        text: { each: long ? formatLong : ({ path }) => `${shownText(path)}\n` },
      });
    });

const TYPE_LETTERS: Record<ListedEntry['type'], string> = {
  directory: 'd',
  file: '-',
  symlink: 'l',
  character: 'c',
  block: 'b',
  fifo: 'p',
  socket: 's',
};

/** Columns have fixed widths, because entries are shown as they come. */
function formatLong({ path, type, mode, uid, gid, sizeBytes, target }: ListedEntry): string {
  const owner = `${String(uid).padStart(5)} ${String(gid).padStart(5)}`;
  const size = (sizeBytes === undefined ? '-' : String(sizeBytes)).padStart(10);
  const arrow = target === undefined ? '' : ` -> ${shownText(target)}`;
  return `${TYPE_LETTERS[type]}${formatMode(Number.parseInt(mode, 8))} ${owner} ${size} ${shownText(path)}${arrow}\n`;
}

/** `rwxr-xr-x`, with s, S, t and T as ls writes them. */
function formatMode(permissions: number): string {
  const letters = [...'rwxrwxrwx'].map((letter, i) => ((permissions >> (8 - i)) & 1 ? letter : '-'));
  const mark = (bit: number, at: number, set: string) => {
    if (permissions & bit) letters[at] = letters[at] === 'x' ? set : set.toUpperCase();
  };
  mark(0o4000, 2, 's');
  mark(0o2000, 5, 's');
  mark(0o1000, 8, 't');
  return letters.join('');
}
