/** The xattrs of inodes, their own and those that they share. */

import { FormatError, LimitError, type Where } from '../../errors.ts';
import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import type { Xattr } from '../tree.ts';
import type { ImageContent, ImagePiece } from './image-content.ts';
import { XATTR_ENTRY_BYTES, XATTR_HEADER_BYTES, XATTR_PREFIXES, xattrEntryBytes } from './layout.ts';
import { MAX_EXPANDED_XATTR_BYTES } from './limits.ts';
import type { ImageHeader } from './superblock-reader.ts';
import { filterBit } from './xattrs.ts';

interface StoredName {
  name: ByteString;
  /** What stands in the image, behind the prefix. */
  suffix: Uint8Array;
  filterBit: number;
}

interface StoredXattr {
  xattr: Xattr;
  filterBit: number;
  entryBytes: number;
}

/** Its lengths are numbers of one and two bytes. */
const LONGEST_ENTRY_BYTES = xattrEntryBytes(0xff, 0xffff);

export class XattrReader {
  readonly #content: ImageContent;
  readonly #header: ImageHeader;
  readonly #where: Where;
  /** By offset: many inodes share one. */
  readonly #shared = new Map<number, StoredXattr>();
  /** By prefix index, then suffix: few names, many uses. */
  readonly #names: Array<Map<ByteString, StoredName>> = XATTR_PREFIXES.map(() => new Map());
  /** The first of them, by prefix index: compared byte for byte, which takes less than to make a string and look it up. */
  readonly #firstNames: StoredName[][] = XATTR_PREFIXES.map(() => []);
  /** Shared entries do not overlap; so all of them, decoded once each, are no longer than the image. */
  #sharedBytesLeft: number;
  #expandedBytes = 0;

  constructor(content: ImageContent, header: ImageHeader, where: Where) {
    this.#content = content;
    this.#header = header;
    this.#where = where;
    this.#sharedBytesLeft = content.sizeBytes;
  }

  /** @param start of an inode's xattr area; it ends at `end` */
  read(start: number, end: number): Xattr[] {
    const area = this.#content.piece(start, end);
    const { view, start: areaStart } = area;
    const filter = view.getUint32(start - areaStart, true);
    const sharedCount = view.getUint8(start - areaStart + 4);
    const entriesAt = start + XATTR_HEADER_BYTES + 4 * sharedCount;
    if (entriesAt > end)
      this.#fail('xattr.h_shared_count', start + 4, `${sharedCount} references do not fit into the xattr area`);
    const xattrs: Xattr[] = [];
    let names = 0;
    for (let at = entriesAt; at < end; ) {
      const stored = this.#entry(area, at, end);
      xattrs.push(stored.xattr);
      names |= stored.filterBit;
      at += stored.entryBytes;
    }
    for (let at = start + XATTR_HEADER_BYTES; at < entriesAt; at += 4) {
      const stored = this.#sharedEntry(this.#header.xattrsOffset + 4 * view.getUint32(at - areaStart, true), at);
      xattrs.push(stored.xattr);
      names |= stored.filterBit;
    }
    if (this.#header.hasXattrFilter && filter !== ~names >>> 0)
      this.#fail('xattr.h_name_filter', start, `0x${filter.toString(16)} hides xattrs or promises others`);
    this.#checkNames(xattrs, start);
    return xattrs;
  }

  #checkNames(xattrs: Xattr[], offset: number): void {
    const twice = repeatedName(xattrs);
    if (twice !== undefined) this.#fail('xattr.name', offset, `${JSON.stringify(twice)} is there twice`);
    for (const { name, value } of xattrs) this.#expandedBytes += name.length + value.length;
    if (this.#expandedBytes > MAX_EXPANDED_XATTR_BYTES)
      throw new LimitError(`the xattrs stand for more than ${MAX_EXPANDED_XATTR_BYTES} bytes`, {
        ...this.#where,
        field: 'xattr',
        offset,
      });
  }

  #sharedEntry(at: number, referenceAt: number): StoredXattr {
    const known = this.#shared.get(at);
    if (known !== undefined) return known;
    const { sizeBytes } = this.#content;
    if (at + XATTR_ENTRY_BYTES > sizeBytes)
      this.#fail('xattr.shared', referenceAt, 'the shared xattr lies outside the image');
    const piece = this.#content.piece(at, Math.min(at + LONGEST_ENTRY_BYTES, sizeBytes));
    const stored = this.#entry(piece, at, sizeBytes);
    this.#sharedBytesLeft -= stored.entryBytes;
    if (this.#sharedBytesLeft < 0) this.#fail('xattr.shared', referenceAt, 'shared xattrs overlap');
    this.#shared.set(at, stored);
    return stored;
  }

  #entry({ bytes, view, start }: ImagePiece, at: number, end: number): StoredXattr {
    if (at + XATTR_ENTRY_BYTES > end) this.#fail('xattr', at, 'an entry does not fit into the xattr area');
    const suffixBytes = view.getUint8(at - start);
    const prefixIndex = view.getUint8(at - start + 1);
    const valueBytes = view.getUint16(at - start + 2, true);
    const prefix =
      XATTR_PREFIXES[prefixIndex] ?? this.#fail('xattr.e_name_index', at + 1, `unknown prefix ${prefixIndex}`);
    const entryBytes = xattrEntryBytes(suffixBytes, valueBytes);
    if (at + entryBytes > end)
      this.#fail('xattr', at, `an entry of ${entryBytes} bytes does not fit into the xattr area`);
    const valueAt = at - start + XATTR_ENTRY_BYTES + suffixBytes;
    const stored =
      this.#firstNames[prefixIndex].find(({ suffix }) => isAt(bytes, valueAt - suffixBytes, valueAt, suffix)) ??
      this.#nameOf(prefix, prefixIndex, bytes.slice(valueAt - suffixBytes, valueAt), at);
    const value = bytes.subarray(valueAt, valueAt + valueBytes);
    return { xattr: { name: stored.name, value }, filterBit: stored.filterBit, entryBytes };
  }

  #nameOf(prefix: string, prefixIndex: number, suffix: Uint8Array, at: number): StoredName {
    const text = byteStringFromBytes(suffix);
    const known = this.#names[prefixIndex].get(text);
    if (known !== undefined) return known;
    const stored = { name: (prefix + text) as ByteString, suffix, filterBit: filterBit(prefixIndex, text) };
    this.#checkName(stored.name, prefixIndex, at);
    this.#names[prefixIndex].set(text, stored);
    if (this.#firstNames[prefixIndex].length < FEW) this.#firstNames[prefixIndex].push(stored);
    return stored;
  }

  #checkName(name: ByteString, prefixIndex: number, at: number): void {
    if (name === '' || name === '\0') this.#fail('xattr.e_name_len', at, 'an xattr without a name');
    // composefs-rs keeps the NUL that ends a name inside ostree objects; it is kept here too
    if (name.slice(0, -1).includes('\0')) this.#fail('xattr.name', at + XATTR_ENTRY_BYTES, 'contains a NUL');
    const isUnderPrefix = XATTR_PREFIXES.some((prefix, index) => MUST_BE_CUT.has(index) && name.startsWith(prefix));
    if (prefixIndex === 0 && isUnderPrefix)
      this.#fail('xattr.e_name_index', at + 1, `${JSON.stringify(name)} must be stored by its prefix`);
  }

  #fail(field: string, offset: number, problem: string): never {
    throw new FormatError(problem, { ...this.#where, field, offset });
  }
}

/** Prefixes that every writer cuts off; under a whole name the kernel would not find such an xattr. */
const MUST_BE_CUT = new Set([1, 2, 3, 4, 6]);

/** Whether the bytes from `start` to `end` are these. */
function isAt(bytes: Uint8Array, start: number, end: number, these: Uint8Array): boolean {
  if (these.length !== end - start) return false;
  for (let i = these.length - 1; i >= 0; i--) if (bytes[start + i] !== these[i]) return false; // names of a kind begin alike
  return true;
}

/** So few are compared with one another: nearly every inode, and a set for each of a million would be garbage. */
const FEW = 8;

function repeatedName(xattrs: readonly Xattr[]): ByteString | undefined {
  if (xattrs.length <= FEW)
    return xattrs.find(({ name }, i) => xattrs.findIndex((other) => other.name === name) < i)?.name;
  const seen = new Set<ByteString>();
  return xattrs.find(({ name }) => seen.size === seen.add(name).size)?.name;
}
