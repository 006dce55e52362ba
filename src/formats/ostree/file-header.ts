/**
 * Headers of file objects: the one in front of a `.filez` `(tuuuusa(ayay))`, the one that is hashed `(uuuusa(ayay))`, and the
 * attribute `user.ostreemeta` `(uuua(ayay))`. Format: doc/formats/ostree-objects.md.
 */

import { FormatError, LimitError, type Where } from '../../errors.ts';
import { type ByteString, byteStringFromBytes } from '../byte-string.ts';
import { offsetWidth, readOffset, smallestOffsetWidth, writeOffset } from '../gvariant-framing.ts';
import { isUtf8Range } from '../gvariant-text.ts';
import { FileType } from '../tree.ts';
import {
  type InodeHeader,
  parseInodeHeader,
  readU32be,
  requireMode,
  serializeInodeHeader,
  TYPE_BITS,
  writeU32be,
} from './dirmeta.ts';
import { MAX_FILE_BYTES, MAX_HEADER_BYTES, MAX_TARGET_BYTES } from './limits.ts';
import { parseXattrs, sortXattrs, writeXattrs, xattrsBytes } from './xattrs.ts';

export interface FileHeader extends InodeHeader {
  /** Of a symlink; '' for a regular file. */
  target: ByteString;
}
export interface ArchiveHeader {
  header: FileHeader;
  /** Bytes of the content: 0 for a symlink. A claim, outside of the checksum. */
  sizeBytes: number;
  /** Prefix and variant: where the content starts. */
  headerBytes: number;
}

/** Length of the variant (32 bits, big-endian) and four zero bytes. */
export const HEADER_PREFIX_BYTES = 8;
const SIZE_BYTES = 8;
const NUMBERS_BYTES = 16; // uid, gid, mode, rdev
/** Where a symlink's target begins in an archive header. */
export const ARCHIVE_TARGET_AT = HEADER_PREFIX_BYTES + SIZE_BYTES + NUMBERS_BYTES;
const CONTENT_TYPES = [FileType.file, FileType.symlink];

export const isSymlink = ({ mode }: Pick<FileHeader, 'mode'>): boolean => (mode & TYPE_BITS) === FileType.symlink;

/**
 * The header at the start of a `.filez`; the content may follow.
 * @throws FormatError unless it is in normal form and holds what `doc/formats/ostree-objects.md` asks; LimitError above a limit
 */
export function parseArchiveHeader(bytes: Uint8Array, where: Where = {}): ArchiveHeader {
  const at = { ...where, format: 'file header' };
  const headerBytes = headerEnd(bytes, at);
  if (headerBytes > bytes.length)
    fail(at, 'length', 0, `says ${headerBytes - HEADER_PREFIX_BYTES}, ${bytes.length - HEADER_PREFIX_BYTES} follow`);
  const numbers = HEADER_PREFIX_BYTES + SIZE_BYTES;
  const header = parseMembers(bytes, HEADER_PREFIX_BYTES, numbers, headerBytes, at);
  const sizeBytes = readU32be(bytes, HEADER_PREFIX_BYTES) * 2 ** 32 + readU32be(bytes, HEADER_PREFIX_BYTES + 4);
  if (sizeBytes > MAX_FILE_BYTES)
    throw new LimitError(`more than ${MAX_FILE_BYTES} bytes`, { ...at, field: 'size', offset: HEADER_PREFIX_BYTES });
  if (sizeBytes !== 0 && isSymlink(header)) fail(at, 'size', HEADER_PREFIX_BYTES, `${sizeBytes} bytes for a symlink`);
  return { header, sizeBytes, headerBytes };
}

/** `(uuuusa(ayay))` with its prefix, as `serializeContentHeader` writes it. @throws FormatError, LimitError */
export function parseContentHeader(bytes: Uint8Array, where: Where = {}): FileHeader {
  const at = { ...where, format: 'content header' };
  const end = headerEnd(bytes, at);
  if (end !== bytes.length)
    fail(at, 'length', 0, `says ${end - HEADER_PREFIX_BYTES}, ${bytes.length - HEADER_PREFIX_BYTES} follow`);
  return parseMembers(bytes, HEADER_PREFIX_BYTES, HEADER_PREFIX_BYTES, end, at);
}

/** Prefix and variant, which the content follows in a `.filez`. Xattrs are written sorted. */
export function serializeArchiveHeader(header: FileHeader, sizeBytes: number): Uint8Array {
  const out = serializeMembers(header, SIZE_BYTES);
  writeU32be(out, HEADER_PREFIX_BYTES, Math.floor(sizeBytes / 2 ** 32));
  writeU32be(out, HEADER_PREFIX_BYTES + 4, sizeBytes);
  return out;
}

/** Prefix and variant: what SHA-256 starts with; the content follows. Xattrs are written sorted. */
export const serializeContentHeader = (header: FileHeader): Uint8Array => serializeMembers(header, 0);

/**
 * `user.ostreemeta` of a bare-user file object. Xattrs may be in any order, which older writers kept; the result is sorted, as they
 * were when they were hashed.
 * @throws FormatError unless normal form otherwise, of a regular file or symlink
 */
export function parseOstreemeta(bytes: Uint8Array, where: Where = {}): InodeHeader {
  const at = { ...where, format: 'user.ostreemeta' };
  if (bytes.length > MAX_HEADER_BYTES) throw new LimitError(`larger than ${MAX_HEADER_BYTES} bytes`, at);
  const header = parseInodeHeader(bytes, 'any', at);
  requireMode(header.mode, CONTENT_TYPES, 'a regular file or symlink', 8, at);
  return header;
}

export const serializeOstreemeta = ({ uid, gid, mode, xattrs }: InodeHeader): Uint8Array =>
  serializeInodeHeader({ uid, gid, mode, xattrs });

/** Where the header ends, by its prefix. */
function headerEnd(bytes: Uint8Array, where: Where): number {
  if (bytes.length < HEADER_PREFIX_BYTES)
    fail(where, 'length', 0, `needs ${HEADER_PREFIX_BYTES} bytes, has ${bytes.length}`);
  const variantBytes = readU32be(bytes, 0);
  if (readU32be(bytes, 4) !== 0) fail(where, 'padding', 4, 'padding that is not zero');
  if (variantBytes > MAX_HEADER_BYTES)
    throw new LimitError(`says ${variantBytes}, at most ${MAX_HEADER_BYTES} are accepted`, {
      ...where,
      field: 'length',
      offset: 0,
    });
  return HEADER_PREFIX_BYTES + variantBytes;
}

/** uid, gid, mode, rdev at `numbers`, then target and xattrs; the variant is bytes[start, end), end checked against the bytes. */
function parseMembers(bytes: Uint8Array, start: number, numbers: number, end: number, where: Where): FileHeader {
  const targetStart = numbers + NUMBERS_BYTES;
  const width = offsetWidth(end - start);
  const bodyEnd = end - width; // one framing offset: the end of the target
  if (bodyEnd <= targetStart) fail(where, 'length', 0, `a variant of ${end - start} bytes cannot hold a header`);
  if (smallestOffsetWidth(bodyEnd - start, 1) !== width)
    fail(where, 'target', bodyEnd, 'framing offset is wider than it needs to be');
  const targetEnd = start + readOffset(bytes, bodyEnd, width);
  if (targetEnd <= targetStart || targetEnd > bodyEnd) fail(where, 'target', bodyEnd, 'framing offset out of range');
  const target = parseTarget(bytes, targetStart, targetEnd, where);
  const mode = readU32be(bytes, numbers + 8);
  requireMode(mode, CONTENT_TYPES, 'a regular file or symlink', numbers + 8, where);
  const rdev = readU32be(bytes, numbers + 12);
  if (rdev !== 0) fail(where, 'rdev', numbers + 12, `${rdev} instead of 0`);
  const header: FileHeader = {
    uid: readU32be(bytes, numbers),
    gid: readU32be(bytes, numbers + 4),
    mode,
    target,
    xattrs: parseXattrs(bytes, targetEnd, bodyEnd, 'canonical', where),
  };
  if (isSymlink(header) && target === '') fail(where, 'target', targetStart, 'symlink without a target');
  if (!isSymlink(header) && target !== '') fail(where, 'target', targetStart, 'regular file with a symlink target');
  return header;
}

const NO_TARGET = '' as ByteString;

function parseTarget(bytes: Uint8Array, start: number, end: number, where: Where): ByteString {
  if (bytes.indexOf(0, start) !== end - 1) fail(where, 'target', start, 'string without exactly one NUL, at its end');
  if (end - start === 1) return NO_TARGET;
  if (end - 1 - start > MAX_TARGET_BYTES)
    throw new LimitError(`longer than ${MAX_TARGET_BYTES} bytes`, { ...where, field: 'target', offset: start });
  if (!isUtf8Range(bytes, start, end - 1)) fail(where, 'target', start, 'string that is not UTF-8');
  return byteStringFromBytes(bytes.subarray(start, end - 1));
}

/** Leaves `sizeBytes` zero bytes between the prefix and uid. */
function serializeMembers(header: FileHeader, sizeBytes: number): Uint8Array {
  const { target } = header;
  const xattrs = sortXattrs(header.xattrs);
  const targetEnd = sizeBytes + NUMBERS_BYTES + target.length + 1;
  const bodyBytes = targetEnd + xattrsBytes(xattrs);
  const width = smallestOffsetWidth(bodyBytes, 1);
  const out = new Uint8Array(HEADER_PREFIX_BYTES + bodyBytes + width);
  writeU32be(out, 0, bodyBytes + width);
  const numbers = HEADER_PREFIX_BYTES + sizeBytes;
  writeU32be(out, numbers, header.uid);
  writeU32be(out, numbers + 4, header.gid);
  writeU32be(out, numbers + 8, header.mode);
  for (let i = 0; i < target.length; i++) out[numbers + NUMBERS_BYTES + i] = target.charCodeAt(i);
  writeXattrs(out, HEADER_PREFIX_BYTES + targetEnd, xattrs);
  writeOffset(out, HEADER_PREFIX_BYTES + bodyBytes, width, targetEnd);
  return out;
}

function fail(where: Where, field: string, offset: number, problem: string): never {
  throw new FormatError(problem, { ...where, field, offset });
}
