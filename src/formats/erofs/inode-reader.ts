/** Inodes and their data, each checked before it is believed. */

import { FormatError, LimitError, type Where } from '../../errors.ts';
import type { Inode, Xattr } from '../tree.ts';
import { bytesAt, type ImageContent } from './image-content.ts';
import {
  BLOCK_BYTES,
  COMPACT_BYTES,
  EXTENDED_BYTES,
  FIRST_INODE_OFFSET,
  Layout,
  MAX_CHUNK_FORMAT,
  SLOT_BYTES,
  XATTR_HEADER_BYTES,
} from './layout.ts';
import {
  MAX_EXTERNAL_BYTES,
  MAX_INLINE_BYTES,
  MAX_INLINE_BYTES_V2,
  MAX_TARGET_BYTES,
  MAX_TARGET_BYTES_V2,
} from './limits.ts';
import type { ImageHeader } from './superblock-reader.ts';
import { XattrReader } from './xattr-reader.ts';

export interface ImageInode {
  nid: number;
  /** In the image. */
  offset: number;
  kind: Exclude<Inode['kind'], 'external'>;
  permissions: number;
  layout: number;
  sizeBytes: number;
  nlink: number;
  uid: number;
  gid: number;
  mtimeSeconds: bigint;
  mtimeNanoseconds: number;
  /** First block, device number or chunk format. */
  u: number;
  /** As stored: the inode's own, then those that it shares; names unescaped nowhere. */
  xattrs: Xattr[];
  /** Where the inode's header and xattrs end. */
  tailOffset: number;
}

const KINDS: Record<number, ImageInode['kind']> = {
  1: 'fifo',
  2: 'character',
  4: 'directory',
  6: 'block',
  8: 'file',
  10: 'symlink',
  12: 'socket',
};

/** Offsets in the image, `end` exclusive. */
interface Place {
  start: number;
  end: number;
}

export class InodeReader {
  readonly content: ImageContent;
  readonly header: ImageHeader;
  readonly #where: Where;
  readonly #sizeBytes: number;
  readonly #xattrs: XattrReader;
  /** Parts of an image do not overlap; so all inodes and their data, read once each, are no longer than the image. */
  #bytesLeft: number;

  constructor(content: ImageContent, header: ImageHeader, where: Where) {
    this.content = content;
    this.header = header;
    this.#where = where;
    this.#sizeBytes = content.sizeBytes;
    this.#xattrs = new XattrReader(content, header, where);
    this.#bytesLeft = content.sizeBytes;
  }

  fail(field: string, offset: number, problem: string): never {
    throw new FormatError(problem, { ...this.#where, field, offset });
  }

  /** Reads an inode; each is to be read once. @param nid below 2^53 */
  inode(nid: number): ImageInode {
    const offset = nid * SLOT_BYTES;
    if (offset < FIRST_INODE_OFFSET || offset + COMPACT_BYTES > this.#sizeBytes)
      this.fail('nid', offset, `inode ${nid} lies outside the image`);
    const { view, start } = this.content.piece(offset, Math.min(offset + EXTENDED_BYTES, this.#sizeBytes));
    const at = offset - start;
    const format = view.getUint16(at, true);
    const isExtended = (format & 1) === 1;
    const layout = format >> 1;
    if (layout !== Layout.plain && layout !== Layout.inline && layout !== Layout.chunked)
      this.fail('inode.format', offset, `unknown inode format ${format}`);
    if (!isExtended && this.header.version === 2)
      this.fail('inode.format', offset, 'a compact inode in a version 2 image');
    const headerBytes = isExtended ? EXTENDED_BYTES : COMPACT_BYTES;
    if (offset + headerBytes > this.#sizeBytes) this.fail('inode', offset, 'lies outside the image');
    const mode = view.getUint16(at + 4, true);
    const kind =
      KINDS[mode >> 12] ?? this.fail('inode.mode', offset + 4, `mode 0${mode.toString(8)} has no known type`);
    const icount = view.getUint16(at + 2, true);
    const xattrBytes = icount === 0 ? 0 : XATTR_HEADER_BYTES + 4 * (icount - 1);
    const tailOffset = offset + headerBytes + xattrBytes;
    if (tailOffset > this.#sizeBytes) this.fail('inode.xattr_icount', offset + 2, 'the xattrs lie outside the image');
    const { buildTimeSeconds, buildTimeNanoseconds } = this.header;
    const inode: ImageInode = {
      nid,
      offset,
      kind,
      permissions: mode & 0o7777,
      layout,
      sizeBytes: isExtended ? this.#size(view.getBigUint64(at + 8, true), offset + 8) : view.getUint32(at + 8, true),
      nlink: isExtended ? view.getUint32(at + 44, true) : view.getUint16(at + 6, true),
      uid: isExtended ? view.getUint32(at + 24, true) : view.getUint16(at + 24, true),
      gid: isExtended ? view.getUint32(at + 28, true) : view.getUint16(at + 26, true),
      mtimeSeconds: isExtended ? view.getBigInt64(at + 32, true) : buildTimeSeconds,
      mtimeNanoseconds: isExtended ? view.getUint32(at + 40, true) : buildTimeNanoseconds,
      u: view.getUint32(at + 16, true),
      xattrs: NO_XATTRS,
      tailOffset,
    };
    if (inode.mtimeNanoseconds >= 1e9)
      this.fail('inode.mtime_nsec', offset + 40, `${inode.mtimeNanoseconds} is not below 10^9`);
    this.#take(headerBytes + xattrBytes + this.#dataBytes(inode), inode);
    if (xattrBytes > 0) inode.xattrs = this.#xattrs.read(offset + headerBytes, tailOffset);
    return inode;
  }

  /** Not every number above 2^53 is a double. */
  #size(size: bigint, offset: number): number {
    if (size > MAX_EXTERNAL_BYTES) this.fail('inode.size', offset, `${size} bytes, ${MAX_EXTERNAL_BYTES} are allowed`);
    return Number(size);
  }

  /** Checks size and layout. @returns bytes of blocks and tail */
  #dataBytes(inode: ImageInode): number {
    const { kind, layout, sizeBytes, offset, u, tailOffset } = inode;
    const badSize = (problem: string): never => this.fail('inode.size', offset + 8, problem);
    if (layout === Layout.chunked) {
      if (kind !== 'file') this.fail('inode.format', offset, `a ${kind} cannot be chunk-based`);
      if ((u & 0xffff) > MAX_CHUNK_FORMAT)
        this.fail('inode.u', offset + 16, `unknown chunk format 0x${(u & 0xffff).toString(16)}`);
      if (sizeBytes === 0) badSize('a chunk-based file is not empty');
      return 0; // the table says "hole" and nobody reads it
    }
    if (kind !== 'file' && kind !== 'directory' && kind !== 'symlink') {
      if (layout !== Layout.plain) this.fail('inode.format', offset, `a ${kind} has no data`);
      if (sizeBytes !== 0) badSize(`a ${kind} has no data`);
      return 0;
    }
    if (sizeBytes > this.#sizeBytes) badSize(`${sizeBytes} bytes of data lie outside the image`);
    if (kind !== 'directory') this.#atMost(sizeBytes, kind, offset);
    const { blockBytes, tailBytes } = dataParts(inode);
    if (blockBytes > 0 && u * BLOCK_BYTES + blockBytes > this.#sizeBytes)
      this.fail('inode.u', offset + 16, `the blocks from ${u} on lie outside the image`);
    if (tailBytes > 0 && (tailOffset % BLOCK_BYTES) + tailBytes > BLOCK_BYTES) badSize('inline data crosses a block');
    if (
      kind === 'symlink' &&
      tailBytes > 0 &&
      this.header.version !== 2 &&
      (offset % BLOCK_BYTES) + (tailOffset - offset) + tailBytes > BLOCK_BYTES
    )
      badSize('the inode of a symlink crosses a block');
    return blockBytes + tailBytes;
  }

  #atMost(sizeBytes: number, kind: 'file' | 'symlink', offset: number): void {
    const isV2 = this.header.version === 2;
    const most =
      kind === 'file' ? (isV2 ? MAX_INLINE_BYTES_V2 : MAX_INLINE_BYTES) : isV2 ? MAX_TARGET_BYTES_V2 : MAX_TARGET_BYTES;
    if (sizeBytes > most)
      throw new LimitError(`${sizeBytes} bytes, ${most} are allowed in a ${kind}`, {
        ...this.#where,
        field: 'inode.size',
        offset,
      });
    if (sizeBytes === 0 && kind === 'symlink') this.fail('inode.size', offset + 8, 'a symlink needs a target');
  }

  /** What a file, directory or symlink has in the image: one piece, or blocks and tail. Views, not copies. */
  dataOf(inode: ImageInode): { blocks: Uint8Array; tail: Uint8Array } {
    const { blocks, tail } = this.placesOf(inode);
    return {
      blocks: bytesAt(this.content, blocks.start, blocks.end - blocks.start),
      tail: bytesAt(this.content, tail.start, tail.end - tail.start),
    };
  }

  /** Where that is. */
  placesOf(inode: ImageInode): { blocks: Place; tail: Place } {
    const { u, tailOffset, sizeBytes } = inode;
    const { blockBytes, tailBytes } = dataParts(inode);
    const start = blockBytes === 0 ? 0 : u * BLOCK_BYTES;
    return {
      blocks: { start, end: start + Math.min(blockBytes, sizeBytes) },
      tail: { start: tailOffset, end: tailOffset + tailBytes },
    };
  }

  #take(bytes: number, { offset }: ImageInode): void {
    this.#bytesLeft -= bytes;
    if (this.#bytesLeft < 0) this.fail('inode', offset, 'overlaps other inodes');
  }
}
const NO_XATTRS: Xattr[] = [];

/** How a flat inode's data is divided. */
function dataParts({ kind, layout, sizeBytes }: ImageInode): { blockBytes: number; tailBytes: number } {
  if (layout === Layout.chunked || (kind !== 'file' && kind !== 'directory' && kind !== 'symlink'))
    return { blockBytes: 0, tailBytes: 0 };
  const tailBytes = layout === Layout.inline ? sizeBytes % BLOCK_BYTES : 0;
  return { blockBytes: Math.ceil((sizeBytes - tailBytes) / BLOCK_BYTES) * BLOCK_BYTES, tailBytes };
}
