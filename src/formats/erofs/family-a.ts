/**
 * Images of version 0 and 1, byte for byte as mkcomposefs and libostree write them: compact inodes where possible, in
 * breadth-first order, 256 stubs in the root, whiteouts escaped. Rules: doc/formats/erofs-image.md, "Versions 0 and 1".
 */

import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import { type Device, type Directory, FileType } from '../tree.ts';
import { chunksOf, earliest, place, sizeXattrs, storedSize } from './family-a-placement.ts';
import { ImageWriter } from './image-writer.ts';
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
import { type ErofsOptions, inlineContent, isWhiteout, PlannedInode, planTree } from './plan.ts';
import { type XattrName, type XattrPair, XattrTable } from './xattrs.ts';

export function serializeFamilyA(root: Directory, options: ErofsOptions): Uint8Array {
  const [plannedRoot] = planTree(root, options);
  const stubs = addStubs(plannedRoot);
  const list = listBreadthFirst(plannedRoot);

  const table = new XattrTable(false);
  for (const planned of list) storeInode(planned, stubs.has(planned), planned === plannedRoot, options.version, table);
  const { shared, bytes: tableBytes } = table.placeShared(compareDescending);

  const buildTime = earliest(list);
  let position = FIRST_INODE_OFFSET;
  let blockCount = 0;
  for (const planned of list) {
    sizeXattrs(planned);
    position = place(planned, position, buildTime);
    blockCount += planned.blockCount;
  }
  const inodesEnd = roundUp(position, SLOT_BYTES);
  const dataStart = roundUp(inodesEnd + tableBytes, BLOCK_BYTES);
  let block = dataStart / BLOCK_BYTES;
  for (const planned of list) {
    if (planned.blockCount > 0) planned.firstBlock = block;
    block += planned.blockCount;
  }

  const out = new ImageWriter(dataStart + blockCount * BLOCK_BYTES);
  out.header({
    version: options.version,
    flags: POSIX_ACL_NAMES.some((name) => table.has(name)) ? FLAG_HAS_ACL : 0,
    rootNid: plannedRoot.offset / SLOT_BYTES,
    inos: list.length,
    buildTimeSeconds: buildTime.mtimeSeconds,
    buildTimeNanoseconds: buildTime.mtimeNanoseconds,
    xattrBlock: Math.floor(inodesEnd / BLOCK_BYTES),
  });
  const sharedTableUnits = (inodesEnd % BLOCK_BYTES) / 4;
  for (let ino = 0; ino < list.length; ino++) write(out, list[ino], ino, sharedTableUnits);
  for (const pair of shared) out.xattrEntry(pair, inodesEnd + pair.tableOffset);
  return out.bytes;
}

/** Adds a character device 0:0 for every name `00` … `ff` that the root lacks, and returns them. */
function addStubs(root: PlannedInode): Set<PlannedInode> {
  const { inode, names, children } = root;
  const byName = new Map<ByteString, PlannedInode>();
  for (let i = 0; i < names.length; i++) byName.set(names[i], children[i]);
  const stubs = new Set<PlannedInode>();
  const xattrs = inode.xattrs.filter(({ name }) => name === SELINUX);
  for (const name of STUB_NAMES) {
    if (byName.has(name)) continue;
    const { uid, gid, mtimeSeconds, mtimeNanoseconds } = inode;
    const device: Device = {
      kind: 'character',
      permissions: STUB_MODE & 0o7777,
      uid,
      gid,
      mtimeSeconds,
      mtimeNanoseconds,
      xattrs,
      rdev: 0,
    };
    const stub = new PlannedInode(device, root, name);
    stub.nlink = 1;
    byName.set(name, stub);
    stubs.add(stub);
  }
  root.names = [...byName.keys()].sort();
  root.children = root.names.map((name) => byName.get(name) as PlannedInode);
  return stubs;
}

/** The place in this list is the inode's number. */
function listBreadthFirst(root: PlannedInode): PlannedInode[] {
  const list = [root];
  for (const directory of list) {
    const { names, children } = directory;
    for (let i = 0; i < names.length; i++) {
      const child = children[i];
      if (child.home === directory && child.homeName === names[i]) list.push(child);
    }
  }
  return list;
}

/** What becomes of an inode on disk: its xattrs, type and link count. */
function storeInode(planned: PlannedInode, isStub: boolean, isRoot: boolean, version: number, table: XattrTable): void {
  const { inode } = planned;
  const stored: StoredXattr[] = inode.xattrs.map(({ name, value }) => ({
    name: table.name(escapeXattrName(name)),
    text: byteStringFromBytes(value),
  }));
  const set = (full: ByteString, text: ByteString): void => {
    const name = table.name(full);
    const known = stored.find((xattr) => xattr.name === name);
    if (known === undefined) stored.push({ name, text });
    else known.text = text;
  };
  if (inode.kind === 'directory') {
    if (planned.hasWhiteout) {
      for (const mark of WHITEOUTS_MARKS) set(mark, NO_VALUE);
      if (version === 1) for (const mark of OPAQUE_MARKS) set(mark, OPAQUE_MARK_VALUE);
    }
    if (isRoot) set(ROOT_OPAQUE, ROOT_OPAQUE_VALUE);
  } else {
    planned.nlink = inode.nlink ?? planned.nlink;
    if (inode.kind === 'external' && inode.sizeBytes > 0) {
      stored.push({ name: table.name(METACOPY), text: (inode.digest ?? '') as string as ByteString });
      if (inode.payload !== undefined) stored.push({ name: table.name(REDIRECT), text: inode.payload });
    } else if (!isStub && isWhiteout(inode)) {
      planned.mode = FileType.file | inode.permissions;
      for (const mark of WHITEOUT_MARKS) set(mark, NO_VALUE);
    }
  }
  if (stored.length === 0) return;
  if (stored.length > 1) stored.sort((a, b) => (a.name.full < b.name.full ? -1 : 1));
  planned.xattrs = stored.map(({ name, text }) => table.add(name, text));
}
const NO_VALUE = '' as ByteString;

interface StoredXattr {
  name: XattrName;
  text: ByteString;
}

/** Order of the shared table: descending by name, then by length of the value, then by value. */
function compareDescending(a: XattrPair, b: XattrPair): number {
  if (a.name !== b.name) return a.name.full > b.name.full ? -1 : 1;
  if (a.valueBytes !== b.valueBytes) return b.valueBytes - a.valueBytes;
  return a.text > b.text ? -1 : 1;
}

function write(out: ImageWriter, planned: PlannedInode, ino: number, sharedTableUnits: number): void {
  const { inode, blockCount, firstBlock, tailBytes } = planned;
  const content = inlineContent(inode);
  const isChunked = inode.kind === 'external' && content === undefined;
  let u = blockCount > 0 ? firstBlock : 0;
  if (inode.kind === 'character' || inode.kind === 'block') u = inode.rdev;
  // the block number's high half stays behind the chunk format; readers ignore it
  if (isChunked) u = ((u & 0xffff0000) | chunksOf(inode.sizeBytes).format) >>> 0;
  const layout = isChunked ? Layout.chunked : tailBytes > 0 ? Layout.inline : Layout.plain;
  const fields = { layout, sizeBytes: storedSize(planned), u, ino, mtimeNanoseconds: inode.mtimeNanoseconds };
  const tailAt = out.inode(planned, fields, sharedTableUnits);
  const blocksAt = firstBlock * BLOCK_BYTES;
  if (inode.kind === 'directory') {
    out.directory(planned, tailAt);
  } else if (inode.kind === 'symlink') {
    out.text(inode.target, blockCount > 0 ? blocksAt : tailAt);
  } else if (isChunked) {
    // a table that found no place behind its inode fills its block, whatever its length: so the reference does
    const count = blockCount > 0 ? BLOCK_BYTES / CHUNK_ENTRY_BYTES : chunksOf(inode.sizeBytes).count;
    const at = blockCount > 0 ? blocksAt : tailAt;
    for (let i = 0; i < count; i++) out.u32(CHUNK_HOLE, at + CHUNK_ENTRY_BYTES * i);
  } else if (content !== undefined) {
    out.bytes.set(content.subarray(0, content.length - tailBytes), blocksAt);
    out.bytes.set(content.subarray(content.length - tailBytes), tailAt);
  }
}
