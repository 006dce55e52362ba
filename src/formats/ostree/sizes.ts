/** `ostree.sizes` of a commit, `aay`: claims about the sizes of its objects. Nothing proves them; good for progress only. */

import { FormatError, type Where } from '../../errors.ts';
import { CHECKSUM_BYTES, type Checksum, checksumFromBytes } from '../ids.ts';
import { type Commit, commitMetadata } from './commit.ts';

/** ostree's numbers of object types, from 1. */
const OBJECT_TYPES = [
  'file',
  'dirtree',
  'dirmeta',
  'commit',
  'tombstone-commit',
  'commitmeta',
  'payload-link',
  'file-xattrs',
  'file-xattrs-link',
] as const;
export type OstreeObjectType = (typeof OBJECT_TYPES)[number];

export interface SizeEntry {
  checksum: Checksum;
  /** Bytes of the stored file: compressed, with its header. */
  archivedBytes: bigint;
  /** Bytes of the content; of a symlink the length of its target; of metadata as archived. */
  unpackedBytes: bigint;
  /** Old commits leave it out, and mean file. */
  type: OstreeObjectType;
}

const KEY = 'ostree.sizes';
const MAX_VARINT_BYTES = 10; // 64 bits in groups of seven

/** undefined: the commit has none. @throws FormatError when it has it in another form */
export function sizesOf(commit: Commit, where: Where = {}): SizeEntry[] | undefined {
  const at = { ...where, format: 'commit', field: KEY };
  const sizes = commitMetadata(commit, KEY);
  if (sizes === undefined) return undefined;
  if (sizes.type !== 'aay') throw new FormatError(`has type ${sizes.type} instead of aay`, at);
  return (sizes.value as Uint8Array[]).map((entry) => parseSizeEntry(entry, at));
}

/** `where.offset` of an error counts from the start of the entry. @throws FormatError */
export function parseSizeEntry(bytes: Uint8Array, where: Where = {}): SizeEntry {
  if (bytes.length < CHECKSUM_BYTES)
    throw new FormatError(`entry of ${bytes.length} bytes has no checksum`, { ...where, offset: 0 });
  const archived = readVarint(bytes, CHECKSUM_BYTES, where);
  const unpacked = readVarint(bytes, archived.end, where);
  if (bytes.length > unpacked.end + 1)
    throw new FormatError('bytes after the entry', { ...where, offset: unpacked.end + 1 });
  const number = bytes.length === unpacked.end ? 1 : bytes[unpacked.end];
  const type = OBJECT_TYPES[number - 1];
  if (type === undefined) throw new FormatError(`unknown object type ${number}`, { ...where, offset: unpacked.end });
  return { checksum: checksumFromBytes(bytes), archivedBytes: archived.value, unpackedBytes: unpacked.value, type };
}

/** Groups of seven bits, least significant first; the high bit says that more follow. */
export function readVarint(bytes: Uint8Array, start: number, where: Where = {}): { value: bigint; end: number } {
  let value = 0n;
  for (let i = 0; i < MAX_VARINT_BYTES && start + i < bytes.length; i++) {
    const byte = bytes[start + i];
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) {
      if (value >= 1n << 64n) break;
      return { value, end: start + i + 1 };
    }
  }
  throw new FormatError('number of variable length that does not end, or exceeds 64 bits', { ...where, offset: start });
}
