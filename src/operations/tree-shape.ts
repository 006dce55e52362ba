/** Depth and path count of a commit's tree, without expanding shared directories: hostile commits are small and describe huge trees. */

import { LimitError } from '../errors.ts';
import type { Checksum } from '../formats/ids.ts';
import { MAX_TREE_DEPTH, MAX_TREE_PATHS } from '../formats/ostree/limits.ts';
import type { CommitObjects } from './commit-reader.ts';

export interface TreeShape {
  /** Paths below and including the root, shared directories counted at every use. */
  paths: number;
  /** How many of the paths are directories. */
  directories: number;
  /** Levels of directories below the root. */
  depth: number;
}

/**
 * Each distinct dirtree is parsed once; O(objects) even where the expanded tree is exponential.
 * @throws LimitError above MAX_TREE_DEPTH or MAX_TREE_PATHS
 */
export function measureTree(objects: CommitObjects): TreeShape {
  const known = new Map<Checksum, TreeShape>();
  const { rootDirtree } = objects.commit();
  // A directory is visited twice: once to put its children above it on the stack, once to add them up.
  const stack: Checksum[] = [rootDirtree];
  while (stack.length > 0) {
    const dirtree = stack[stack.length - 1];
    if (known.has(dirtree)) {
      stack.pop();
      continue;
    }
    const { files, directories } = objects.dirtree(dirtree);
    const missing = directories.filter((child) => !known.has(child.dirtree));
    if (missing.length > 0) {
      // Checksums cannot form a cycle, so the stack is bounded by depth times width; the depth is what may be hostile.
      for (const child of missing) stack.push(child.dirtree);
      continue;
    }
    stack.pop();
    const shape = { paths: 1 + files.length, directories: 1, depth: 0 };
    for (const child of directories) {
      const below = known.get(child.dirtree) as TreeShape;
      shape.paths += below.paths;
      shape.directories += below.directories;
      shape.depth = Math.max(shape.depth, below.depth + 1);
    }
    const where = { ...objects.where, object: `${dirtree}.dirtree` };
    if (shape.depth > MAX_TREE_DEPTH)
      throw new LimitError(`directories are nested more than ${MAX_TREE_DEPTH} deep`, where);
    if (shape.paths > MAX_TREE_PATHS) throw new LimitError(`the tree has more than ${MAX_TREE_PATHS} paths`, where);
    known.set(dirtree, shape);
  }
  return known.get(rootDirtree) as TreeShape;
}
