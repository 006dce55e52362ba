/** Depth and path count of a commit's tree, without expanding shared directories: hostile commits are small and describe huge trees. */

import { LimitError, type Where } from '../errors.ts';
import { idToBytes } from '../formats/ids.ts';
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

/** What one dirtree has. */
export interface DirectoryEntries {
  files: number;
  /** Numbers of the dirtrees of its subdirectories. */
  children: readonly number[] | Uint32Array;
}

/**
 * Each distinct dirtree is parsed once.
 * @throws LimitError above MAX_TREE_DEPTH or MAX_TREE_PATHS
 */
export function measureTree(objects: CommitObjects): TreeShape {
  const root = objects.find(idToBytes(objects.commit().rootDirtree), 0, 'dirtree');
  return measureDirectories(
    root,
    (dirtree) => entriesOf(objects, dirtree),
    (dirtree) => objects.whereOf(dirtree, 'dirtree'),
  );
}

/**
 * Asks for the entries of each dirtree once or twice; O(objects) even where the expanded tree is exponential.
 * @param root number of a dirtree, as in `children`
 * @throws LimitError as measureTree
 */
export function measureDirectories(
  root: number,
  entriesOf: (dirtree: number) => DirectoryEntries,
  whereOf: (dirtree: number) => Where,
): TreeShape {
  const known = new Map<number, TreeShape>();
  // A directory is visited twice: once to put its children above it on the stack, once to add them up.
  const stack = [root];
  while (stack.length > 0) {
    const dirtree = stack[stack.length - 1];
    if (known.has(dirtree)) {
      stack.pop();
      continue;
    }
    const { files, children } = entriesOf(dirtree);
    const { length } = stack;
    // Checksums cannot form a cycle, so the stack is bounded by depth times width; the depth is what may be hostile.
    for (const child of children) if (!known.has(child)) stack.push(child);
    if (stack.length > length) continue;
    stack.pop();
    const shape = { paths: 1 + files, directories: 1, depth: 0 };
    for (const child of children) {
      const below = known.get(child) as TreeShape;
      shape.paths += below.paths;
      shape.directories += below.directories;
      shape.depth = Math.max(shape.depth, below.depth + 1);
    }
    if (shape.depth > MAX_TREE_DEPTH)
      throw new LimitError(`directories are nested more than ${MAX_TREE_DEPTH} deep`, whereOf(dirtree));
    if (shape.paths > MAX_TREE_PATHS)
      throw new LimitError(`the tree has more than ${MAX_TREE_PATHS} paths`, whereOf(dirtree));
    known.set(dirtree, shape);
  }
  return known.get(root) as TreeShape;
}

/** By the numbers of map entries. */
function entriesOf(objects: CommitObjects, dirtree: number): DirectoryEntries {
  const { map } = objects;
  const base = map.dataStartAt(dirtree);
  const children: number[] = [];
  let files = 0;
  objects.walkDirtree(dirtree, {
    file: () => void files++,
    directory: (_start, _end, checksum) => void children.push(objects.find(map.content, base + checksum, 'dirtree')),
  });
  return { files, children };
}
