/**
 * The inodes of an image that is to be written, in columns: an image of millions of files takes no JavaScript object for any of
 * them. Inodes are numbered in depth-first order, each directory before what it contains, leaves at their first entry; the root is 0.
 */

import { LimitError } from '../../errors.ts';
import type { ByteString } from '../byte-string.ts';
import type { Xattr } from '../tree.ts';
import { STUB_NAMES } from './overlay.ts';

/** What an inode has besides its metadata; what the columns `size`, `at` and `more` then mean. */
export const Content = {
  /** Pipes and sockets. */
  none: 0,
  /** `at`: first entry; `more`: number of entries. */
  directory: 1,
  /** `size` bytes at `at` of `bytes`: a file kept in the image. */
  inline: 2,
  /** A body of `size` bytes outside; `at`: its digest, `more`: its path, both numbered from 1; 0: none. */
  external: 3,
  /** A target of `size` bytes at `at` of `bytes`. */
  symlink: 4,
  /** `size`: device number. */
  device: 5,
} as const;

/** Bits of the column `flags`. */
export const HAS_WHITEOUT = 1;
export const IS_WHITEOUT = 2;

export const NO_ENTRY = 0xffffffff;

/** Names that every image has, behind all places that `bytes` can have. */
const SPECIAL_NAMES_AT = 2 ** 32 - 4096;
const SPECIAL_NAMES = Uint8Array.from(`..${STUB_NAMES.join('')}`, (letter) => letter.charCodeAt(0));
/** Of `.` and of `..`, which are one and two of the same letter. */
export const DOTS_AT = SPECIAL_NAMES_AT;
/** Of the stub for byte 0; the others follow, two letters each. */
export const STUB_NAMES_AT = SPECIAL_NAMES_AT + 2;

export interface Time {
  mtimeSeconds: bigint;
  mtimeNanoseconds: number;
}

export class InodeTable {
  /** Names, targets and content, in any order. */
  bytes: Uint8Array;
  /** Raw digests of external files, each once, one behind the other. */
  digests: Uint8Array = new Uint8Array(0);
  readonly digestBytes: number;
  /** Paths of external files, each once; undefined: each has the number of its digest, and is that object's path. */
  paths: ByteString[] | undefined;
  /** Lists of xattrs as they were given; number 0 is empty. */
  readonly xattrSets: Xattr[][] = [[]];
  readonly times: Time[] = [];

  count = 0;
  /** Type bits included. */
  mode: Uint16Array;
  content: Uint8Array;
  flags: Uint8Array;
  uid: Uint32Array;
  gid: Uint32Array;
  nlink: Uint32Array;
  /** Number in `times`. */
  time: Uint32Array;
  /** Number in `xattrSets`. */
  xattrSet: Uint32Array;
  size: Float64Array;
  at: Uint32Array;
  more: Uint32Array;
  /** The entry that is the inode's own, the others being links to it; NO_ENTRY for the root. */
  home: Uint32Array;

  entryCount = 0;
  /** Where in `bytes` the name is. Entries of a directory lie together, sorted by byte; `.` and `..` are among them. */
  nameAt: Uint32Array;
  nameBytes: Uint8Array;
  /** Inode of the entry. */
  child: Uint32Array;

  /** @throws LimitError where names could not be told from places in `bytes` */
  constructor(bytes: Uint8Array, digestBytes: number, capacity: { inodes: number; entries: number }) {
    if (bytes.length > SPECIAL_NAMES_AT)
      throw new LimitError(`names and contents take ${bytes.length} bytes`, { format: 'EROFS' });
    this.bytes = bytes;
    this.digestBytes = digestBytes;
    const { inodes, entries } = capacity;
    this.mode = new Uint16Array(inodes);
    this.content = new Uint8Array(inodes);
    this.flags = new Uint8Array(inodes);
    this.uid = new Uint32Array(inodes);
    this.gid = new Uint32Array(inodes);
    this.nlink = new Uint32Array(inodes);
    this.time = new Uint32Array(inodes);
    this.xattrSet = new Uint32Array(inodes);
    this.size = new Float64Array(inodes);
    this.at = new Uint32Array(inodes);
    this.more = new Uint32Array(inodes);
    this.home = new Uint32Array(inodes);
    this.nameAt = new Uint32Array(entries);
    this.nameBytes = new Uint8Array(entries);
    this.child = new Uint32Array(entries);
  }

  /** A new inode, everything 0 but its own entry. */
  add(content: number, mode: number, home: number): number {
    if (this.count === this.mode.length) this.#growInodes();
    const inode = this.count++;
    this.content[inode] = content;
    this.mode[inode] = mode;
    this.home[inode] = home;
    return inode;
  }

  /** Room for `count` entries, one behind the other. @returns the first */
  addEntries(count: number): number {
    const first = this.entryCount;
    this.entryCount += count;
    if (this.entryCount > this.child.length) this.#growEntries(this.entryCount);
    return first;
  }

  setName(entry: number, at: number, bytes: number): void {
    this.nameAt[entry] = at;
    this.nameBytes[entry] = bytes;
  }

  /** Byte order of two names: < 0, 0 or > 0. */
  compareNames(aAt: number, aBytes: number, bAt: number, bBytes: number): number {
    const a = this.#nameSource(aAt);
    const b = this.#nameSource(bAt);
    const aStart = a === SPECIAL_NAMES ? aAt - SPECIAL_NAMES_AT : aAt;
    const bStart = b === SPECIAL_NAMES ? bAt - SPECIAL_NAMES_AT : bAt;
    const common = Math.min(aBytes, bBytes);
    for (let i = 0; i < common; i++) {
      const difference = a[aStart + i] - b[bStart + i];
      if (difference !== 0) return difference;
    }
    return aBytes - bBytes;
  }

  copyName(entry: number, out: Uint8Array, to: number): void {
    const at = this.nameAt[entry];
    const source = this.#nameSource(at);
    const start = source === SPECIAL_NAMES ? at - SPECIAL_NAMES_AT : at;
    for (let i = 0; i < this.nameBytes[entry]; i++) out[to + i] = source[start + i];
  }

  #nameSource(at: number): Uint8Array {
    return at >= SPECIAL_NAMES_AT ? SPECIAL_NAMES : this.bytes;
  }

  #growInodes(): void {
    const capacity = Math.max(2 * this.mode.length, 256);
    const larger = <Column extends Uint8Array | Uint16Array | Uint32Array | Float64Array>(column: Column): Column => {
      const grown = new (column.constructor as new (length: number) => Column)(capacity);
      grown.set(column);
      return grown;
    };
    this.mode = larger(this.mode);
    this.content = larger(this.content);
    this.flags = larger(this.flags);
    this.uid = larger(this.uid);
    this.gid = larger(this.gid);
    this.nlink = larger(this.nlink);
    this.time = larger(this.time);
    this.xattrSet = larger(this.xattrSet);
    this.size = larger(this.size);
    this.at = larger(this.at);
    this.more = larger(this.more);
    this.home = larger(this.home);
  }

  #growEntries(needed: number): void {
    const capacity = Math.max(2 * this.child.length, needed);
    const nameAt = new Uint32Array(capacity);
    nameAt.set(this.nameAt);
    this.nameAt = nameAt;
    const nameBytes = new Uint8Array(capacity);
    nameBytes.set(this.nameBytes);
    this.nameBytes = nameBytes;
    const child = new Uint32Array(capacity);
    child.set(this.child);
    this.child = child;
  }
}
