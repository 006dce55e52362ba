/**
 * The xattrs of all inodes as an image stores them: which pairs are shared, what each inode takes, and the bytes themselves. The digest
 * and the path of an external file are xattrs too, and as good as always its own: they stay numbers until they are written.
 */

import { LimitError } from '../../errors.ts';
import type { ByteString } from '../byte-string.ts';
import { toHex } from '../ids.ts';
import type { ImageBytes } from './image-bytes.ts';
import { Content, type InodeTable } from './inode-table.ts';
import { XATTR_HEADER_BYTES, xattrEntryBytes } from './layout.ts';
import { MAX_XATTR_ICOUNT } from './limits.ts';
import { METACOPY, METACOPY_HEADER_BYTES, REDIRECT } from './overlay.ts';
import { type XattrName, type XattrPair, XattrTable } from './xattrs.ts';

/** One list of xattrs, however many inodes have it; an external file's digest and path come in between. */
export interface StoredSet {
  pairs: XattrPair[];
  /** How many pairs come before the digest, and how many before the path. */
  beforeDigest: number;
  beforePath: number;
}

export interface XattrRules {
  /** Whether `lustre.` names are stored by their index (version 2) or whole (0 and 1). */
  writesLustre: boolean;
  /** Most references of an inode to shared pairs. */
  maxShared: number;
  /** Further ones are kept with the inode, or the tree is refused. */
  beyond: 'keep' | 'refuse';
  /** Order of the shared table. */
  compare(a: XattrPair, b: XattrPair): number;
}

const NOT_SHARED = -1;
const SLASH = 0x2f;

export class StoredXattrs {
  readonly names: XattrTable;
  /** Shared pairs in the order of the table, and the bytes that they take. */
  shared: XattrPair[] = [];
  sharedBytes = 0;
  readonly #inodes: InodeTable;
  readonly #rules: XattrRules;
  readonly #sets: StoredSet[] = [];
  /** By inode. */
  readonly #setOf: Uint32Array;
  readonly #metacopy: XattrName;
  readonly #redirect: XattrName;
  /** Places in the shared table by number of the digest, and of the path; 0: of files without. */
  readonly #digestOffsets: Int32Array;
  readonly #pathOffsets: Int32Array;

  constructor(inodes: InodeTable, rules: XattrRules) {
    this.#inodes = inodes;
    this.#rules = rules;
    this.names = new XattrTable(rules.writesLustre);
    this.#metacopy = this.names.name(METACOPY);
    this.#redirect = this.names.name(REDIRECT);
    this.#setOf = new Uint32Array(inodes.count);
    const digests = 1 + inodes.digests.length / inodes.digestBytes;
    this.#digestOffsets = new Int32Array(digests).fill(NOT_SHARED);
    this.#pathOffsets = new Int32Array(inodes.paths === undefined ? digests : 1 + inodes.paths.length).fill(NOT_SHARED);
  }

  /** @returns its number */
  addSet(set: StoredSet): number {
    return this.#sets.push(set) - 1;
  }

  assign(inode: number, set: number): void {
    this.#setOf[inode] = set;
  }

  /** When all inodes have their sets: gives the pairs that several of them have a place in the shared table. */
  placeShared(): void {
    const { content, at, more, count } = this.#inodes;
    const setUses = new Uint32Array(this.#sets.length);
    const digestUses = new Uint32Array(this.#digestOffsets.length);
    const pathUses = new Uint32Array(this.#pathOffsets.length);
    for (let inode = 0; inode < count; inode++) {
      setUses[this.#setOf[inode]]++;
      if (content[inode] !== Content.external) continue;
      digestUses[at[inode]]++;
      pathUses[more[inode]]++;
    }
    this.#sets.forEach(({ pairs }, set) => {
      for (const pair of pairs) pair.count += setUses[set];
    });
    const digests = this.#sharedBodies(digestUses, 0, this.#metacopy, (number) => this.#digestText(number));
    const paths = this.#sharedBodies(pathUses, 1, this.#redirect, (number) => this.#pathText(number));
    const { shared, bytes } = this.names.placeShared(this.#rules.compare);
    for (const [number, pair] of digests) this.#digestOffsets[number] = pair.tableOffset;
    for (const [number, pair] of paths) this.#pathOffsets[number] = pair.tableOffset;
    this.shared = shared;
    this.sharedBytes = bytes;
  }

  #sharedBodies(
    uses: Uint32Array,
    first: number,
    name: XattrName,
    text: (number: number) => ByteString,
  ): Map<number, XattrPair> {
    const pairs = new Map<number, XattrPair>();
    for (let number = first; number < uses.length; number++) {
      if (uses[number] < 2) continue;
      const pair = this.names.pair(name, text(number));
      pair.count = uses[number];
      pairs.set(number, pair);
    }
    return pairs;
  }

  #digestText(number: number): ByteString {
    const { digests, digestBytes } = this.#inodes;
    if (number === 0) return '' as ByteString;
    return toHex(digests.subarray((number - 1) * digestBytes, number * digestBytes)) as string as ByteString;
  }

  #pathText(number: number): ByteString {
    const { paths } = this.#inodes;
    if (paths !== undefined) return paths[number - 1];
    const digest = this.#digestText(number);
    return `${digest.slice(0, 2)}/${digest.slice(2)}` as ByteString;
  }

  /** Bytes of an inode's xattr area. @throws LimitError when its fields could not tell them */
  areaBytes(inode: number): number {
    const { content, at, more } = this.#inodes;
    const { pairs } = this.#sets[this.#setOf[inode]];
    const isExternal = content[inode] === Content.external;
    if (pairs.length === 0 && !isExternal) return 0;
    const hasPath = isExternal && more[inode] !== 0;
    const room = this.#rules.maxShared;
    let shared = 0;
    let bytes = XATTR_HEADER_BYTES;
    const count = (tableOffset: number, entryBytes: number): void => {
      if (tableOffset >= 0) shared++;
      bytes += tableOffset >= 0 && shared <= room ? 4 : entryBytes;
    };
    for (const { tableOffset, entryBytes } of pairs) count(tableOffset, entryBytes);
    if (isExternal) count(this.#digestOffsets[at[inode]], this.#digestEntryBytes(at[inode]));
    if (hasPath) count(this.#pathOffsets[more[inode]], this.#pathEntryBytes(more[inode]));
    if (shared > room) {
      if (this.#rules.beyond === 'refuse')
        throw new LimitError(`an inode refers to ${shared} shared xattrs, ${room} are allowed`, {
          format: 'EROFS',
          field: 'h_shared_count',
        });
      bytes = this.#orderedAreaBytes(inode);
    }
    if ((bytes - XATTR_HEADER_BYTES) / 4 + 1 > MAX_XATTR_ICOUNT)
      throw new LimitError(`xattrs of one inode take ${bytes} bytes`, { format: 'EROFS', field: 'xattr_icount' });
    return bytes;
  }

  /** Where not all shared pairs have a reference, the order decides which do. */
  #orderedAreaBytes(inode: number): number {
    let shared = 0;
    let bytes = XATTR_HEADER_BYTES;
    this.#inOrder(inode, (tableOffset, entryBytes) => {
      const isReference = tableOffset >= 0 && shared++ < this.#rules.maxShared;
      bytes += isReference ? 4 : entryBytes;
    });
    return bytes;
  }

  /** @param pair undefined for the digest and the path of an external file */
  #inOrder(
    inode: number,
    visit: (tableOffset: number, entryBytes: number, name: XattrName, pair: XattrPair | undefined) => void,
  ): void {
    const { content, at, more } = this.#inodes;
    const { pairs, beforeDigest, beforePath } = this.#sets[this.#setOf[inode]];
    const isExternal = content[inode] === Content.external;
    for (let i = 0; i <= pairs.length; i++) {
      if (isExternal && i === beforeDigest)
        visit(this.#digestOffsets[at[inode]], this.#digestEntryBytes(at[inode]), this.#metacopy, undefined);
      if (isExternal && i === beforePath && more[inode] !== 0)
        visit(this.#pathOffsets[more[inode]], this.#pathEntryBytes(more[inode]), this.#redirect, undefined);
      if (i < pairs.length) visit(pairs[i].tableOffset, pairs[i].entryBytes, pairs[i].name, pairs[i]);
    }
  }

  /** Writes the area of an inode that has one. @param tableUnits what references count from to the shared table, in 4-byte units */
  write(out: ImageBytes, inode: number, start: number, areaBytes: number, tableUnits: number): void {
    let filter = 0;
    let sharedCount = 0;
    let sharedLeft = this.#sharedCount(inode);
    let entryAt = start + XATTR_HEADER_BYTES + 4 * sharedLeft;
    this.#inOrder(inode, (tableOffset, entryBytes, name, pair) => {
      filter |= name.filterBit;
      if (tableOffset >= 0 && sharedLeft > 0) {
        sharedLeft--;
        out.u32(tableUnits + tableOffset / 4, start + XATTR_HEADER_BYTES + 4 * sharedCount++);
        return;
      }
      if (pair !== undefined) out.xattrEntry(pair, entryAt);
      else if (name === this.#metacopy) this.#writeDigest(out, this.#inodes.at[inode], entryAt);
      else this.#writePath(out, this.#inodes.more[inode], entryAt);
      entryAt += entryBytes;
    });
    out.xattrHeader(start, filter, sharedCount);
    if (entryAt !== start + areaBytes) throw new TypeError('the xattrs of an inode are not where they were placed');
  }

  #sharedCount(inode: number): number {
    const { content, at, more } = this.#inodes;
    let shared = 0;
    for (const { tableOffset } of this.#sets[this.#setOf[inode]].pairs) if (tableOffset >= 0) shared++;
    if (content[inode] === Content.external) {
      if (this.#digestOffsets[at[inode]] >= 0) shared++;
      if (more[inode] !== 0 && this.#pathOffsets[more[inode]] >= 0) shared++;
    }
    return Math.min(shared, this.#rules.maxShared);
  }

  #digestEntryBytes(number: number): number {
    const valueBytes = number === 0 ? 0 : METACOPY_HEADER_BYTES + this.#inodes.digestBytes;
    return xattrEntryBytes(this.#metacopy.suffix.length, valueBytes);
  }

  #pathEntryBytes(number: number): number {
    return xattrEntryBytes(this.#redirect.suffix.length, this.#pathBytes(number));
  }

  /** With the slash in front. */
  #pathBytes(number: number): number {
    const { paths, digestBytes } = this.#inodes;
    return 1 + (paths === undefined ? 2 * digestBytes + 1 : paths[number - 1].length);
  }

  #writeDigest(out: ImageBytes, number: number, at: number): void {
    const { digests, digestBytes } = this.#inodes;
    const valueBytes = number === 0 ? 0 : METACOPY_HEADER_BYTES + digestBytes;
    const valueAt = out.xattrEntryHead(this.#metacopy, valueBytes, at);
    if (number !== 0) out.metacopy(digests, (number - 1) * digestBytes, digestBytes, valueAt);
  }

  #writePath(out: ImageBytes, number: number, at: number): void {
    const { paths, digests, digestBytes } = this.#inodes;
    const valueAt = out.xattrEntryHead(this.#redirect, this.#pathBytes(number), at);
    out.bytes[valueAt] = SLASH;
    if (paths !== undefined) {
      out.text(paths[number - 1], valueAt + 1);
      return;
    }
    const digestAt = (number - 1) * digestBytes;
    out.hex(digests, digestAt, 1, valueAt + 1);
    out.bytes[valueAt + 3] = SLASH;
    out.hex(digests, digestAt + 1, digestBytes - 1, valueAt + 4);
  }
}
