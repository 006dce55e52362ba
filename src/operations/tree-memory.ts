/** What a tree takes as objects in memory: a small commit may stand for millions of paths, and Node.js ends when its heap is full. */

import { getHeapStatistics } from 'node:v8';
import { NoSpaceError, type Where } from '../errors.ts';
import type { TreeShape } from './tree-shape.ts';

/** Heap bytes of a directory on its way into an image: object, map of entries, inode plan. Measured with Node 24. */
const DIRECTORY_BYTES = 750;
/** The same of any other path, where paths of one file share what they can. */
const LEAF_BYTES = 100;
/** Where each path has an inode of its own. */
const SEPARATE_LEAF_BYTES = 350;

/** Estimate of the heap bytes that a tree and the image made of it take. */
export function heapBytesOfTree({ paths, directories }: TreeShape, sharing: 'hard-links' | 'separate-inodes'): number {
  const leafBytes = sharing === 'hard-links' ? LEAF_BYTES : SEPARATE_LEAF_BYTES;
  return directories * DIRECTORY_BYTES + (paths - directories) * leafBytes;
}

/** @throws NoSpaceError where the heap would not do */
export function requireHeapFor(shape: TreeShape, where: Where): void {
  const needed = heapBytesOfTree(shape, 'hard-links');
  const { total_available_size: available } = getHeapStatistics();
  if (needed <= available) return;
  throw new NoSpaceError(
    `a tree of ${shape.paths} paths takes about ${mebibytes(needed)} MiB of memory, Node.js has ${mebibytes(available)} MiB left; ` +
      'NODE_OPTIONS=--max-old-space-size=MiB allows it more',
    where,
  );
}

const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20);
