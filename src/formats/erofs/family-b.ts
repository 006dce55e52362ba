/**
 * Images of version 2, byte for byte as composefs-rs 0.9 writes them: extended inodes in depth-first order, whiteouts
 * as they are, no stubs. Rules: doc/formats/erofs-image.md, "Version 2".
 */

import { LimitError } from '../../errors.ts';
import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import { type Algorithm, type ObjectId, objectRelativePath } from '../ids.ts';
import type { Directory, ExternalFile, Inode } from '../tree.ts';
import { directoryGroups, ImageWriter } from './image-writer.ts';
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
  XATTR_HEADER_BYTES,
} from './layout.ts';
import { MAX_SHARED_REFERENCES_V2, MAX_XATTR_ICOUNT } from './limits.ts';
import { escapeXattrName, METACOPY, objectOfPath, REDIRECT } from './overlay.ts';
import { type ErofsOptions, inlineContent, type PlannedInode, planTree } from './plan.ts';
import { type XattrPair, XattrTable } from './xattrs.ts';

export function serializeFamilyB(root: Directory, options: ErofsOptions): Uint8Array {
  const list = planTree(root, options);
  const table = new XattrTable(true);
  for (const planned of list) listXattrs(planned, options.algorithm, table);
  const { shared, bytes: tableBytes } = table.placeShared(compareAscending);

  let end = FIRST_INODE_OFFSET;
  for (const planned of list) {
    sizeXattrs(planned);
    end = roundUp(place(planned, end), SLOT_BYTES);
  }
  const tableStart = end;
  let block = roundUp(tableStart + tableBytes, BLOCK_BYTES) / BLOCK_BYTES;
  for (const planned of list) {
    if (planned.blockCount > 0) planned.firstBlock = block;
    block += planned.blockCount;
  }

  const out = new ImageWriter(block * BLOCK_BYTES);
  out.header({
    version: 2,
    flags: 0,
    rootNid: list[0].offset / SLOT_BYTES,
    inos: list.length,
    buildTimeSeconds: 0n,
    buildTimeNanoseconds: 0,
    xattrBlock: 0,
  });
  for (const planned of list) write(out, planned, tableStart / 4);
  for (const pair of shared) out.xattrEntry(pair, tableStart + pair.tableOffset);
  return out.bytes;
}

/** The overlay xattrs first, then the inode's own, in the order of their unescaped names. */
function listXattrs(planned: PlannedInode, algorithm: Algorithm, table: XattrTable): void {
  const { inode } = planned;
  const pairs: XattrPair[] = [];
  const add = (name: ByteString, text: ByteString): void => void pairs.push(table.add(table.name(name), text));
  if (isChunked(inode)) {
    add(METACOPY, (inode.digest ?? '') as string as ByteString);
    const object = objectOf(inode, algorithm);
    if (object !== undefined) add(REDIRECT, objectRelativePath(object) as ByteString);
  }
  const own = inode.xattrs.length > 1 ? inode.xattrs.toSorted((a, b) => (a.name < b.name ? -1 : 1)) : inode.xattrs;
  for (const { name, value } of own) add(escapeXattrName(name), byteStringFromBytes(value));
  if (pairs.length > 0) planned.xattrs = pairs;
}

/**
 * The object with an external file's body; version 2 names it by its digest, or by the end of its path where it has
 * none.
 */
const objectOf = ({ digest, payload }: ExternalFile, algorithm: Algorithm): ObjectId | undefined =>
  digest ?? (payload === undefined ? undefined : objectOfPath(payload, algorithm));

/** Order of the shared table: ascending by prefix index, then suffix, then value. */
function compareAscending(a: XattrPair, b: XattrPair): number {
  if (a.name.prefixIndex !== b.name.prefixIndex) return a.name.prefixIndex - b.name.prefixIndex;
  if (a.name !== b.name) return a.name.suffix < b.name.suffix ? -1 : 1;
  return a.text < b.text ? -1 : 1;
}

function sizeXattrs(planned: PlannedInode): void {
  const { xattrs } = planned;
  if (xattrs.length === 0) return;
  let bytes = XATTR_HEADER_BYTES;
  for (const pair of xattrs) {
    if (pair.tableOffset >= 0) planned.sharedCount++;
    bytes += pair.tableOffset >= 0 ? 4 : pair.entryBytes;
  }
  if (planned.sharedCount > MAX_SHARED_REFERENCES_V2)
    throw new LimitError(
      `an inode refers to ${planned.sharedCount} shared xattrs, ${MAX_SHARED_REFERENCES_V2} are allowed`,
      {
        format: 'EROFS',
        field: 'h_shared_count',
      },
    );
  if ((bytes - XATTR_HEADER_BYTES) / 4 + 1 > MAX_XATTR_ICOUNT)
    throw new LimitError(`xattrs of one inode take ${bytes} bytes`, { format: 'EROFS', field: 'xattr_icount' });
  planned.xattrBytes = bytes;
}

/** Bytes of a directory, target or content that the image keeps. */
function flatBytes({ inode, blockCount, tailBytes }: PlannedInode): number {
  if (inode.kind === 'directory') return blockCount * BLOCK_BYTES + tailBytes;
  if (inode.kind === 'symlink') return inode.target.length;
  return inlineContent(inode)?.length ?? 0;
}

/** Decides size and place of an inode. @returns where it ends */
function place(planned: PlannedInode, position: number): number {
  const { inode, xattrBytes } = planned;
  planned.headerBytes = EXTENDED_BYTES;
  if (inode.kind === 'directory') Object.assign(planned, directoryGroups(planned.names));
  else if (isChunked(inode)) planned.tailBytes = inode.digest === undefined ? 0 : CHUNK_ENTRY_BYTES;
  else planned.tailBytes = flatBytes(planned);
  planned.offset = position;
  if (layoutOf(planned) === Layout.inline) {
    // compares the last byte of the metadata with the one after the data, and so pads more often than it has to
    const lastMetadata = position + EXTENDED_BYTES + xattrBytes - 1;
    const afterData = position + EXTENDED_BYTES + xattrBytes + planned.tailBytes;
    if (Math.floor(lastMetadata / BLOCK_BYTES) !== Math.floor(afterData / BLOCK_BYTES))
      planned.offset = roundUp(position + BLOCK_BYTES - (lastMetadata % BLOCK_BYTES), SLOT_BYTES);
  }
  return planned.offset + EXTENDED_BYTES + xattrBytes + planned.tailBytes;
}

const isChunked = (inode: Inode): inode is ExternalFile => inode.kind === 'external' && inode.sizeBytes > 0;

const layoutOf = ({ inode, tailBytes }: PlannedInode): number =>
  isChunked(inode) ? Layout.chunked : tailBytes > 0 ? Layout.inline : Layout.plain;

function write(out: ImageWriter, planned: PlannedInode, sharedTableUnits: number): void {
  const { inode, firstBlock, offset } = planned;
  const sizeBytes = isChunked(inode) ? inode.sizeBytes : flatBytes(planned);
  let u = planned.blockCount > 0 ? firstBlock : 0;
  if (isChunked(inode)) u = MAX_CHUNK_FORMAT;
  if (inode.kind === 'character' || inode.kind === 'block') u = inode.rdev;
  const fields = { layout: layoutOf(planned), sizeBytes, u, ino: offset / SLOT_BYTES, mtimeNanoseconds: 0 };
  const tailAt = out.inode(planned, fields, sharedTableUnits);
  if (inode.kind === 'directory') out.directory(planned, tailAt);
  else if (inode.kind === 'symlink') out.text(inode.target, tailAt);
  else if (isChunked(inode) && planned.tailBytes > 0) out.u32(CHUNK_HOLE, tailAt);
  else if (inode.kind === 'file') out.bytes.set(inode.content, tailAt);
}
