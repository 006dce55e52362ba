/** The two headers of an image: what kind of image it is, and where things are counted from. */

import { LimitError, type Where } from '../../errors.ts';
import { ByteReader } from '../byte-reader.ts';
import { bytesAt, type ImageContent } from './image-content.ts';
import {
  BLOCK_BYTES,
  BLOCK_SIZE_BITS,
  COMPOSEFS_HEADER_VERSION,
  COMPOSEFS_MAGIC,
  EROFS_MAGIC,
  FEATURE_COMPAT,
  FEATURE_COMPAT_XATTR_FILTER,
  FEATURE_INCOMPAT_CHUNKED,
  FLAG_HAS_ACL,
  Header,
  SUPERBLOCK_OFFSET,
  Superblock,
} from './layout.ts';
import { MAX_IMAGE_BYTES } from './limits.ts';
import type { ErofsVersion } from './options.ts';

export interface ImageHeader {
  version: ErofsVersion;
  rootNid: number;
  /** mtime of compact inodes. */
  buildTimeSeconds: bigint;
  buildTimeNanoseconds: number;
  /** Offset from which references to shared xattrs count. */
  xattrsOffset: number;
  /** Whether inodes carry a filter of their xattr names. */
  hasXattrFilter: boolean;
}

/** @throws FormatError for what is no composefs image or one with features we do not know */
export function parseImageHeader(content: ImageContent, where: Where): ImageHeader {
  const { sizeBytes } = content;
  if (sizeBytes > MAX_IMAGE_BYTES)
    throw new LimitError(`has ${sizeBytes} bytes, ${MAX_IMAGE_BYTES} are allowed`, where);
  const r = new ByteReader(bytesAt(content, 0, Math.min(sizeBytes, BLOCK_BYTES)), where);
  const expect = (field: string, value: number, expected: number): void => {
    if (value !== expected) r.fail(field, `${value}, expected ${expected}`);
  };
  if (r.u32le('header.magic') !== COMPOSEFS_MAGIC) r.fail('header.magic', 'not a composefs image');
  expect('header.version', r.u32le('header.version'), COMPOSEFS_HEADER_VERSION);
  const flags = r.u32le('header.flags');
  if ((flags & ~FLAG_HAS_ACL) !== 0) r.fail('header.flags', `unknown flags 0x${flags.toString(16)}`);
  const version = r.u32le('header.composefs_version');
  if (version > 2) r.fail('header.composefs_version', `${version} is not supported, expected 0, 1 or 2`);
  if (sizeBytes < BLOCK_BYTES || sizeBytes % BLOCK_BYTES !== 0)
    r.fail('length', `${sizeBytes} bytes are not a number of blocks`);

  const at = (offset: number): void => r.seek('superblock', SUPERBLOCK_OFFSET + offset);
  at(Superblock.magic);
  if (r.u32le('superblock.magic') !== EROFS_MAGIC) r.fail('superblock.magic', 'not an EROFS image');
  at(Superblock.featureCompat);
  const compat = r.u32le('superblock.feature_compat');
  if ((compat & ~FEATURE_COMPAT) !== 0)
    r.fail('superblock.feature_compat', `unknown features 0x${compat.toString(16)}`);
  expect('superblock.blkszbits', r.u8('superblock.blkszbits'), BLOCK_SIZE_BITS);
  expect('superblock.sb_extslots', r.u8('superblock.sb_extslots'), 0);
  const rootNid = r.u16le('superblock.root_nid');
  at(Superblock.buildTime);
  const buildTimeSeconds = r.i64leBig('superblock.build_time');
  const buildTimeNanoseconds = r.u32le('superblock.build_time_nsec');
  if (buildTimeNanoseconds >= 1e9) r.fail('superblock.build_time_nsec', `${buildTimeNanoseconds} is not below 10^9`);
  const blocks = r.u32le('superblock.blocks');
  if (blocks * BLOCK_BYTES !== sizeBytes) r.fail('superblock.blocks', `${blocks} blocks do not fit ${sizeBytes} bytes`);
  expect('superblock.meta_blkaddr', r.u32le('superblock.meta_blkaddr'), 0);
  const xattrsOffset = r.u32le('superblock.xattr_blkaddr') * BLOCK_BYTES;
  if (xattrsOffset >= sizeBytes) r.fail('superblock.xattr_blkaddr', 'lies outside the image');
  at(Superblock.featureIncompat);
  const incompat = r.u32le('superblock.feature_incompat');
  if ((incompat & ~FEATURE_INCOMPAT_CHUNKED) !== 0)
    r.fail('superblock.feature_incompat', `unknown features 0x${incompat.toString(16)}`);
  expect('superblock.available_compr_algs', r.u16le('superblock.available_compr_algs'), 0);
  expect('superblock.extra_devices', r.u16le('superblock.extra_devices'), 0);
  at(Superblock.directoryBlockBits);
  expect('superblock.dirblkbits', r.u8('superblock.dirblkbits'), 0);
  expect('superblock.xattr_prefix_count', r.u8('superblock.xattr_prefix_count'), 0);
  at(Superblock.packedNid);
  if (r.u64leBig('superblock.packed_nid') !== 0n) r.fail('superblock.packed_nid', 'packed inodes are not supported');
  const hasXattrFilter = (compat & FEATURE_COMPAT_XATTR_FILTER) !== 0;
  return {
    version: version as ErofsVersion,
    rootNid,
    buildTimeSeconds,
    buildTimeNanoseconds,
    xattrsOffset,
    hasXattrFilter,
  };
}

/** Whether bytes start like an image; a dumpfile never does. */
export const hasImageMagic = (bytes: Uint8Array): boolean =>
  bytes.length >= Header.bytes && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) === COMPOSEFS_MAGIC;
