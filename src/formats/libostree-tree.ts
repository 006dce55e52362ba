/**
 * The tree behind `ostree.composefs.digest.v0`: how libostree turns a commit into a composefs image. Besides what is
 * here: version 0, every mtime 0, no content inline, an inode for every path; directories, owners, modes and xattrs as
 * in the commit. Source: libostree 2026.5, ostree-repo-composefs.c; doc/formats/erofs-image.md, "The digest in a
 * commit".
 */

import type { ByteString } from './byte-string.ts';
import type { Checksum, ObjectId } from './ids.ts';
import type { Directory, ExternalFile, InlineFile, InodeMetadata } from './tree.ts';

/** Directories of the root that an image has even where the commit does not. */
const ADDED_DIRECTORIES = ['usr', 'etc', 'boot', 'var', 'sysroot'] as readonly string[] as readonly ByteString[];

/**
 * Adds the directories that libostree adds; an existing entry of that name, of any type, is left alone. Changes
 * `root`.
 */
export function addLibostreeDirectories(root: Directory): void {
  for (const name of ADDED_DIRECTORIES) {
    if (root.entries.has(name)) continue;
    root.entries.set(name, {
      kind: 'directory',
      permissions: 0o755,
      uid: 0,
      gid: 0,
      mtimeSeconds: 0n,
      mtimeNanoseconds: 0,
      xattrs: [],
      entries: new Map(),
    });
  }
}

/**
 * A regular file as such an image has it: never inline, found by its ostree checksum, whatever the repository's mode.
 * @param digest sha256 fs-verity digest of the content alone
 */
export function libostreeFile(
  metadata: Pick<InodeMetadata, 'permissions' | 'uid' | 'gid' | 'xattrs'>,
  { checksum, sizeBytes, digest }: { checksum: Checksum; sizeBytes: number; digest: ObjectId | undefined },
): InlineFile | ExternalFile {
  const { permissions, uid, gid, xattrs } = metadata;
  const common = { permissions, uid, gid, xattrs, mtimeSeconds: 0n, mtimeNanoseconds: 0 };
  if (sizeBytes === 0) return { kind: 'file', ...common, content: new Uint8Array(0) };
  const payload = `${checksum.slice(0, 2)}/${checksum.slice(2)}.file` as ByteString;
  return { kind: 'external', ...common, sizeBytes, payload, ...(digest === undefined ? {} : { digest }) };
}
