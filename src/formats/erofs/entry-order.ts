/**
 * Version 0/1 images keep inodes in the order in which a breadth-first walk meets their own entries. Reading that
 * order back tells which of several entries of one inode is its own.
 */

import type { ByteString } from '../byte-string.ts';
import type { Directory, Inode, Leaf } from '../tree.ts';

interface Place {
  directory: Directory;
  name: ByteString;
  /** Place of the entry in a depth-first walk. */
  depthFirst: number;
}

interface OrderedEntry {
  nid: number;
  /** Place of the entry in a depth-first walk. */
  depthFirst: number;
  /** Not in the tree. */
  isStub: boolean;
}

/** Collects entries in depth-first order; those of one depth are then in the order of a breadth-first walk. */
export class EntryOrder {
  readonly #byDepth: OrderedEntry[][] = [];
  #count = 0;

  add(depth: number, nid: number, isStub: boolean): void {
    let entries = this.#byDepth[depth];
    if (entries === undefined) {
      entries = [];
      this.#byDepth[depth] = entries;
    }
    entries.push({ nid, depthFirst: this.#count++, isStub });
  }

  /**
   * Sets the origin of every leaf whose own entry is not the first in depth-first order. Images in another order than
   * libcomposefs's are left alone: nothing depends on it there. Where an image can be read with and without origins, because nothing
   * lies between two entries of an inode, there are none.
   * @param shared leaves with several names
   */
  restoreOrigins(root: Directory, shared: ReadonlySet<Leaf>): void {
    const entries = this.#byDepth.flat();
    const firstEntries = new Map<number, number>();
    for (const { nid, depthFirst } of entries)
      firstEntries.set(nid, Math.min(depthFirst, firstEntries.get(nid) ?? depthFirst));
    if (isAscending(entries.filter(({ nid, depthFirst }) => firstEntries.get(nid) === depthFirst))) return;
    const inOrder = [...firstEntries.keys()].sort((a, b) => a - b);
    const tree = breadthFirst(root);
    const first = new Map<Leaf, Place>();
    const own = new Map<Leaf, Place>();
    let next = 0;
    for (const { nid, depthFirst, isStub } of entries) {
      const isOwn = nid === inOrder[next];
      if (isOwn) next++;
      if (isStub) continue;
      const { directory, name, inode } = tree.next().value as TreeEntry;
      if (inode.kind === 'directory' || !shared.has(inode)) continue;
      const place: Place = { directory, name, depthFirst };
      if (isOwn) own.set(inode, place);
      const known = first.get(inode);
      if (known === undefined || depthFirst < known.depthFirst) first.set(inode, place);
    }
    if (next !== inOrder.length) return;
    for (const [leaf, { directory, name, depthFirst }] of own)
      if (first.get(leaf)?.depthFirst !== depthFirst) leaf.origin = { directory, name };
  }
}

const isAscending = (entries: OrderedEntry[]): boolean =>
  entries.every(({ nid }, i) => i === 0 || entries[i - 1].nid < nid);

interface TreeEntry {
  directory: Directory;
  name: ByteString;
  inode: Inode;
}

function* breadthFirst(root: Directory): Generator<TreeEntry> {
  const queue = [root];
  for (const directory of queue) {
    for (const [name, inode] of directory.entries) {
      yield { directory, name, inode };
      if (inode.kind === 'directory') queue.push(inode);
    }
  }
}
