/**
 * Numbers of the EROFS and composefs on-disk structures (doc/formats/erofs-image.md). All integers are little-endian.
 * Source: the composefs header and EROFS structures as composefs 1.0.8 and composefs-rs 0.9 write them.
 */

import type { ByteString } from '../byte-string.ts';

export const BLOCK_BYTES = 4096;
/** Inodes start at multiples of this; a nid is a file offset divided by it. */
export const SLOT_BYTES = 32;

export const COMPOSEFS_MAGIC = 0xd078629a;
export const COMPOSEFS_HEADER_VERSION = 1;
/** Offsets of the composefs header, 32 bytes at 0. */
export const Header = { magic: 0, version: 4, flags: 8, composefsVersion: 12, unused: 16, bytes: 32 } as const;
/** Header flag: some inode has a POSIX ACL (versions 0 and 1 only). */
export const FLAG_HAS_ACL = 1;

export const SUPERBLOCK_OFFSET = 1024;
export const EROFS_MAGIC = 0xe0f5e1e2;
/** Offsets from the start of the superblock, 128 bytes. */
export const Superblock = {
  magic: 0,
  checksum: 4,
  featureCompat: 8,
  blockSizeBits: 12,
  extensionSlots: 13,
  rootNid: 14,
  inos: 16,
  buildTime: 24,
  buildTimeNanoseconds: 32,
  blocks: 36,
  metaBlock: 40,
  xattrBlock: 44,
  featureIncompat: 80,
  compressionAlgorithms: 84,
  extraDevices: 86,
  deviceTableSlot: 88,
  directoryBlockBits: 90,
  xattrPrefixCount: 91,
  xattrPrefixStart: 92,
  packedNid: 96,
  bytes: 128,
} as const;
export const BLOCK_SIZE_BITS = 12;
export const FEATURE_COMPAT_XATTR_FILTER = 4;
/** mtime (2) and xattr name filter (4). */
export const FEATURE_COMPAT = 2 | FEATURE_COMPAT_XATTR_FILTER;
/** Chunk-based files; read, but left out by the writers although they write such files. */
export const FEATURE_INCOMPAT_CHUNKED = 4;
/** Where the first inode goes. */
export const FIRST_INODE_OFFSET = SUPERBLOCK_OFFSET + Superblock.bytes;

/** Bytes of an inode header. */
export const COMPACT_BYTES = 32;
export const EXTENDED_BYTES = 64;
export const Layout = { plain: 0, inline: 2, chunked: 4 } as const;

/** Bytes of the xattr area before references and entries, and of an entry before its name. */
export const XATTR_HEADER_BYTES = 12;
export const XATTR_ENTRY_BYTES = 4;
/** Xattr names are stored as prefix index and the rest. `lustre.` is read, but written by version 2 only. */
export const XATTR_PREFIXES = [
  '',
  'user.',
  'system.posix_acl_access',
  'system.posix_acl_default',
  'trusted.',
  'lustre.',
  'security.',
] as unknown as readonly ByteString[];
export const XATTR_PREFIX_LUSTRE = 5;

/** Bytes of a directory entry before the names. */
export const DIRENT_BYTES = 12;
/** A last group of a directory or a rest of inline content above this gets a block of its own. */
export const MAX_TAIL_BYTES = 2048;
/** Directory entry type by `st_mode >> 12`; 0: no such type. */
export const DIRENT_TYPE_OF_FORMAT = [0, 5, 3, 0, 2, 0, 4, 0, 1, 0, 7, 0, 6, 0, 0, 0] as const;

/** Chunk tables: 2^bits bytes a chunk, each entry a u32 "hole". */
export const MIN_CHUNK_BITS = 12;
export const MAX_CHUNK_BITS = 43;
export const MAX_CHUNK_FORMAT = MAX_CHUNK_BITS - MIN_CHUNK_BITS;
export const CHUNK_ENTRY_BYTES = 4;
export const CHUNK_HOLE = 0xffffffff;

/** `length` rounded up to a multiple of `unit`; safe beyond 32 bits. */
export const roundUp = (length: number, unit: number): number => Math.ceil(length / unit) * unit;
/** Encoded bytes of one xattr entry. */
export const xattrEntryBytes = (suffixBytes: number, valueBytes: number): number =>
  roundUp(XATTR_ENTRY_BYTES + suffixBytes + valueBytes, 4);
