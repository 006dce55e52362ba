/**
 * Images of version 2, byte for byte as composefs-rs 0.9 writes them: extended inodes in depth-first order, whiteouts
 * as they are, no stubs. Rules: doc/formats/erofs-image.md, "Version 2".
 */

import { byteStringFromBytes } from '../byte-string.ts';
import { ImageWriter, placeDirectory } from './image-writer.ts';
import { Content, type InodeTable } from './inode-table.ts';
import {
  BLOCK_BYTES,
  CHUNK_ENTRY_BYTES,
  CHUNK_HOLE,
  EXTENDED_BYTES,
  FIRST_INODE_OFFSET,
  Layout,
  MAX_CHUNK_FORMAT,
  roundUp,
  SLOT_BYTES,
} from './layout.ts';
import { MAX_SHARED_REFERENCES_V2 } from './limits.ts';
import { escapeXattrName } from './overlay.ts';
import { Places } from './places.ts';
import { StoredXattrs } from './stored-xattrs.ts';
import type { XattrPair } from './xattrs.ts';

const ROOT = 0;

export function serializeFamilyB(inodes: InodeTable): Uint8Array {
  const xattrs = storeXattrs(inodes);
  const places = new Places(inodes.count);
  let end = FIRST_INODE_OFFSET;
  for (let inode = 0; inode < inodes.count; inode++) {
    places.xattrBytes[inode] = xattrs.areaBytes(inode);
    end = roundUp(place(inodes, places, inode, end), SLOT_BYTES);
  }
  const tableStart = end;
  let block = roundUp(tableStart + xattrs.sharedBytes, BLOCK_BYTES) / BLOCK_BYTES;
  for (let inode = 0; inode < inodes.count; inode++) {
    if (places.blockCount[inode] > 0) places.firstBlock[inode] = block;
    block += places.blockCount[inode];
  }

  const out = new ImageWriter(block * BLOCK_BYTES, { inodes, places, xattrs, sharedTableUnits: tableStart / 4 });
  out.header({
    version: 2,
    flags: 0,
    rootNid: places.offset[ROOT] / SLOT_BYTES,
    inos: inodes.count,
    buildTimeSeconds: 0n,
    buildTimeNanoseconds: 0,
    xattrBlock: 0,
  });
  for (let inode = 0; inode < inodes.count; inode++) write(out, inodes, places, inode);
  for (const pair of xattrs.shared) out.xattrEntry(pair, tableStart + pair.tableOffset);
  return out.bytes;
}

/** The overlay xattrs first, then the inode's own, in the order of their unescaped names. */
function storeXattrs(inodes: InodeTable): StoredXattrs {
  const xattrs = new StoredXattrs(inodes, {
    writesLustre: true,
    maxShared: MAX_SHARED_REFERENCES_V2,
    beyond: 'refuse',
    compare: compareAscending,
  });
  for (const given of inodes.xattrSets) {
    const own = given.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const pairs = own.map(({ name, value }) =>
      xattrs.names.pair(xattrs.names.name(escapeXattrName(name)), byteStringFromBytes(value)),
    );
    xattrs.addSet({ pairs, beforeDigest: 0, beforePath: 0 });
  }
  for (let inode = 0; inode < inodes.count; inode++) xattrs.assign(inode, inodes.xattrSet[inode]);
  xattrs.placeShared();
  return xattrs;
}

/** Order of the shared table: ascending by prefix index, then suffix, then value. */
function compareAscending(a: XattrPair, b: XattrPair): number {
  if (a.name.prefixIndex !== b.name.prefixIndex) return a.name.prefixIndex - b.name.prefixIndex;
  if (a.name !== b.name) return a.name.suffix < b.name.suffix ? -1 : 1;
  return a.text < b.text ? -1 : 1;
}

const hasContent = (content: number): boolean => content === Content.inline || content === Content.symlink;

/** Decides size and place of an inode. @returns where it ends */
function place(inodes: InodeTable, places: Places, inode: number, position: number): number {
  const content = inodes.content[inode];
  if (content === Content.directory) placeDirectory(inodes, places, inode);
  else if (content === Content.external) places.tailBytes[inode] = inodes.at[inode] === 0 ? 0 : CHUNK_ENTRY_BYTES;
  else if (hasContent(content)) places.tailBytes[inode] = inodes.size[inode];
  const xattrBytes = places.xattrBytes[inode];
  const tailBytes = places.tailBytes[inode];
  let offset = position;
  if (layoutOf(inodes, places, inode) === Layout.inline) {
    // compares the last byte of the metadata with the one after the data, and so pads more often than it has to
    const lastMetadata = position + EXTENDED_BYTES + xattrBytes - 1;
    const afterData = position + EXTENDED_BYTES + xattrBytes + tailBytes;
    if (Math.floor(lastMetadata / BLOCK_BYTES) !== Math.floor(afterData / BLOCK_BYTES))
      offset = roundUp(position + BLOCK_BYTES - (lastMetadata % BLOCK_BYTES), SLOT_BYTES);
  }
  places.offset[inode] = offset;
  return offset + EXTENDED_BYTES + xattrBytes + tailBytes;
}

function layoutOf({ content }: InodeTable, { tailBytes }: Places, inode: number): number {
  if (content[inode] === Content.external) return Layout.chunked;
  return tailBytes[inode] > 0 ? Layout.inline : Layout.plain;
}

function write(out: ImageWriter, inodes: InodeTable, places: Places, inode: number): void {
  const content = inodes.content[inode];
  const size = inodes.size[inode];
  const [blockCount, firstBlock] = [places.blockCount[inode], places.firstBlock[inode]];
  let u = blockCount > 0 ? firstBlock : 0;
  if (content === Content.external) u = MAX_CHUNK_FORMAT;
  if (content === Content.device) u = size;
  let sizeBytes = content === Content.device ? 0 : size;
  if (content === Content.directory) sizeBytes = blockCount * BLOCK_BYTES + places.tailBytes[inode];
  const fields = { layout: layoutOf(inodes, places, inode), sizeBytes, u, ino: places.offset[inode] / SLOT_BYTES };
  const tailAt = out.inode(inode, fields, 0);
  if (content === Content.directory) out.directory(inode, tailAt);
  else if (content === Content.external) {
    if (places.tailBytes[inode] > 0) out.u32(CHUNK_HOLE, tailAt);
  } else if (hasContent(content)) out.content(inodes.at[inode], size, tailAt);
}
