/** A file tree as a composefs EROFS image. */

import type { Directory } from '../tree.ts';
import { serializeFamilyA } from './family-a.ts';
import { serializeFamilyB } from './family-b.ts';
import { type ErofsOptions, isWhiteout } from './plan.ts';

export type { ErofsOptions, ErofsVersion } from './plan.ts';

/**
 * The image of a tree: versions 0 and 1 as mkcomposefs writes them, version 2 as composefs-rs does, byte for byte.
 * @throws FormatError or LimitError for what such an image cannot hold, naming the path in the tree
 */
export function serializeErofs(root: Directory, options: ErofsOptions): Uint8Array {
  return options.version === 2 ? serializeFamilyB(root, options) : serializeFamilyA(root, options);
}

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
