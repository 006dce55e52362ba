/** Xattr names and values as EROFS stores them: prefix and suffix, the name filter, pairs that several inodes share. */

import type { ByteString } from '../byte-string.ts';
import { XATTR_PREFIX_LUSTRE, XATTR_PREFIXES, xattrEntryBytes } from './layout.ts';
import { xxh32 } from './xxhash.ts';

/** Seed of the name filter; the prefix index is added. */
const FILTER_SEED = 0x25bbe08f;

/** The bit that stands for a name in the filter; the stored filter is the complement of all bits of an inode. */
export const filterBit = (prefixIndex: number, suffix: ByteString): number =>
  1 << (xxh32(suffix, FILTER_SEED + prefixIndex) & 31);

export interface XattrName {
  full: ByteString;
  prefixIndex: number;
  suffix: ByteString;
  filterBit: number;
  /** By value. */
  pairs: Map<ByteString, XattrPair>;
}

/** A name with a value, however many inodes have it. */
export interface XattrPair {
  name: XattrName;
  value: ByteString;
  /** Inodes that have it. */
  count: number;
  /** As stored, padding included. */
  entryBytes: number;
  /** From the start of the shared table; -1: kept at the inode. */
  tableOffset: number;
}

/** All xattrs of an image that is being written. */
export class XattrTable {
  readonly #names = new Map<ByteString, XattrName>();
  readonly #writesLustre: boolean;

  /** @param writesLustre whether `lustre.` names are stored by their index (version 2) or whole (0 and 1) */
  constructor(writesLustre: boolean) {
    this.#writesLustre = writesLustre;
  }

  name(full: ByteString): XattrName {
    let name = this.#names.get(full);
    if (name === undefined) {
      const prefixIndex = this.#prefixIndex(full);
      const suffix = full.slice(XATTR_PREFIXES[prefixIndex].length) as ByteString;
      name = { full, prefixIndex, suffix, filterBit: filterBit(prefixIndex, suffix), pairs: new Map() };
      this.#names.set(full, name);
    }
    return name;
  }

  /** Counts one more inode that has the pair. */
  add(name: XattrName, value: ByteString): XattrPair {
    let pair = name.pairs.get(value);
    if (pair === undefined) {
      const entryBytes = xattrEntryBytes(name.suffix.length, value.length);
      pair = { name, value, count: 0, entryBytes, tableOffset: -1 };
      name.pairs.set(value, pair);
    }
    pair.count++;
    return pair;
  }

  /** Sorts the pairs that several inodes have and gives each its place. @returns them and the bytes they take */
  placeShared(compare: (a: XattrPair, b: XattrPair) => number): { shared: XattrPair[]; bytes: number } {
    const shared: XattrPair[] = [];
    for (const name of this.#names.values())
      for (const pair of name.pairs.values()) if (pair.count > 1) shared.push(pair);
    shared.sort(compare);
    let bytes = 0;
    for (const pair of shared) {
      pair.tableOffset = bytes;
      bytes += pair.entryBytes;
    }
    return { shared, bytes };
  }

  #prefixIndex(full: ByteString): number {
    for (let index = 1; index < XATTR_PREFIXES.length; index++)
      if (full.startsWith(XATTR_PREFIXES[index]) && (index !== XATTR_PREFIX_LUSTRE || this.#writesLustre)) return index;
    return 0;
  }
}
