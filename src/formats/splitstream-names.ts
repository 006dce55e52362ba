/** The name table of a splitstream: records `<index>:<name>` NUL, sorted by name. doc/formats/splitstream.md. */

import { FormatError, LimitError, type Where } from '../errors.ts';
import { type ByteString, byteStringFromText, byteStringToBytes, compareByteStrings } from './byte-string.ts';
import { type Algorithm, digestBytes, idToBytes, type ObjectId, objectIdFromBytes } from './ids.ts';

/** Decompressed; real tables hold a handful of names, OCI ones a few hundred. */
export const MAX_NAME_TABLE_BYTES = 16 * 1024 * 1024;
/** Records in one table: each becomes a string and a map entry. */
export const MAX_STREAM_NAMES = 100_000;
/** Bytes of one name. */
export const MAX_STREAM_NAME_BYTES = 4096;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const COLON = 58;
/** Decimal as it is written: no sign, no padding. 10 digits are more than any file has room for ids. */
const INDEX = /^(0|[1-9][0-9]{0,9})$/;

/** @param where the table's place in the file; offsets inside it are of compressed data and not told */
export function parseNameTable(
  table: Uint8Array,
  streamRefs: Uint8Array,
  algorithm: Algorithm,
  where: Where,
): Map<string, ObjectId> {
  const idBytes = digestBytes(algorithm);
  const count = streamRefs.length / idBytes;
  const records: Array<{ index: number; name: string }> = [];
  const names = new Set<string>();
  for (let at = 0; at < table.length; ) {
    const fail = (problem: string): never => {
      throw new FormatError(`name ${records.length}: ${problem}`, where);
    };
    const end = table.indexOf(0, at);
    if (end < 0) fail('record does not end in a zero byte');
    const colon = table.subarray(at, end).indexOf(COLON);
    if (colon < 0) fail('record has no colon');
    const digits = String.fromCharCode(...table.subarray(at, at + Math.min(colon, 11)));
    if (!INDEX.test(digits) || Number(digits) >= count)
      fail(`${JSON.stringify(digits)} is not an index below ${count}`);
    const nameBytes = table.subarray(at + colon + 1, end);
    if (nameBytes.length === 0) fail('is empty');
    if (nameBytes.length > MAX_STREAM_NAME_BYTES)
      throw new LimitError(
        `name ${records.length} has ${nameBytes.length} bytes, at most ${MAX_STREAM_NAME_BYTES} are accepted`,
        where,
      );
    const name = decodeName(nameBytes) ?? fail('is not UTF-8');
    if (names.has(name)) fail(`${JSON.stringify(name)} is there twice`);
    names.add(name);
    if (names.size > MAX_STREAM_NAMES) throw new LimitError(`more than ${MAX_STREAM_NAMES} names`, where);
    records.push({ index: Number(digits), name });
    at = end + 1;
  }
  records.sort((a, b) => a.index - b.index);
  return new Map(
    records.map(({ index, name }) => [
      name,
      objectIdFromBytes(streamRefs.subarray(index * idBytes, (index + 1) * idBytes)),
    ]),
  );
}

function decodeName(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** @throws FormatError for a name that a table cannot hold */
export function serializeNameTable(
  namedRefs: ReadonlyMap<string, ObjectId>,
  algorithm: Algorithm,
): { streamRefs: Uint8Array; table: Uint8Array } {
  const idBytes = digestBytes(algorithm);
  const indexes = new Map([...new Set(namedRefs.values())].map((id, index) => [id, index]));
  const streamRefs = new Uint8Array(indexes.size * idBytes);
  for (const [id, index] of indexes) streamRefs.set(idToBytes(id), index * idBytes);
  const names = [...namedRefs].map(([text, id]) => ({ text, name: byteStringFromText(text), index: indexes.get(id) }));
  for (const { text, name } of names)
    if (name === '' || name.length > MAX_STREAM_NAME_BYTES || name.includes('\0') || !text.isWellFormed())
      throw new FormatError(`${JSON.stringify(text)} cannot name a reference`, {
        format: 'splitstream',
        field: 'named_refs',
      });
  names.sort((a, b) => compareByteStrings(a.name, b.name));
  const table = names.map(({ name, index }) => `${index}:${name}\0`).join('') as ByteString;
  return { streamRefs, table: byteStringToBytes(table) };
}
