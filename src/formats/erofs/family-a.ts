/**
 * Images of version 0 and 1, byte for byte as mkcomposefs and libostree write them: compact inodes where possible, in
 * breadth-first order, 256 stubs in the root, whiteouts escaped. Rules: doc/formats/erofs-image.md, "Versions 0 and 1".
 */

import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import { FileType } from '../tree.ts';
import { chunkCount, chunkFormat, earliestTime, place, storedSize } from './family-a-placement.ts';
import { ImageWriter } from './image-writer.ts';
import { Content, HAS_WHITEOUT, type InodeTable, IS_WHITEOUT, STUB_NAMES_AT } from './inode-table.ts';
import {
  BLOCK_BYTES,
  CHUNK_ENTRY_BYTES,
  CHUNK_HOLE,
  FIRST_INODE_OFFSET,
  FLAG_HAS_ACL,
  Layout,
  roundUp,
  SLOT_BYTES,
} from './layout.ts';
import { MAX_SHARED_REFERENCES_V1 } from './limits.ts';
import {
  escapeXattrName,
  METACOPY,
  OPAQUE_MARK_VALUE,
  OPAQUE_MARKS,
  POSIX_ACL_NAMES,
  REDIRECT,
  ROOT_OPAQUE,
  ROOT_OPAQUE_VALUE,
  SELINUX,
  STUB_MODE,
  STUB_NAMES,
  WHITEOUT_MARKS,
  WHITEOUTS_MARKS,
} from './overlay.ts';
import { Places } from './places.ts';
import { StoredXattrs } from './stored-xattrs.ts';
import type { XattrPair } from './xattrs.ts';

const ROOT = 0;
const STUB_NAME_BYTES = 2;

/** Changes the table: stubs are added, and whiteouts become files. */
export function serializeFamilyA(inodes: InodeTable, version: 0 | 1): Uint8Array {
  addStubs(inodes);
  const list = listBreadthFirst(inodes);
  const xattrs = storeXattrs(inodes, version);
  const buildTime = earliestTime(inodes);
  const places = new Places(inodes.count);
  let position = FIRST_INODE_OFFSET;
  let blockCount = 0;
  for (const inode of list) {
    places.xattrBytes[inode] = xattrs.areaBytes(inode);
    position = place(inodes, places, inode, position, buildTime);
    blockCount += places.blockCount[inode];
  }
  const inodesEnd = roundUp(position, SLOT_BYTES);
  const dataStart = roundUp(inodesEnd + xattrs.sharedBytes, BLOCK_BYTES);
  let block = dataStart / BLOCK_BYTES;
  for (const inode of list) {
    if (places.blockCount[inode] > 0) places.firstBlock[inode] = block;
    block += places.blockCount[inode];
  }

  const sharedTableUnits = (inodesEnd % BLOCK_BYTES) / 4;
  const out = new ImageWriter(dataStart + blockCount * BLOCK_BYTES, { inodes, places, xattrs, sharedTableUnits });
  const { mtimeSeconds, mtimeNanoseconds } = inodes.times[buildTime];
  out.header({
    version,
    flags: POSIX_ACL_NAMES.some((name) => xattrs.names.has(name)) ? FLAG_HAS_ACL : 0,
    rootNid: places.offset[ROOT] / SLOT_BYTES,
    inos: list.length,
    buildTimeSeconds: mtimeSeconds,
    buildTimeNanoseconds: mtimeNanoseconds,
    xattrBlock: Math.floor(inodesEnd / BLOCK_BYTES),
  });
  for (let ino = 0; ino < list.length; ino++) write(out, inodes, places, list[ino], ino);
  for (const pair of xattrs.shared) out.xattrEntry(pair, inodesEnd + pair.tableOffset);
  return out.bytes;
}

/** Adds a character device 0:0 for every name `00` … `ff` that the root lacks. */
function addStubs(inodes: InodeTable): void {
  const old = inodes.at[ROOT];
  const oldEnd = old + inodes.more[ROOT];
  const first = inodes.addEntries(oldEnd - old + STUB_NAMES.length);
  const xattrSet = selinuxOnly(inodes);
  let from = old;
  let to = first;
  const moveEntry = (): void => {
    const child = inodes.child[from];
    inodes.setName(to, inodes.nameAt[from], inodes.nameBytes[from]);
    inodes.child[to] = child;
    if (inodes.home[child] === from) inodes.home[child] = to;
    from++;
    to++;
  };
  for (let stub = 0; stub < STUB_NAMES.length; stub++) {
    const nameAt = STUB_NAMES_AT + stub * STUB_NAME_BYTES;
    const order = (): number =>
      from === oldEnd ? 1 : inodes.compareNames(inodes.nameAt[from], inodes.nameBytes[from], nameAt, STUB_NAME_BYTES);
    while (order() < 0) moveEntry();
    if (order() === 0) continue;
    const inode = inodes.add(Content.device, STUB_MODE, to);
    inodes.uid[inode] = inodes.uid[ROOT];
    inodes.gid[inode] = inodes.gid[ROOT];
    inodes.time[inode] = inodes.time[ROOT];
    inodes.nlink[inode] = 1;
    inodes.xattrSet[inode] = xattrSet;
    inodes.setName(to, nameAt, STUB_NAME_BYTES);
    inodes.child[to++] = inode;
  }
  while (from < oldEnd) moveEntry();
  inodes.at[ROOT] = first;
  inodes.more[ROOT] = to - first;
}

/** Of the root's xattrs, what its stubs have too. @returns number of the list */
function selinuxOnly({ xattrSets, xattrSet }: InodeTable): number {
  const xattrs = xattrSets[xattrSet[ROOT]].filter(({ name }) => name === SELINUX);
  return xattrs.length === 0 ? 0 : xattrSets.push(xattrs) - 1;
}

/** The place in this list is the inode's number in the image. */
function listBreadthFirst({ count, content, at, more, child, home }: InodeTable): Uint32Array {
  const list = new Uint32Array(count);
  let listed = 1; // the root
  for (let i = 0; i < listed; i++) {
    const inode = list[i];
    if (content[inode] !== Content.directory) continue;
    for (let entry = at[inode]; entry < at[inode] + more[inode]; entry++)
      if (home[child[entry]] === entry) list[listed++] = child[entry];
  }
  return list;
}

const IS_ROOT = 4;

/** What becomes of the xattrs of all inodes on disk, and of whiteouts. */
function storeXattrs(inodes: InodeTable, version: 0 | 1): StoredXattrs {
  const xattrs = new StoredXattrs(inodes, {
    writesLustre: false,
    maxShared: MAX_SHARED_REFERENCES_V1,
    beyond: 'keep',
    compare: compareDescending,
  });
  const known = new Map<number, number>();
  for (let inode = 0; inode < inodes.count; inode++) {
    const marks = inodes.flags[inode] | (inode === ROOT ? IS_ROOT : 0);
    if ((marks & IS_WHITEOUT) !== 0) inodes.mode[inode] = FileType.file | (inodes.mode[inode] & 0o7777);
    const key = inodes.xattrSet[inode] * 8 + marks;
    let set = known.get(key);
    if (set === undefined) {
      set = addSet(xattrs, inodes.xattrSets[inodes.xattrSet[inode]], marks, version);
      known.set(key, set);
    }
    xattrs.assign(inode, set);
  }
  xattrs.placeShared();
  return xattrs;
}

/** One list of xattrs, with what an inode's marks add to it. */
function addSet(xattrs: StoredXattrs, given: InodeTable['xattrSets'][number], marks: number, version: 0 | 1): number {
  const stored = new Map<ByteString, ByteString>();
  for (const { name, value } of given) stored.set(escapeXattrName(name), byteStringFromBytes(value));
  if ((marks & HAS_WHITEOUT) !== 0) {
    for (const mark of WHITEOUTS_MARKS) stored.set(mark, NO_VALUE);
    if (version === 1) for (const mark of OPAQUE_MARKS) stored.set(mark, OPAQUE_MARK_VALUE);
  }
  if ((marks & IS_ROOT) !== 0) stored.set(ROOT_OPAQUE, ROOT_OPAQUE_VALUE);
  if ((marks & IS_WHITEOUT) !== 0) for (const mark of WHITEOUT_MARKS) stored.set(mark, NO_VALUE);
  const names = [...stored.keys()].sort();
  return xattrs.addSet({
    pairs: names.map((name) => xattrs.names.pair(xattrs.names.name(name), stored.get(name) as ByteString)),
    beforeDigest: names.filter((name) => name < METACOPY).length,
    beforePath: names.filter((name) => name < REDIRECT).length,
  });
}
const NO_VALUE = '' as ByteString;

/** Order of the shared table: descending by name, then by length of the value, then by value. */
function compareDescending(a: XattrPair, b: XattrPair): number {
  if (a.name !== b.name) return a.name.full > b.name.full ? -1 : 1;
  if (a.valueBytes !== b.valueBytes) return b.valueBytes - a.valueBytes;
  return a.text > b.text ? -1 : 1;
}

function write(out: ImageWriter, inodes: InodeTable, places: Places, inode: number, ino: number): void {
  const content = inodes.content[inode];
  const size = inodes.size[inode];
  const blockCount = places.blockCount[inode];
  const firstBlock = places.firstBlock[inode];
  const tailBytes = places.tailBytes[inode];
  const isChunked = content === Content.external;
  let u = blockCount > 0 ? firstBlock : 0;
  if (content === Content.device) u = size;
  // the block number's high half stays behind the chunk format; readers ignore it
  if (isChunked) u = ((u & 0xffff0000) | chunkFormat(size)) >>> 0;
  const layout = isChunked ? Layout.chunked : tailBytes > 0 ? Layout.inline : Layout.plain;
  const fields = { layout, sizeBytes: storedSize(inodes, places, inode), u, ino };
  const tailAt = out.inode(inode, fields, inodes.times[inodes.time[inode]].mtimeNanoseconds);
  const blocksAt = firstBlock * BLOCK_BYTES;
  if (content === Content.directory) {
    out.directory(inode, tailAt);
  } else if (content === Content.symlink) {
    out.content(inodes.at[inode], size, blockCount > 0 ? blocksAt : tailAt);
  } else if (isChunked) {
    // a table that found no place behind its inode fills its block, whatever its length: so the reference does
    const count = blockCount > 0 ? BLOCK_BYTES / CHUNK_ENTRY_BYTES : chunkCount(size);
    const at = blockCount > 0 ? blocksAt : tailAt;
    for (let i = 0; i < count; i++) out.u32(CHUNK_HOLE, at + CHUNK_ENTRY_BYTES * i);
  } else if (content === Content.inline) {
    const from = inodes.at[inode];
    out.content(from, size - tailBytes, blocksAt);
    out.content(from + size - tailBytes, tailBytes, tailAt);
  }
}
