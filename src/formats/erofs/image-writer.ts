/** The byte structures that all image versions have in common, filled into one buffer of the final size. */

import { ImageBytes } from './image-bytes.ts';
import type { InodeTable } from './inode-table.ts';
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
  XATTR_HEADER_BYTES,
} from './layout.ts';
import type { ErofsVersion } from './options.ts';
import type { Places } from './places.ts';
import type { StoredXattrs } from './stored-xattrs.ts';

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
}

/**
 * How a directory's entries are cut into groups: blocks, then possibly a tail behind the inode.
 * @returns blocks; the bytes of the last group if it is to be a tail (0: none) go to `tailBytes`
 */
export function placeDirectory(inodes: InodeTable, places: Places, inode: number): void {
  const { at, more, nameBytes } = inodes;
  let blockCount = 0;
  let groupBytes = 0;
  for (let entry = at[inode]; entry < at[inode] + more[inode]; entry++) {
    const entryBytes = DIRENT_BYTES + nameBytes[entry];
    if (groupBytes + entryBytes > BLOCK_BYTES) {
      blockCount++;
      groupBytes = 0;
    }
    groupBytes += entryBytes;
  }
  const isTail = groupBytes <= MAX_TAIL_BYTES;
  places.blockCount[inode] = isTail ? blockCount : blockCount + 1;
  places.tailBytes[inode] = isTail ? groupBytes : 0;
}

export class ImageWriter extends ImageBytes {
  readonly #inodes: InodeTable;
  readonly #places: Places;
  readonly #xattrs: StoredXattrs;
  /** What references of inodes count from to the shared xattrs, in 4-byte units. */
  readonly #sharedTableUnits: number;

  /** @throws LimitError for an image larger than we accept */
  constructor(
    lengthBytes: number,
    content: { inodes: InodeTable; places: Places; xattrs: StoredXattrs; sharedTableUnits: number },
  ) {
    super(lengthBytes);
    this.#inodes = content.inodes;
    this.#places = content.places;
    this.#xattrs = content.xattrs;
    this.#sharedTableUnits = content.sharedTableUnits;
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
    const view = this.view;
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
  inode(inode: number, { layout, sizeBytes, u, ino }: InodeFields, mtimeNanoseconds: number): number {
    const view = this.view;
    const { mode, nlink, uid, gid, time, times } = this.#inodes;
    const at = this.#places.offset[inode];
    const xattrBytes = this.#places.xattrBytes[inode];
    const isCompact = this.#places.isCompact[inode] === 1;
    view.setUint16(at, layout * 2 + (isCompact ? 0 : 1), true);
    if (xattrBytes > 0) view.setUint16(at + 2, (xattrBytes - XATTR_HEADER_BYTES) / 4 + 1, true);
    view.setUint16(at + 4, mode[inode], true);
    view.setUint32(at + 16, u, true);
    view.setUint32(at + 20, ino, true);
    if (isCompact) {
      view.setUint16(at + 6, nlink[inode], true);
      view.setUint32(at + 8, sizeBytes, true);
      view.setUint16(at + 24, uid[inode], true);
      view.setUint16(at + 26, gid[inode], true);
    } else {
      view.setUint32(at + 8, sizeBytes % 2 ** 32, true);
      view.setUint32(at + 12, Math.floor(sizeBytes / 2 ** 32), true);
      view.setUint32(at + 24, uid[inode], true);
      view.setUint32(at + 28, gid[inode], true);
      view.setBigInt64(at + 32, times[time[inode]].mtimeSeconds, true);
      view.setUint32(at + 40, mtimeNanoseconds, true);
      view.setUint32(at + 44, nlink[inode], true);
    }
    const xattrsAt = at + (isCompact ? COMPACT_BYTES : EXTENDED_BYTES);
    if (xattrBytes > 0) this.#xattrs.write(this, inode, xattrsAt, xattrBytes, this.#sharedTableUnits);
    return xattrsAt + xattrBytes;
  }

  /** All groups: the full ones into blocks, the last one behind the inode if the directory has a tail. */
  directory(inode: number, tailAt: number): void {
    const { at: firstEntry, more, nameBytes, child, mode } = this.#inodes;
    const { offset, blockCount, firstBlock } = this.#places;
    const end = firstEntry[inode] + more[inode];
    let first = firstEntry[inode];
    for (let block = 0; block < blockCount[inode] || first < end; block++) {
      let next = first;
      let headers = 0;
      for (let bytes = 0; next < end; next++) {
        bytes += DIRENT_BYTES + nameBytes[next];
        if (bytes > BLOCK_BYTES) break;
        headers += DIRENT_BYTES;
      }
      const at = block < blockCount[inode] ? (firstBlock[inode] + block) * BLOCK_BYTES : tailAt;
      let nameAt = at + headers;
      for (let entry = first; entry < next; entry++) {
        const direntAt = at + (entry - first) * DIRENT_BYTES;
        this.view.setUint32(direntAt, offset[child[entry]] / SLOT_BYTES, true); // images are smaller than 2^32 slots
        this.view.setUint16(direntAt + 8, nameAt - at, true);
        this.view.setUint8(direntAt + 10, DIRENT_TYPE_OF_FORMAT[mode[child[entry]] >> 12]);
        this.#inodes.copyName(entry, this.bytes, nameAt);
        nameAt += nameBytes[entry];
      }
      first = next;
    }
  }

  /** `length` bytes of the table's. */
  content(from: number, length: number, at: number): void {
    const { bytes } = this.#inodes;
    if (length > 256) this.bytes.set(bytes.subarray(from, from + length), at);
    else for (let i = 0; i < length; i++) this.bytes[at + i] = bytes[from + i];
  }
}
