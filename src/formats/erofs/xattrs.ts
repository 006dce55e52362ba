/** Xattr names and values as EROFS stores them: prefix and suffix, the name filter, pairs that several inodes share. */

import type { ByteString } from '../byte-string.ts';
import { XATTR_PREFIX_LUSTRE, XATTR_PREFIXES, xattrEntryBytes } from './layout.ts';
import { METACOPY, metacopyBytes, REDIRECT } from './overlay.ts';
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
  /** How the text of its values becomes bytes. */
  form: XattrForm;
  /** By value. */
  pairs: Map<ByteString, XattrPair>;
}

/**
 * What the text of a value stands for: `digest` is hex (or empty) that becomes a metacopy value, `path` gets a slash in front. Only
 * those that several inodes share are ever made a text: nearly every file has a digest and a path of its own (stored-xattrs.ts).
 */
export type XattrForm = 'bytes' | 'digest' | 'path';

const storedLength = (form: XattrForm, text: ByteString): number =>
  form === 'bytes' ? text.length : form === 'path' ? 1 + text.length : metacopyBytes(text);

/** A name with a value, however many inodes have it. */
export interface XattrPair {
  name: XattrName;
  /** In the name's form. */
  text: ByteString;
  valueBytes: number;
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
      // names that users gave are escaped, so that these two are ours
      const form = full === METACOPY ? 'digest' : full === REDIRECT ? 'path' : 'bytes';
      name = { full, prefixIndex, suffix, filterBit: filterBit(prefixIndex, suffix), form, pairs: new Map() };
      this.#names.set(full, name);
    }
    return name;
  }

  /** Whether some inode has an xattr of that name. */
  has(full: ByteString): boolean {
    return this.#names.has(full);
  }

  /** The pair, so far of no inode. */
  pair(name: XattrName, text: ByteString): XattrPair {
    let pair = name.pairs.get(text);
    if (pair === undefined) {
      const valueBytes = storedLength(name.form, text);
      const entryBytes = xattrEntryBytes(name.suffix.length, valueBytes);
      pair = { name, text, valueBytes, count: 0, entryBytes, tableOffset: -1 };
      name.pairs.set(text, pair);
    }
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
