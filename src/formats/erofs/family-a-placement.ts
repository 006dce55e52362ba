/** Sizes and places of the inodes of version 0 and 1 images, as libcomposefs chooses them. */

import { LimitError } from '../../errors.ts';
import { directoryGroups } from './image-writer.ts';
import {
  BLOCK_BYTES,
  CHUNK_ENTRY_BYTES,
  COMPACT_BYTES,
  EXTENDED_BYTES,
  MAX_CHUNK_BITS,
  MAX_TAIL_BYTES,
  MIN_CHUNK_BITS,
  roundUp,
  SLOT_BYTES,
  XATTR_HEADER_BYTES,
} from './layout.ts';
import { MAX_SHARED_REFERENCES_V1, MAX_XATTR_ICOUNT } from './limits.ts';
import { inlineContent, type PlannedInode } from './plan.ts';

export interface Time {
  mtimeSeconds: bigint;
  mtimeNanoseconds: number;
}

/** The build time of an image. */
export function earliest(list: PlannedInode[]): Time {
  let earliest: Time = list[0].inode;
  for (const { inode } of list) {
    if (
      inode.mtimeSeconds < earliest.mtimeSeconds ||
      (inode.mtimeSeconds === earliest.mtimeSeconds && inode.mtimeNanoseconds < earliest.mtimeNanoseconds)
    )
      earliest = inode;
  }
  return earliest;
}

/** Shares what is shared as far as references go; the rest stays with the inode. */
export function sizeXattrs(planned: PlannedInode): void {
  if (planned.xattrs.length === 0) return;
  let bytes = XATTR_HEADER_BYTES;
  for (const pair of planned.xattrs) {
    if (pair.tableOffset >= 0 && planned.sharedCount < MAX_SHARED_REFERENCES_V1) {
      planned.sharedCount++;
      bytes += 4;
    } else {
      bytes += pair.entryBytes;
    }
  }
  if ((bytes - XATTR_HEADER_BYTES) / 4 + 1 > MAX_XATTR_ICOUNT)
    throw new LimitError(`xattrs of one inode take ${bytes} bytes`, { format: 'EROFS', field: 'xattr_icount' });
  planned.xattrBytes = bytes;
}

/** Chunk count and chunk format of an external file. */
export function chunksOf(sizeBytes: number): { count: number; format: number } {
  let bits = MIN_CHUNK_BITS;
  while (bits < MAX_CHUNK_BITS && 2 ** bits < sizeBytes) bits++;
  return { count: Math.ceil(sizeBytes / 2 ** bits), format: bits - MIN_CHUNK_BITS };
}

/** What is stored in an inode's size field. */
export function storedSize(planned: PlannedInode): number {
  const { inode, blockCount, tailBytes } = planned;
  switch (inode.kind) {
    case 'directory':
      return blockCount * BLOCK_BYTES + tailBytes;
    case 'symlink':
      return inode.target.length;
    case 'external':
      return inode.sizeBytes;
    case 'file':
      return inode.content.length;
    default:
      return 0;
  }
}

/** Decides size and place of an inode. @returns where it ends */
export function place(planned: PlannedInode, end: number, buildTime: Time): number {
  const { inode, xattrBytes } = planned;
  const content = inlineContent(inode);
  if (inode.kind === 'directory') {
    Object.assign(planned, directoryGroups(planned.names));
  } else if (inode.kind === 'symlink') {
    planned.tailBytes = inode.target.length;
  } else if (content !== undefined) {
    planned.blockCount = Math.floor(content.length / BLOCK_BYTES);
    planned.tailBytes = content.length % BLOCK_BYTES;
    if (planned.tailBytes > MAX_TAIL_BYTES) {
      planned.blockCount++;
      planned.tailBytes = 0;
    }
  } else if (inode.kind === 'external') {
    planned.tailBytes = CHUNK_ENTRY_BYTES * chunksOf(inode.sizeBytes).count;
  }

  const isCompact =
    inode.mtimeSeconds === buildTime.mtimeSeconds &&
    inode.mtimeNanoseconds === buildTime.mtimeNanoseconds &&
    planned.nlink <= 0xffff &&
    inode.uid <= 0xffff &&
    inode.gid <= 0xffff &&
    storedSize(planned) <= 0xffffffff;
  planned.headerBytes = isCompact ? COMPACT_BYTES : EXTENDED_BYTES;
  const metadataBytes = planned.headerBytes + xattrBytes;
  let position = roundUp(end, SLOT_BYTES);
  if (inode.kind === 'symlink') {
    // the kernel wants a symlink as a whole in one block, but its target in a block of its own when they would fill one
    const wholeBytes = metadataBytes + planned.tailBytes;
    if (wholeBytes >= BLOCK_BYTES) {
      planned.blockCount = 1;
      planned.tailBytes = 0;
    }
    const firstBlock = Math.floor(position / BLOCK_BYTES);
    if (firstBlock !== Math.floor((position + wholeBytes - 1) / BLOCK_BYTES)) position = roundUp(position, BLOCK_BYTES);
  } else {
    const leftAt = (offset: number): number => BLOCK_BYTES - (offset % BLOCK_BYTES);
    const left = leftAt(position + metadataBytes);
    if (left < planned.tailBytes) {
      const padding = roundUp(left, SLOT_BYTES);
      if (planned.tailBytes <= leftAt(position + metadataBytes + padding)) {
        position += padding;
      } else {
        planned.blockCount++;
        planned.tailBytes = 0;
        position = roundUp(position, BLOCK_BYTES);
      }
    }
  }
  planned.offset = position;
  return position + metadataBytes + planned.tailBytes;
}
