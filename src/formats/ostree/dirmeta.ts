/** Directory metadata `(uuua(ayay))`: the object is exactly these bytes. Format: doc/formats/ostree-objects.md. */

import { FormatError, LimitError, type Where } from '../../errors.ts';
import { FileType, type Xattr } from '../tree.ts';
import { MAX_HEADER_BYTES } from './limits.ts';
import { parseXattrs, sortXattrs, writeXattrs, type XattrOrder, xattrsBytes } from './xattrs.ts';

export const TYPE_BITS = 0o170000;
const PERMISSION_BITS = 0o007777;
const NUMBERS_BYTES = 12;

/** Owner, mode and xattrs, as dirmeta and `user.ostreemeta` keep them. */
export interface InodeHeader {
  uid: number;
  gid: number;
  /** `st_mode`, type bits included. */
  mode: number;
  /** Sorted by name. */
  xattrs: Xattr[];
}
export type Dirmeta = InodeHeader;

/** @throws FormatError unless the bytes are a dirmeta in normal form, of a directory, with canonical xattrs */
export function parseDirmeta(bytes: Uint8Array, where: Where = {}): Dirmeta {
  const at = { ...where, format: 'dirmeta' };
  if (bytes.length > MAX_HEADER_BYTES) throw new LimitError(`larger than ${MAX_HEADER_BYTES} bytes`, at);
  const dirmeta = parseInodeHeader(bytes, 'canonical', at);
  requireMode(dirmeta.mode, [FileType.directory], 'a directory', 8, at);
  return dirmeta;
}

/** Xattrs are written sorted. */
export function serializeDirmeta(dirmeta: Dirmeta): Uint8Array {
  return serializeInodeHeader(dirmeta);
}

/** `(uuua(ayay))` without a look at the mode. */
export function parseInodeHeader(bytes: Uint8Array, order: XattrOrder, where: Where): InodeHeader {
  if (bytes.length < NUMBERS_BYTES)
    throw new FormatError(`needs ${NUMBERS_BYTES} bytes, has ${bytes.length}`, { ...where, field: 'value', offset: 0 });
  return {
    uid: readU32be(bytes, 0),
    gid: readU32be(bytes, 4),
    mode: readU32be(bytes, 8),
    xattrs: parseXattrs(bytes, NUMBERS_BYTES, bytes.length, order, where),
  };
}

export function serializeInodeHeader(header: InodeHeader): Uint8Array {
  const xattrs = sortXattrs(header.xattrs);
  const out = new Uint8Array(NUMBERS_BYTES + xattrsBytes(xattrs));
  writeU32be(out, 0, header.uid);
  writeU32be(out, 4, header.gid);
  writeU32be(out, 8, header.mode);
  writeXattrs(out, NUMBERS_BYTES, xattrs);
  return out;
}

/** @throws FormatError unless the type is one of `types` and nothing lies outside type and permission bits */
export function requireMode(
  mode: number,
  types: readonly number[],
  expected: string,
  offset: number,
  where: Where,
): void {
  const problem = types.includes(mode & TYPE_BITS)
    ? 'bits outside type and permissions'
    : `not the mode of ${expected}`;
  if (!types.includes(mode & TYPE_BITS) || (mode & ~(TYPE_BITS | PERMISSION_BITS)) !== 0)
    throw new FormatError(`0${mode.toString(8)} has ${problem}`, { ...where, field: 'mode', offset });
}

/** ostree swaps its integers: big-endian on disk. The caller has checked that they lie inside. */
export const readU32be = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;

export function writeU32be(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
