/** Recomputing `ostree.composefs.digest.v0`: proof of a whole tree, owners, modes, xattrs and content, from one signed value. */

import { UntrustedError } from '../errors.ts';
import { serializeErofs } from '../formats/erofs/writer.ts';
import { type Checksum, type ObjectId, objectIdFromBytes, toHex } from '../formats/ids.ts';
import { addLibostreeDirectories, libostreeFile } from '../formats/libostree-tree.ts';
import { composefsDigest } from '../formats/ostree/commit.ts';
import { nodeHashing } from '../native.ts';
import type { CommitObjects } from './commit-reader.ts';
import { composefsLeaf, type LeafMaker, type TreeRoots, treeOfCommit } from './commit-tree.ts';
import { heapBytesOfTree } from './tree-memory.ts';
import type { TreeShape } from './tree-shape.ts';

/**
 * Heap bytes that a tree may take where its digest is checked in passing: some 600,000 paths of a usual tree. Shared
 * directories let a commit of a few kilobytes stand for millions.
 */
const MAX_CHEAP_TREE_BYTES = 256 * 2 ** 20;

/** Whether a pull checks the digest by itself. */
export const isCheapToCheck = (shape: TreeShape): boolean =>
  heapBytesOfTree(shape, 'separate-inodes') <= MAX_CHEAP_TREE_BYTES;

/** Finds the sha256 fs-verity digest of an external file's content. */
export type ContentDigest = (checksum: Checksum, object: ObjectId) => ObjectId | undefined;

/**
 * The digest of the image that libostree makes of a tree: version 0, an inode for each path, nothing inlined.
 * @returns undefined when the digest of some file's content is not at hand
 */
export function computeComposefsDigest(
  objects: CommitObjects,
  roots: TreeRoots,
  contentDigest: ContentDigest,
): Uint8Array | undefined {
  let complete = true;
  const makeLeaf: LeafMaker = (checksum, file) => {
    const leaf = composefsLeaf(checksum, file);
    if (leaf.kind !== 'external' && leaf.kind !== 'file') return leaf;
    const digest =
      leaf.kind === 'file'
        ? objectIdFromBytes(nodeHashing.fsVerity('sha256', leaf.content))
        : contentDigest(checksum, leaf.digest as ObjectId);
    if (digest === undefined) complete = false;
    return libostreeFile(leaf, { checksum, sizeBytes: file.sizeBytes, digest });
  };
  const root = treeOfCommit(objects, roots, makeLeaf, 'separate-inodes');
  if (!complete) return undefined;
  addLibostreeDirectories(root);
  return nodeHashing.fsVerity('sha256', serializeErofs(root, { version: 0, algorithm: 'sha256' }));
}

/**
 * Compares the digest that the commit carries with the image libostree would make of it.
 * @returns `absent` when the commit carries none; `unknown` when a content digest is not at hand
 * @throws UntrustedError when they differ
 */
export function verifyComposefsDigest(
  objects: CommitObjects,
  contentDigest: ContentDigest,
): 'match' | 'absent' | 'unknown' {
  const commit = objects.commit();
  const expected = composefsDigest(commit);
  if (expected === undefined) return 'absent';
  const actual = computeComposefsDigest(objects, commit, contentDigest);
  if (actual === undefined) return 'unknown';
  if (toHex(actual) !== toHex(expected))
    throw new UntrustedError(`the tree has composefs digest ${toHex(actual)}, the commit promises ${toHex(expected)}`, {
      ...objects.where,
      object: `${objects.map.commit}.commit`,
      field: 'ostree.composefs.digest.v0',
    });
  return 'match';
}
