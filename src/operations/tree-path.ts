/** Finding and listing paths in a file tree. */

import { NotFoundError } from '../errors.ts';
import { type ByteString, byteStringFromText, byteStringToText, compareByteStrings } from '../formats/byte-string.ts';
import type { Directory, Inode } from '../formats/tree.ts';

export interface TreeEntry {
  /** Absolute, in bytes; `/` for the root. */
  path: ByteString;
  inode: Inode;
}

/**
 * `.` and empty parts are skipped; `..` and links are not followed: a path names what is there.
 * @throws NotFoundError naming the part that is missing
 */
export function lookupPath(root: Directory, path: string): TreeEntry {
  let entry: TreeEntry = { path: '/' as ByteString, inode: root };
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    const found = entry.inode.kind === 'directory' ? entry.inode.entries.get(byteStringFromText(part)) : undefined;
    if (found === undefined)
      throw new NotFoundError(`no ${JSON.stringify(part)} in ${byteStringToText(entry.path)}`, { file: path });
    entry = { path: joinPath(entry.path, byteStringFromText(part)), inode: found };
  }
  return entry;
}

export const joinPath = (parent: ByteString, name: ByteString): ByteString =>
  (parent === '/' ? `/${name}` : `${parent}/${name}`) as ByteString;

export const sortedEntries = (directory: Directory): Array<[ByteString, Inode]> =>
  [...directory.entries].sort(([a], [b]) => compareByteStrings(a, b));

/** The entry and everything below it, directories before their content, in byte order. Depth is bounded by the tree's readers. */
export function* walkTree(start: TreeEntry): Generator<TreeEntry> {
  const stack: TreeEntry[] = [start];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    yield entry;
    if (entry.inode.kind !== 'directory') continue;
    const children = sortedEntries(entry.inode);
    for (let i = children.length - 1; i >= 0; i--) {
      const [name, inode] = children[i];
      stack.push({ path: joinPath(entry.path, name), inode });
    }
  }
}
