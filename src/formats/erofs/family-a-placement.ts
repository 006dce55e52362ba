/** Sizes and places of the inodes of version 0 and 1 images, as libcomposefs chooses them. */

import { placeDirectory } from './image-writer.ts';
import { Content, type InodeTable, type Time } from './inode-table.ts';
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
} from './layout.ts';
import type { Places } from './places.ts';

/** The build time of an image: the earliest of all inodes. @returns its number */
export function earliestTime({ time, times, count }: InodeTable): number {
  const isUsed = new Uint8Array(times.length);
  for (let inode = 0; inode < count; inode++) isUsed[time[inode]] = 1;
  let earliest = time[0];
  for (let number = 0; number < times.length; number++)
    if (isUsed[number] === 1 && isBefore(times[number], times[earliest])) earliest = number;
  return earliest;
}

const isBefore = (a: Time, b: Time): boolean =>
  a.mtimeSeconds < b.mtimeSeconds || (a.mtimeSeconds === b.mtimeSeconds && a.mtimeNanoseconds < b.mtimeNanoseconds);

const chunkBits = (sizeBytes: number): number => {
  let bits = MIN_CHUNK_BITS;
  while (bits < MAX_CHUNK_BITS && 2 ** bits < sizeBytes) bits++;
  return bits;
};
/** Chunks of an external file. */
export const chunkCount = (sizeBytes: number): number => Math.ceil(sizeBytes / 2 ** chunkBits(sizeBytes));
export const chunkFormat = (sizeBytes: number): number => chunkBits(sizeBytes) - MIN_CHUNK_BITS;

/** What is stored in an inode's size field. */
export function storedSize({ content, size }: InodeTable, { blockCount, tailBytes }: Places, inode: number): number {
  switch (content[inode]) {
    case Content.directory:
      return blockCount[inode] * BLOCK_BYTES + tailBytes[inode];
    case Content.device:
      return 0;
    default:
      return size[inode];
  }
}

/** How much of an inode goes into blocks, and how much behind it, as long as the place does not change that. */
function divide(inodes: InodeTable, places: Places, inode: number): void {
  const sizeBytes = inodes.size[inode];
  switch (inodes.content[inode]) {
    case Content.directory:
      placeDirectory(inodes, places, inode);
      break;
    case Content.symlink:
      places.tailBytes[inode] = sizeBytes;
      break;
    case Content.inline:
      places.blockCount[inode] = Math.floor(sizeBytes / BLOCK_BYTES);
      places.tailBytes[inode] = sizeBytes % BLOCK_BYTES;
      if (places.tailBytes[inode] > MAX_TAIL_BYTES) {
        places.blockCount[inode]++;
        places.tailBytes[inode] = 0;
      }
      break;
    case Content.external:
      places.tailBytes[inode] = CHUNK_ENTRY_BYTES * chunkCount(sizeBytes);
  }
}

/** Decides size and place of an inode. @returns where it ends */
export function place(inodes: InodeTable, places: Places, inode: number, end: number, buildTime: number): number {
  divide(inodes, places, inode);
  const { times, time, nlink, uid, gid } = inodes;
  const isCompact =
    (time[inode] === buildTime || isSameTime(times[time[inode]], times[buildTime])) &&
    nlink[inode] <= 0xffff &&
    uid[inode] <= 0xffff &&
    gid[inode] <= 0xffff &&
    storedSize(inodes, places, inode) <= 0xffffffff;
  places.isCompact[inode] = isCompact ? 1 : 0;
  const metadataBytes = (isCompact ? COMPACT_BYTES : EXTENDED_BYTES) + places.xattrBytes[inode];
  let position = roundUp(end, SLOT_BYTES);
  if (inodes.content[inode] === Content.symlink) {
    // the kernel wants a symlink as a whole in one block, but its target in a block of its own when they would fill one
    const wholeBytes = metadataBytes + places.tailBytes[inode];
    if (wholeBytes >= BLOCK_BYTES) {
      places.blockCount[inode] = 1;
      places.tailBytes[inode] = 0;
    }
    const firstBlock = Math.floor(position / BLOCK_BYTES);
    if (firstBlock !== Math.floor((position + wholeBytes - 1) / BLOCK_BYTES)) position = roundUp(position, BLOCK_BYTES);
  } else {
    const tailBytes = places.tailBytes[inode];
    const left = leftInBlock(position + metadataBytes);
    if (left < tailBytes) {
      const padding = roundUp(left, SLOT_BYTES);
      if (tailBytes <= leftInBlock(position + metadataBytes + padding)) {
        position += padding;
      } else {
        places.blockCount[inode]++;
        places.tailBytes[inode] = 0;
        position = roundUp(position, BLOCK_BYTES);
      }
    }
  }
  places.offset[inode] = position;
  return position + metadataBytes + places.tailBytes[inode];
}

const leftInBlock = (offset: number): number => BLOCK_BYTES - (offset % BLOCK_BYTES);

const isSameTime = (a: Time, b: Time): boolean =>
  a.mtimeSeconds === b.mtimeSeconds && a.mtimeNanoseconds === b.mtimeNanoseconds;
