/**
 * Version 0/1 images keep inodes in the order in which a breadth-first walk meets their own entries. Reading that order back
 * tells which of several entries of one inode is its own.
 */

import type { ByteString } from '../byte-string.ts';
import type { Directory, Leaf } from '../tree.ts';

interface Place {
  directory: Directory;
  name: ByteString;
  /** Place of the entry in a depth-first walk. */
  depthFirst: number;
}

/** Collects entries in depth-first order; those of one depth are then in the order of a breadth-first walk. */
export class EntryOrder {
  readonly #nids: number[][] = [];
  readonly #depthFirst: number[][] = [];
  #count = 0;

  add(depth: number, nid: number): void {
    if (this.#nids[depth] === undefined) {
      this.#nids[depth] = [];
      this.#depthFirst[depth] = [];
    }
    this.#nids[depth].push(nid);
    this.#depthFirst[depth].push(this.#count++);
  }

  /**
   * Sets the origin of every leaf whose own entry is not the first in depth-first order. Images in another order than
   * libcomposefs's are left alone: nothing depends on it there.
   * @param shared leaves with several names
   */
  restoreOrigins(root: Directory, shared: ReadonlySet<Leaf>): void {
    const nids = this.#nids.flat();
    const depthFirst = this.#depthFirst.flat();
    const inOrder = [...new Set(nids)].sort((a, b) => a - b);
    const first = new Map<Leaf, Place>();
    const own = new Map<Leaf, Place>();
    let next = 0;
    let index = 0;
    for (const { directory, name } of breadthFirst(root)) {
      const inode = directory.entries.get(name);
      const isOwn = nids[index] === inOrder[next];
      if (isOwn) next++;
      const place: Place = { directory, name, depthFirst: depthFirst[index++] };
      if (inode === undefined || inode.kind === 'directory' || !shared.has(inode)) continue;
      if (isOwn) own.set(inode, place);
      const known = first.get(inode);
      if (known === undefined || place.depthFirst < known.depthFirst) first.set(inode, place);
    }
    if (next !== inOrder.length) return;
    for (const [leaf, { directory, name, depthFirst }] of own)
      if (first.get(leaf)?.depthFirst !== depthFirst) leaf.origin = { directory, name };
  }
}

function* breadthFirst(root: Directory): Generator<{ directory: Directory; name: ByteString }> {
  const queue = [root];
  for (const directory of queue) {
    for (const [name, inode] of directory.entries) {
      yield { directory, name };
      if (inode.kind === 'directory') queue.push(inode);
    }
  }
}
