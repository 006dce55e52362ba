/** From a commit's objects to the file tree model: the shape that cfsctl and our images use, and libostree's. */

import { LimitError, type Where } from '../errors.ts';
import type { ByteString } from '../formats/byte-string.ts';
import type { Checksum, ObjectId } from '../formats/ids.ts';
import { objectRelativePath } from '../formats/ids.ts';
import type { Commit } from '../formats/ostree/commit.ts';
import { isSymlink } from '../formats/ostree/file-header.ts';
import { MAX_TREE_DEPTH, MAX_TREE_PATHS } from '../formats/ostree/limits.ts';
import type { Directory, Leaf } from '../formats/tree.ts';
import type { CommitObjects, StoredFile } from './commit-reader.ts';

export type TreeRoots = Pick<Commit, 'rootDirtree' | 'rootDirmeta'>;

/** Turns one file object into a leaf; asked once for each checksum. */
export type LeafMaker = (checksum: Checksum, file: StoredFile) => Leaf;

/** How images refer to file content: by fs-verity object, small content inline, mtime 0 (composefs-rs 0.9). */
export const composefsLeaf: LeafMaker = (_checksum, { header, sizeBytes, inline, object }) => {
  const metadata = {
    permissions: header.mode & 0o7777,
    uid: header.uid,
    gid: header.gid,
    mtimeSeconds: 0n,
    mtimeNanoseconds: 0,
    xattrs: header.xattrs,
  };
  if (isSymlink(header)) return { kind: 'symlink', ...metadata, target: header.target };
  if (object === undefined) return { kind: 'file', ...metadata, content: inline ?? new Uint8Array(0) };
  return {
    kind: 'external',
    ...metadata,
    sizeBytes,
    payload: objectRelativePath(object) as string as ByteString,
    digest: object as ObjectId,
  };
};

/**
 * The whole tree of a commit. Files with the same checksum are one leaf, hence hard links in an image; directories are
 * expanded at every use, within MAX_TREE_PATHS and MAX_TREE_DEPTH. libostree's own images want an inode for each path instead.
 */
export function treeOfCommit(
  objects: CommitObjects,
  { rootDirtree, rootDirmeta }: TreeRoots = objects.commit(),
  makeLeaf: LeafMaker = composefsLeaf,
  sharing: 'hard-links' | 'separate-inodes' = 'hard-links',
): Directory {
  const leaves = new Map<Checksum, Leaf>();
  const leafOf = (checksum: Checksum): Leaf => {
    const known = leaves.get(checksum);
    if (known !== undefined) return known;
    const leaf = makeLeaf(checksum, objects.file(checksum));
    leaves.set(checksum, leaf);
    return leaf;
  };
  const root = emptyDirectory(objects, rootDirmeta);
  const pending: Array<{ directory: Directory; dirtree: Checksum; depth: number }> = [
    { directory: root, dirtree: rootDirtree, depth: 0 },
  ];
  let paths = 1;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { directory, dirtree, depth } = next;
    const where = { ...objects.where, object: `${dirtree}.dirtree` };
    if (depth > MAX_TREE_DEPTH) throw new LimitError(`directories are nested more than ${MAX_TREE_DEPTH} deep`, where);
    const { files, directories } = objects.dirtree(dirtree);
    paths = countPaths(paths, files.length + directories.length, where);
    for (const { name, checksum } of files) {
      const leaf = leafOf(checksum);
      directory.entries.set(name, sharing === 'hard-links' ? leaf : { ...leaf });
    }
    for (const child of directories) {
      const subdirectory = emptyDirectory(objects, child.dirmeta);
      directory.entries.set(child.name, subdirectory);
      pending.push({ directory: subdirectory, dirtree: child.dirtree, depth: depth + 1 });
    }
  }
  return root;
}

function countPaths(before: number, more: number, where: Where): number {
  const paths = before + more;
  if (paths > MAX_TREE_PATHS) throw new LimitError(`the tree has more than ${MAX_TREE_PATHS} paths`, where);
  return paths;
}

function emptyDirectory(objects: CommitObjects, dirmeta: Checksum): Directory {
  const { uid, gid, mode, xattrs } = objects.dirmeta(dirmeta);
  return {
    kind: 'directory',
    permissions: mode & 0o7777,
    uid,
    gid,
    mtimeSeconds: 0n,
    mtimeNanoseconds: 0,
    xattrs,
    entries: new Map(),
  };
}
