/** The byte structures that all image versions have in common, filled into one buffer of the final size. */

import { LimitError } from '../../errors.ts';
import type { ByteString } from '../byte-string.ts';
import {
  BLOCK_BYTES,
  BLOCK_SIZE_BITS,
  COMPACT_BYTES,
  COMPOSEFS_HEADER_VERSION,
  COMPOSEFS_MAGIC,
  DIRENT_BYTES,
  DIRENT_TYPE_OF_FORMAT,
  EROFS_MAGIC,
  EXTENDED_BYTES,
  FEATURE_COMPAT,
  Header,
  MAX_TAIL_BYTES,
  SLOT_BYTES,
  SUPERBLOCK_OFFSET,
  Superblock,
  XATTR_ENTRY_BYTES,
  XATTR_HEADER_BYTES,
} from './layout.ts';
import { MAX_IMAGE_BYTES } from './limits.ts';
import { writeMetacopy } from './overlay.ts';
import type { ErofsVersion, PlannedInode } from './plan.ts';
import type { XattrPair } from './xattrs.ts';

const SLASH = 0x2f;

export interface SuperblockFields {
  version: ErofsVersion;
  flags: number;
  rootNid: number;
  inos: number;
  buildTimeSeconds: bigint;
  buildTimeNanoseconds: number;
  xattrBlock: number;
}

export interface InodeFields {
  layout: number;
  sizeBytes: number;
  /** First block, device number or chunk format. */
  u: number;
  ino: number;
  mtimeNanoseconds: number;
}

/**
 * How a directory's entries are cut into groups: blocks, then possibly a tail behind the inode.
 * @returns blocks, and the bytes of the last group if it is to be a tail (0: none)
 */
export function directoryGroups(names: readonly ByteString[]): { blockCount: number; tailBytes: number } {
  let blockCount = 0;
  let groupBytes = 0;
  for (const name of names) {
    const entryBytes = DIRENT_BYTES + name.length;
    if (groupBytes + entryBytes > BLOCK_BYTES) {
      blockCount++;
      groupBytes = 0;
    }
    groupBytes += entryBytes;
  }
  if (groupBytes > MAX_TAIL_BYTES) return { blockCount: blockCount + 1, tailBytes: 0 };
  return { blockCount, tailBytes: groupBytes };
}

export class ImageWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  /** @throws LimitError for an image larger than we accept */
  constructor(lengthBytes: number) {
    if (lengthBytes > MAX_IMAGE_BYTES)
      throw new LimitError(`the image would have ${lengthBytes} bytes, ${MAX_IMAGE_BYTES} are allowed`, {
        format: 'EROFS',
      });
    this.bytes = new Uint8Array(lengthBytes);
    this.#view = new DataView(this.bytes.buffer);
  }

  header({
    version,
    flags,
    rootNid,
    inos,
    buildTimeSeconds,
    buildTimeNanoseconds,
    xattrBlock,
  }: SuperblockFields): void {
    const view = this.#view;
    view.setUint32(Header.magic, COMPOSEFS_MAGIC, true);
    view.setUint32(Header.version, COMPOSEFS_HEADER_VERSION, true);
    view.setUint32(Header.flags, flags, true);
    view.setUint32(Header.composefsVersion, version, true);
    const at = SUPERBLOCK_OFFSET;
    view.setUint32(at + Superblock.magic, EROFS_MAGIC, true);
    view.setUint32(at + Superblock.featureCompat, FEATURE_COMPAT, true);
    view.setUint8(at + Superblock.blockSizeBits, BLOCK_SIZE_BITS);
    view.setUint16(at + Superblock.rootNid, rootNid, true);
    view.setBigUint64(at + Superblock.inos, BigInt(inos), true);
    view.setBigInt64(at + Superblock.buildTime, buildTimeSeconds, true);
    view.setUint32(at + Superblock.buildTimeNanoseconds, buildTimeNanoseconds, true);
    view.setUint32(at + Superblock.blocks, this.bytes.length / BLOCK_BYTES, true);
    view.setUint32(at + Superblock.xattrBlock, xattrBlock, true);
  }

  /** Header and xattr area. @returns where the tail goes */
  inode(planned: PlannedInode, fields: InodeFields, sharedTableUnits: number): number {
    const view = this.#view;
    const at = planned.offset;
    const { inode, mode, nlink, xattrBytes } = planned;
    const isCompact = planned.headerBytes === COMPACT_BYTES;
    view.setUint16(at, fields.layout * 2 + (isCompact ? 0 : 1), true);
    if (xattrBytes > 0) view.setUint16(at + 2, (xattrBytes - XATTR_HEADER_BYTES) / 4 + 1, true);
    view.setUint16(at + 4, mode, true);
    view.setUint32(at + 16, fields.u, true);
    view.setUint32(at + 20, fields.ino, true);
    if (isCompact) {
      view.setUint16(at + 6, nlink, true);
      view.setUint32(at + 8, fields.sizeBytes, true);
      view.setUint16(at + 24, inode.uid, true);
      view.setUint16(at + 26, inode.gid, true);
    } else {
      view.setUint32(at + 8, fields.sizeBytes % 2 ** 32, true);
      view.setUint32(at + 12, Math.floor(fields.sizeBytes / 2 ** 32), true);
      view.setUint32(at + 24, inode.uid, true);
      view.setUint32(at + 28, inode.gid, true);
      view.setBigInt64(at + 32, inode.mtimeSeconds, true);
      view.setUint32(at + 40, fields.mtimeNanoseconds, true);
      view.setUint32(at + 44, nlink, true);
    }
    const xattrsAt = at + (isCompact ? COMPACT_BYTES : EXTENDED_BYTES);
    if (xattrBytes > 0) this.#xattrs(planned, xattrsAt, sharedTableUnits);
    return xattrsAt + xattrBytes;
  }

  /** @param sharedTableUnits what references count from to the shared table, in 4-byte units */
  #xattrs({ xattrs, sharedCount }: PlannedInode, at: number, sharedTableUnits: number): void {
    let names = 0;
    let references = 0;
    let entryAt = at + XATTR_HEADER_BYTES + 4 * sharedCount;
    for (const pair of xattrs) {
      names |= pair.name.filterBit;
      if (pair.tableOffset >= 0 && references < sharedCount) {
        this.#view.setUint32(at + XATTR_HEADER_BYTES + 4 * references++, sharedTableUnits + pair.tableOffset / 4, true);
      } else {
        this.xattrEntry(pair, entryAt);
        entryAt += pair.entryBytes;
      }
    }
    this.#view.setUint32(at, ~names >>> 0, true);
    this.#view.setUint8(at + 4, sharedCount);
  }

  xattrEntry({ name, text, valueBytes }: XattrPair, at: number): void {
    this.#view.setUint8(at, name.suffix.length);
    this.#view.setUint8(at + 1, name.prefixIndex);
    this.#view.setUint16(at + 2, valueBytes, true);
    this.text(name.suffix, at + XATTR_ENTRY_BYTES);
    const valueAt = at + XATTR_ENTRY_BYTES + name.suffix.length;
    if (valueBytes === 0) return;
    if (name.form === 'digest') {
      writeMetacopy(text, this.bytes, valueAt);
    } else if (name.form === 'path') {
      this.bytes[valueAt] = SLASH;
      this.text(text, valueAt + 1);
    } else {
      this.text(text, valueAt);
    }
  }

  /** All groups: the full ones into blocks, the last one behind the inode if the directory has a tail. */
  directory({ names, children, blockCount, firstBlock }: PlannedInode, tailAt: number): void {
    let first = 0;
    for (let block = 0; block < blockCount || first < names.length; block++) {
      let next = first;
      let headers = 0;
      for (let bytes = 0; next < names.length; next++) {
        bytes += DIRENT_BYTES + names[next].length;
        if (bytes > BLOCK_BYTES) break;
        headers += DIRENT_BYTES;
      }
      const at = block < blockCount ? (firstBlock + block) * BLOCK_BYTES : tailAt;
      let nameAt = at + headers;
      for (let i = first; i < next; i++) {
        const direntAt = at + (i - first) * DIRENT_BYTES;
        this.#view.setUint32(direntAt, children[i].offset / SLOT_BYTES, true); // images are smaller than 2^32 slots
        this.#view.setUint16(direntAt + 8, nameAt - at, true);
        this.#view.setUint8(direntAt + 10, DIRENT_TYPE_OF_FORMAT[children[i].mode >> 12]);
        this.text(names[i], nameAt);
        nameAt += names[i].length;
      }
      first = next;
    }
  }

  text(text: ByteString, at: number): void {
    for (let i = 0; i < text.length; i++) this.bytes[at + i] = text.charCodeAt(i);
  }

  u32(value: number, at: number): void {
    this.#view.setUint32(at, value, true);
  }
}
