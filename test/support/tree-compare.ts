/** Compares directory trees entry by entry, with a program of our own that shares nothing with the product (list-tree.py). */

import { join } from 'node:path';
import { getPeer } from './peers.ts';
import { runChecked } from './run-command.ts';

/** Paths and targets are percent-encoded where not plain ASCII, xattr values hexadecimal. Link counts, inode numbers and the
 *  mtime of anything but regular files are left out: images do not promise them. */
export interface TreeEntry {
  path: string;
  kind: 'directory' | 'file' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';
  /** Permissions with setuid, setgid and sticky bit, four octal digits. */
  mode: string;
  uid: number;
  gid: number;
  xattrs: Record<string, string>;
  sizeBytes?: number;
  /** Of a regular file's content. */
  sha256?: string;
  /** Of a regular file, decimal. */
  mtimeNanoseconds?: string;
  target?: string;
  device?: number;
}

/** In byte order of the paths; the root is `/`. Reads every file. */
export async function listTree(root: string): Promise<Map<string, TreeEntry>> {
  const { stdout } = await runChecked(getPeer('python3'), [join(import.meta.dirname, 'list-tree.py'), root]);
  const entries = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TreeEntry);
  return new Map(entries.map((entry) => [entry.path, entry]));
}

/**
 * What ostree keeps of an entry: regular files at time 0, no xattr whose value is empty (`ostree commit` drops those). For trees that
 * were never committed, and for checkouts, where empty files have the time of the checkout.
 */
export const asCommitted = (entry: TreeEntry): TreeEntry => ({
  ...entry,
  xattrs: Object.fromEntries(Object.entries(entry.xattrs).filter(([, value]) => value !== '')),
  ...(entry.kind === 'file' && { mtimeNanoseconds: '0' }),
});

/** One line per difference; none: the trees are the same. `adjust` changes what is expected before it is compared. */
export async function compareTrees(
  expectedRoot: string,
  actualRoot: string,
  adjust: (expected: TreeEntry) => TreeEntry = (entry) => entry,
): Promise<string[]> {
  const [expected, actual] = await Promise.all([listTree(expectedRoot), listTree(actualRoot)]);
  const differences: string[] = [];
  for (const [path, entry] of expected) {
    const other = actual.get(path);
    if (other === undefined) differences.push(`${path}: missing`);
    else differences.push(...compareEntries(adjust(entry), other));
  }
  for (const path of actual.keys()) if (!expected.has(path)) differences.push(`${path}: not expected`);
  return differences;
}

function compareEntries(expected: TreeEntry, actual: TreeEntry): string[] {
  const fields = new Set([...Object.keys(expected), ...Object.keys(actual)]) as Set<keyof TreeEntry>;
  return [...fields].flatMap((field) => {
    const [wanted, got] = [JSON.stringify(expected[field]), JSON.stringify(actual[field])];
    return wanted === got ? [] : [`${expected.path}: ${field} ${got}, expected ${wanted}`];
  });
}
