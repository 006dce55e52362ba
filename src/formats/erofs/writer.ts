/** A file tree as a composefs EROFS image. */

import type { Directory } from '../tree.ts';
import { serializeFamilyA } from './family-a.ts';
import { serializeFamilyB } from './family-b.ts';
import type { InodeTable } from './inode-table.ts';
import type { ErofsOptions, ErofsVersion } from './options.ts';
import { isWhiteout, planTree } from './plan.ts';

export type { ErofsOptions, ErofsVersion } from './options.ts';

/**
 * The image of a tree: versions 0 and 1 as mkcomposefs writes them, version 2 as composefs-rs does, byte for byte.
 * @throws FormatError or LimitError for what such an image cannot hold, naming the path in the tree
 */
export const serializeErofs = (root: Directory, options: ErofsOptions): Uint8Array =>
  serializeInodes(planTree(root, options), options.version);

/** The same of a tree in columns, which is used up. @throws LimitError */
export const serializeInodes = (inodes: InodeTable, version: ErofsVersion): Uint8Array =>
  version === 2 ? serializeFamilyB(inodes) : serializeFamilyA(inodes, version);

/** The lowest of versions 0 and 1 that fits, as mkcomposefs and libostree choose: 1 for a tree with whiteouts. */
export function chooseErofsVersion(root: Directory): 0 | 1 {
  const left: Directory[] = [root];
  const seen = new Set<Directory>(left); // directories with two names are refused later, and must not make us loop
  for (let directory = left.pop(); directory !== undefined; directory = left.pop()) {
    for (const inode of directory.entries.values()) {
      if (isWhiteout(inode)) return 1;
      if (inode.kind !== 'directory' || seen.has(inode)) continue;
      seen.add(inode);
      left.push(inode);
    }
  }
  return 0;
}
