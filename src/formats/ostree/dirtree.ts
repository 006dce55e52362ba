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

/**
 * @throws FormatError unless the bytes are a dirtree in normal form whose names are non-empty UTF-8 without `/`, not `.` or `..`,
 *   sorted, and different from each other; LimitError above MAX_NAME_BYTES or MAX_METADATA_BYTES
 */
export function parseDirtree(bytes: Uint8Array, where: Where = {}): Dirtree {
  const at = { ...where, format: 'dirtree' };
  if (bytes.length > MAX_METADATA_BYTES) throw new LimitError(`larger than ${MAX_METADATA_BYTES} bytes`, at);
  if (bytes.length === 0) fail(at, 'files', 0, 'no bytes');
  const width = offsetWidth(bytes.length);
  const bodyEnd = bytes.length - width; // one framing offset: the end of the files
  const filesEnd = bodyEnd < 0 ? 0 : readOffset(bytes, bodyEnd, width);
  if (bodyEnd < 0 || filesEnd > bodyEnd) fail(at, 'files', Math.max(bodyEnd, 0), 'framing offset out of range');
  if (smallestOffsetWidth(bodyEnd, 1) !== width)
    fail(at, 'files', bodyEnd, 'framing offset is wider than it needs to be');
  const files: DirtreeFile[] = [];
  parseEntries(bytes, 0, filesEnd, 1, 'files', at, (name, checksums) => {
    files.push({ name, checksum: checksumFromBytes(bytes, checksums) });
  });
  const directories: DirtreeDirectory[] = [];
  parseEntries(bytes, filesEnd, bodyEnd, 2, 'directories', at, (name, checksums) => {
    const dirmeta = checksumFromBytes(bytes, checksums + CHECKSUM_BYTES);
    directories.push({ name, dirtree: checksumFromBytes(bytes, checksums), dirmeta });
  });
  requireDistinct(files, directories, filesEnd, at);
  return { files, directories };
}

/** One array of `(say)` or `(sayay)` at bytes[start, end); `add` is told where the checksums of an entry start. */
function parseEntries(
  bytes: Uint8Array,
  start: number,
  end: number,
  checksums: 1 | 2,
  field: string,
  where: Where,
  add: (name: ByteString, checksums: number) => void,
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
  let previous = '' as ByteString;
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
    const name = parseName(bytes, at, checksumsStart, field, where);
    if (name <= previous)
      fail(
        where,
        field,
        at,
        `${JSON.stringify(byteStringToText(name))} ${name === previous ? 'is there twice' : 'is not in its sorted place'}`,
      );
    previous = name;
    add(name, checksumsStart);
    at = next;
  }
}

const SLASH = 0x2f;

/** bytes[start, end) with the NUL of the string. */
function parseName(bytes: Uint8Array, start: number, end: number, field: string, where: Where): ByteString {
  const nul = end - 1;
  if (bytes[nul] !== 0) fail(where, field, start, 'name without a NUL at its end');
  if (nul === start) fail(where, field, start, 'empty name');
  if (nul - start > MAX_NAME_BYTES)
    throw new LimitError(`name longer than ${MAX_NAME_BYTES} bytes`, { ...where, field, offset: start });
  for (let i = start; i < nul; i++) {
    if (bytes[i] === SLASH) fail(where, field, start, 'name with a slash');
    if (bytes[i] === 0) fail(where, field, start, 'name with a NUL inside');
  }
  if (!isUtf8Range(bytes, start, nul)) fail(where, field, start, 'name that is not UTF-8');
  const name = byteStringFromBytes(bytes.subarray(start, nul));
  if (name === '.' || name === '..') fail(where, field, start, `name ${JSON.stringify(name)}`);
  return name;
}

/** Both lists are sorted, so one walk along them finds a name that both have. */
function requireDistinct(files: DirtreeFile[], directories: DirtreeDirectory[], offset: number, where: Where): void {
  let f = 0;
  for (const { name } of directories) {
    while (f < files.length && files[f].name < name) f++;
    if (f < files.length && files[f].name === name)
      fail(where, 'directories', offset, `${JSON.stringify(byteStringToText(name))} is the name of a file too`);
  }
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
