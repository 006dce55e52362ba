/** Extended attributes `a(ayay)` of dirmeta, file headers and `user.ostreemeta`: read and written directly, because there are many. */

import { FormatError, LimitError, type Where } from '../../errors.ts';
import { byteStringFromBytes, byteStringToText, compareByteStrings } from '../byte-string.ts';
import { offsetWidth, readOffset, smallestOffsetWidth, writeOffset } from '../gvariant-framing.ts';
import type { Xattr } from '../tree.ts';
import { MAX_HEADER_BYTES, MAX_XATTR_NAME_BYTES, MAX_XATTR_VALUE_BYTES } from './limits.ts';

const FIELD = 'xattrs';
const NONE: readonly Xattr[] = [];

/** `canonical`: sorted by name, as everything that is hashed must be. `any`: in any order, and sorted here. */
export type XattrOrder = 'canonical' | 'any';

/**
 * bytes[start, end) as `a(ayay)`, in normal form. Names lose their NUL; values are copies.
 * @throws FormatError on other bytes, on empty or repeated names, names without NUL or with one inside, a wrong order;
 *   LimitError above MAX_XATTR_NAME_BYTES or MAX_XATTR_VALUE_BYTES
 */
export function parseXattrs(bytes: Uint8Array, start: number, end: number, order: XattrOrder, where: Where): Xattr[] {
  const size = end - start;
  if (size === 0) return NONE.slice();
  const fail = (offset: number, problem: string): never => {
    throw new FormatError(problem, { ...where, field: FIELD, offset });
  };
  const width = offsetWidth(size);
  const bodyBytes = size < width ? size + 1 : readOffset(bytes, end - width, width);
  if (bodyBytes > size - width || (size - bodyBytes) % width !== 0) fail(end - width, 'framing offset out of range');
  const table = start + bodyBytes;
  const count = (size - bodyBytes) / width;
  if (smallestOffsetWidth(bodyBytes, count) !== width) fail(table, 'framing offsets are wider than they need to be');
  const xattrs: Xattr[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    const next = start + readOffset(bytes, table + i * width, width);
    if (next <= at || next > table) fail(table + i * width, 'framing offset out of range');
    xattrs.push(parseXattr(bytes, at, next, where));
    at = next;
  }
  if (order === 'any') xattrs.sort((a, b) => compareByteStrings(a.name, b.name));
  for (let i = 1; i < xattrs.length; i++) {
    if (xattrs[i - 1].name === xattrs[i].name)
      fail(start, `${JSON.stringify(byteStringToText(xattrs[i].name))} is there twice`);
    if (xattrs[i - 1].name > xattrs[i].name)
      fail(start, `${JSON.stringify(byteStringToText(xattrs[i].name))} is not in its sorted place`);
  }
  return xattrs;
}

/** A whole `.file-xattrs` or `.file-xattrs-link`, of bare-split-xattrs. @throws FormatError, LimitError as parseXattrs */
export function parseFileXattrs(bytes: Uint8Array, where: Where = {}): Xattr[] {
  const at = { ...where, format: 'file-xattrs' };
  if (bytes.length > MAX_HEADER_BYTES) throw new LimitError(`larger than ${MAX_HEADER_BYTES} bytes`, at);
  return parseXattrs(bytes, 0, bytes.length, 'canonical', at);
}

/** Xattrs are written sorted; none at all are no bytes. */
export function serializeFileXattrs(xattrs: readonly Xattr[]): Uint8Array {
  const out = new Uint8Array(xattrsBytes(xattrs));
  writeXattrs(out, 0, sortXattrs(xattrs));
  return out;
}

/** One `(ayay)`: name and NUL, value, the end of the name as framing offset. */
function parseXattr(bytes: Uint8Array, start: number, end: number, where: Where): Xattr {
  const size = end - start;
  const width = offsetWidth(size);
  const fail = (offset: number, problem: string): never => {
    throw new FormatError(problem, { ...where, field: FIELD, offset });
  };
  const nameBytes = size < width ? size + 1 : readOffset(bytes, end - width, width);
  if (nameBytes > size - width) fail(start, 'framing offset out of range');
  if (smallestOffsetWidth(size - width, 1) !== width) fail(end - width, 'framing offset is wider than it needs to be');
  if (nameBytes === 0 || bytes[start + nameBytes - 1] !== 0) fail(start, 'name without a NUL at its end');
  if (nameBytes === 1) fail(start, 'empty name');
  if (bytes.indexOf(0, start) !== start + nameBytes - 1) fail(start, 'NUL inside a name');
  const valueStart = start + nameBytes;
  const valueEnd = end - width;
  if (nameBytes - 1 > MAX_XATTR_NAME_BYTES)
    throw new LimitError(`name longer than ${MAX_XATTR_NAME_BYTES} bytes`, { ...where, field: FIELD, offset: start });
  if (valueEnd - valueStart > MAX_XATTR_VALUE_BYTES)
    throw new LimitError(`value longer than ${MAX_XATTR_VALUE_BYTES} bytes`, {
      ...where,
      field: FIELD,
      offset: valueStart,
    });
  return { name: byteStringFromBytes(bytes.subarray(start, valueStart - 1)), value: bytes.slice(valueStart, valueEnd) };
}

/** Sorted by name; a copy. What is hashed has them in this order. */
export const sortXattrs = (xattrs: readonly Xattr[]): Xattr[] =>
  xattrs.slice().sort((a, b) => compareByteStrings(a.name, b.name));

const elementBytes = ({ name, value }: Xattr): number => {
  const bodyBytes = name.length + 1 + value.length;
  return bodyBytes + smallestOffsetWidth(bodyBytes, 1);
};

/** Bytes that `writeXattrs` writes. */
export function xattrsBytes(xattrs: readonly Xattr[]): number {
  let bodyBytes = 0;
  for (const xattr of xattrs) bodyBytes += elementBytes(xattr);
  return bodyBytes === 0 ? 0 : bodyBytes + xattrs.length * smallestOffsetWidth(bodyBytes, xattrs.length);
}

/** Writes the xattrs, in the order given, to out[start, start + xattrsBytes). */
export function writeXattrs(out: Uint8Array, start: number, xattrs: readonly Xattr[]): void {
  const ends: number[] = [];
  let at = start;
  for (const xattr of xattrs) {
    const { name, value } = xattr;
    for (let i = 0; i < name.length; i++) out[at + i] = name.charCodeAt(i);
    out.set(value, at + name.length + 1); // between them stays the NUL of the name
    const bodyBytes = name.length + 1 + value.length;
    const width = smallestOffsetWidth(bodyBytes, 1);
    writeOffset(out, at + bodyBytes, width, name.length + 1);
    at += bodyBytes + width;
    ends.push(at - start);
  }
  const width = smallestOffsetWidth(at - start, ends.length);
  for (const end of ends) {
    writeOffset(out, at, width, end);
    at += width;
  }
}
