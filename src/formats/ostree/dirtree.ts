/** Directory tree `(a(say)a(sayay))`: read and written directly, because a large commit has tens of thousands of entries. */

import { FormatError, LimitError, type Where } from '../../errors.ts';
import { type ByteString, byteStringFromBytes, byteStringToText, compareByteStrings } from '../byte-string.ts';
import { offsetWidth, readOffset, smallestOffsetWidth, writeOffset } from '../gvariant-framing.ts';
import { isUtf8Range } from '../gvariant-text.ts';
import { CHECKSUM_BYTES, type Checksum, checksumFromBytes, idToBytes } from '../ids.ts';
import { MAX_DIRECTORY_ENTRIES, MAX_METADATA_BYTES, MAX_NAME_BYTES } from './limits.ts';

export interface DirtreeFile {
  name: ByteString;
  checksum: Checksum;
}
export interface DirtreeDirectory {
  name: ByteString;
  dirtree: Checksum;
  dirmeta: Checksum;
}
/** Both lists in byte order of their names; no name occurs twice. */
export interface Dirtree {
  files: DirtreeFile[];
  directories: DirtreeDirectory[];
}

/** @throws as walkDirtree */
export function parseDirtree(bytes: Uint8Array, where: Where = {}): Dirtree {
  const files: DirtreeFile[] = [];
  const directories: DirtreeDirectory[] = [];
  const nameAt = (start: number, end: number): ByteString => byteStringFromBytes(bytes.subarray(start, end));
  walkDirtree(bytes, where, {
    file(start, end, checksum) {
      files.push({ name: nameAt(start, end), checksum: checksumFromBytes(bytes, checksum) });
    },
    directory(start, end, dirtree) {
      const dirmeta = checksumFromBytes(bytes, dirtree + CHECKSUM_BYTES);
      directories.push({ name: nameAt(start, end), dirtree: checksumFromBytes(bytes, dirtree), dirmeta });
    },
  });
  return { files, directories };
}

/** Told where in the bytes things are: names without their NUL. */
export interface DirtreeVisitor {
  file(nameStart: number, nameEnd: number, checksum: number): void;
  /** The dirmeta's checksum is right behind the dirtree's. */
  directory(nameStart: number, nameEnd: number, dirtree: number): void;
}

/**
 * All files, then all directories, both in byte order of their names; no JavaScript value for any of them.
 * @throws FormatError unless the bytes are a dirtree in normal form whose names are non-empty UTF-8 without `/`, not `.` or `..`,
 *   sorted, and different from each other; LimitError above MAX_NAME_BYTES or MAX_METADATA_BYTES. The visitor may have seen a part.
 */
export function walkDirtree(bytes: Uint8Array, where: Where, visitor: DirtreeVisitor): void {
  const at = { ...where, format: 'dirtree' };
  if (bytes.length > MAX_METADATA_BYTES) throw new LimitError(`larger than ${MAX_METADATA_BYTES} bytes`, at);
  if (bytes.length === 0) fail(at, 'files', 0, 'no bytes');
  const width = offsetWidth(bytes.length);
  const bodyEnd = bytes.length - width; // one framing offset: the end of the files
  const filesEnd = bodyEnd < 0 ? 0 : readOffset(bytes, bodyEnd, width);
  if (bodyEnd < 0 || filesEnd > bodyEnd) fail(at, 'files', Math.max(bodyEnd, 0), 'framing offset out of range');
  if (smallestOffsetWidth(bodyEnd, 1) !== width)
    fail(at, 'files', bodyEnd, 'framing offset is wider than it needs to be');
  const fileNames: number[] = []; // start and end of each
  walkEntries(bytes, 0, filesEnd, 1, 'files', at, (start, end, checksum) => {
    fileNames.push(start, end);
    visitor.file(start, end, checksum);
  });
  let next = 0; // both lists are sorted, so one walk along them finds a name that both have
  walkEntries(bytes, filesEnd, bodyEnd, 2, 'directories', at, (start, end, checksums) => {
    let order = -1;
    while (next < fileNames.length) {
      order = compareRanges(bytes, fileNames[next], fileNames[next + 1], start, end);
      if (order >= 0) break;
      next += 2;
    }
    if (next < fileNames.length && order === 0)
      fail(at, 'directories', filesEnd, `${quoted(bytes, start, end)} is the name of a file too`);
    visitor.directory(start, end, checksums);
  });
}

/** One array of `(say)` or `(sayay)` at bytes[start, end); `visit` is told where the checksums of an entry start. */
function walkEntries(
  bytes: Uint8Array,
  start: number,
  end: number,
  checksums: 1 | 2,
  field: string,
  where: Where,
  visit: (nameStart: number, nameEnd: number, checksums: number) => void,
): void {
  const size = end - start;
  if (size === 0) return;
  const width = offsetWidth(size);
  const bodyBytes = size < width ? size + 1 : readOffset(bytes, end - width, width);
  if (bodyBytes > size - width || (size - bodyBytes) % width !== 0)
    fail(where, field, end - width, 'framing offset out of range');
  const table = start + bodyBytes;
  const count = (size - bodyBytes) / width;
  if (smallestOffsetWidth(bodyBytes, count) !== width)
    fail(where, field, table, 'framing offsets are wider than they need to be');
  if (count > MAX_DIRECTORY_ENTRIES)
    throw new LimitError(`${count} entries, at most ${MAX_DIRECTORY_ENTRIES} are accepted`, {
      ...where,
      field,
      offset: table,
    });
  const checksumsBytes = checksums * CHECKSUM_BYTES;
  let at = start;
  let previousStart = start;
  let previousEnd = start; // no name yet: an empty one, which comes before all
  for (let entry = table; entry < end; entry += width) {
    const next = start + readOffset(bytes, entry, width);
    if (next <= at || next > table) fail(where, field, entry, 'framing offset out of range');
    const entryWidth = offsetWidth(next - at);
    const checksumsEnd = next - checksums * entryWidth;
    const checksumsStart = checksumsEnd - checksumsBytes;
    if (checksumsStart <= at || readOffset(bytes, next - entryWidth, entryWidth) !== checksumsStart - at)
      fail(where, field, at, `entry of other than a name and ${checksums * CHECKSUM_BYTES} bytes of checksums`);
    if (checksums === 2 && readOffset(bytes, checksumsEnd, entryWidth) !== checksumsStart + CHECKSUM_BYTES - at)
      fail(where, field, checksumsEnd, 'checksum of other than 32 bytes');
    if (smallestOffsetWidth(checksumsEnd - at, checksums) !== entryWidth)
      fail(where, field, checksumsEnd, 'framing offsets are wider than they need to be');
    const nameEnd = checksumsStart - 1; // the NUL
    checkName(bytes, at, nameEnd, field, where);
    const order = compareRanges(bytes, previousStart, previousEnd, at, nameEnd);
    if (order >= 0)
      fail(
        where,
        field,
        at,
        `${quoted(bytes, at, nameEnd)} ${order === 0 ? 'is there twice' : 'is not in its sorted place'}`,
      );
    previousStart = at;
    previousEnd = nameEnd;
    visit(at, nameEnd, checksumsStart);
    at = next;
  }
}

const SLASH = 0x2f;
const DOT = 0x2e;

/** bytes[start, nul), with a NUL behind it. */
function checkName(bytes: Uint8Array, start: number, nul: number, field: string, where: Where): void {
  if (bytes[nul] !== 0) fail(where, field, start, 'name without a NUL at its end');
  if (nul === start) fail(where, field, start, 'empty name');
  if (nul - start > MAX_NAME_BYTES)
    throw new LimitError(`name longer than ${MAX_NAME_BYTES} bytes`, { ...where, field, offset: start });
  for (let i = start; i < nul; i++) {
    if (bytes[i] === SLASH) fail(where, field, start, 'name with a slash');
    if (bytes[i] === 0) fail(where, field, start, 'name with a NUL inside');
  }
  if (!isUtf8Range(bytes, start, nul)) fail(where, field, start, 'name that is not UTF-8');
  if (bytes[start] === DOT && (nul - start === 1 || (nul - start === 2 && bytes[start + 1] === DOT)))
    fail(where, field, start, `name ${quoted(bytes, start, nul)}`);
}

const quoted = (bytes: Uint8Array, start: number, end: number): string =>
  JSON.stringify(byteStringToText(byteStringFromBytes(bytes.subarray(start, end))));

/** Byte order of two ranges, a proper prefix first: < 0, 0 or > 0. */
function compareRanges(bytes: Uint8Array, aStart: number, aEnd: number, bStart: number, bEnd: number): number {
  const common = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < common; i++) {
    const difference = bytes[aStart + i] - bytes[bStart + i];
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}

const byName = (a: { name: ByteString }, b: { name: ByteString }): number => compareByteStrings(a.name, b.name);

/** Entries are written sorted. The names are the caller's to check. */
export function serializeDirtree({ files, directories }: Dirtree): Uint8Array {
  const sortedFiles = files.slice().sort(byName);
  const sortedDirectories = directories.slice().sort(byName);
  const filesBytes = entriesBytes(sortedFiles, 1);
  const bodyBytes = filesBytes + entriesBytes(sortedDirectories, 2);
  const width = smallestOffsetWidth(bodyBytes, 1);
  const out = new Uint8Array(bodyBytes + width);
  writeEntries(
    out,
    0,
    sortedFiles.map(({ name, checksum }) => ({ name, checksums: [checksum] })),
  );
  writeEntries(
    out,
    filesBytes,
    sortedDirectories.map(({ name, dirtree, dirmeta }) => ({ name, checksums: [dirtree, dirmeta] })),
  );
  writeOffset(out, bodyBytes, width, filesBytes);
  return out;
}

function entryLayout(name: ByteString, checksums: number): { bodyBytes: number; width: 1 | 2 | 4 | 8 } {
  const bodyBytes = name.length + 1 + checksums * CHECKSUM_BYTES;
  return { bodyBytes, width: smallestOffsetWidth(bodyBytes, checksums) };
}

function entriesBytes(entries: ReadonlyArray<{ name: ByteString }>, checksums: number): number {
  let total = 0;
  for (const { name } of entries) {
    const { bodyBytes, width } = entryLayout(name, checksums);
    total += bodyBytes + checksums * width;
  }
  return entries.length === 0 ? 0 : total + entries.length * smallestOffsetWidth(total, entries.length);
}

function writeEntries(
  out: Uint8Array,
  start: number,
  entries: ReadonlyArray<{ name: ByteString; checksums: Checksum[] }>,
): void {
  const ends: number[] = [];
  let at = start;
  for (const { name, checksums } of entries) {
    const { bodyBytes, width } = entryLayout(name, checksums.length);
    for (let i = 0; i < name.length; i++) out[at + i] = name.charCodeAt(i);
    const first = name.length + 1;
    checksums.forEach((checksum, i) => {
      out.set(idToBytes(checksum), at + first + i * CHECKSUM_BYTES);
      const framing = at + bodyBytes + (checksums.length - 1 - i) * width; // backwards: the name's end comes last
      writeOffset(out, framing, width, first + i * CHECKSUM_BYTES);
    });
    at += bodyBytes + checksums.length * width;
    ends.push(at - start);
  }
  const width = smallestOffsetWidth(at - start, ends.length);
  for (const end of ends) {
    writeOffset(out, at, width, end);
    at += width;
  }
}

function fail(where: Where, field: string, offset: number, problem: string): never {
  throw new FormatError(problem, { ...where, field, offset });
}
