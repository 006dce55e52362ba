/**
 * The file tree model between commits, dumpfiles and EROFS images. Names, targets and xattrs are bytes (ByteString).
 * A leaf that occurs at several places as the same JavaScript object is a hard link.
 */

import type { ByteString } from './byte-string.ts';
import type { ObjectId } from './ids.ts';

export interface Xattr {
  /** Without a trailing NUL. */
  name: ByteString;
  value: Uint8Array;
}

export interface InodeMetadata {
  /** Permission bits with setuid, setgid, sticky: 0–0o7777. The type is in `kind`. */
  permissions: number;
  uid: number;
  gid: number;
  /** Seconds since the epoch, signed; image version 0/1 keep 64 bits. */
  mtimeSeconds: bigint;
  mtimeNanoseconds: number;
  /** Unique names; the writers sort them as their format asks. */
  xattrs: Xattr[];
}

export interface Directory extends InodeMetadata {
  kind: 'directory';
  /** Iteration order is not significant: writers sort by byte order. */
  entries: Map<ByteString, Inode>;
}

/** What only dumpfiles and version 0/1 images can say about an inode that is not a directory; usually absent. */
export interface LeafMetadata extends InodeMetadata {
  /** Link count as stated, where it is not the number of entries. Version 2 has no use for it. */
  nlink?: number;
  /**
   * The entry that is the inode's own, the others being links to it, where it is not the first in depth-first byte order:
   * it decides where a version 0/1 image keeps the inode.
   */
  origin?: { directory: Directory; name: ByteString };
}

/** Content kept in the image itself (inline) or outside (external). */
export interface InlineFile extends LeafMetadata {
  kind: 'file';
  content: Uint8Array;
}

export interface ExternalFile extends LeafMetadata {
  kind: 'external';
  sizeBytes: number;
  /** Where the body is, relative to the data directory: `xx/yyyy…` or any dumpfile payload; none: a hole without a body. */
  payload?: ByteString;
  /** fs-verity digest that the body must have; none: not verified. */
  digest?: ObjectId;
}

export interface Symlink extends LeafMetadata {
  kind: 'symlink';
  target: ByteString;
}

export interface Device extends LeafMetadata {
  kind: 'character' | 'block';
  /** As in a dumpfile: Linux `dev_t` in its 32-bit encoding. */
  rdev: number;
}

export interface Pipe extends LeafMetadata {
  kind: 'fifo' | 'socket';
}

export type Leaf = InlineFile | ExternalFile | Symlink | Device | Pipe;
export type Inode = Directory | Leaf;

export const FileType = {
  directory: 0o040000,
  file: 0o100000,
  external: 0o100000,
  symlink: 0o120000,
  character: 0o020000,
  block: 0o060000,
  fifo: 0o010000,
  socket: 0o140000,
} as const satisfies Record<Inode['kind'], number>;

/** `st_mode`: type bits and permissions. */
export const modeOf = (inode: Inode): number => FileType[inode.kind] | inode.permissions;
