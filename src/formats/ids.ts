/** The two kinds of names: ostree checksums (SHA-256) and object ids (fs-verity digests). Never mixed. */

import { FormatError, type Where } from '../errors.ts';

/** SHA-256 name of an ostree object: 64 lower-case hex digits. */
export type Checksum = string & { readonly __brand: 'Checksum' };
/** fs-verity digest that names a file under `objects/`: 64 (sha256) or 128 (sha512) lower-case hex digits. */
export type ObjectId = string & { readonly __brand: 'ObjectId' };
/** Hash of an object id; block size is always 4096 (`fsverity-<algorithm>-12`). */
export type Algorithm = 'sha256' | 'sha512';

/** FS_VERITY_HASH_ALG_* of the kernel's uapi header; also the algorithm byte of a splitstream header. */
export const FS_VERITY_ALGORITHM_NUMBER = { sha256: 1, sha512: 2 } as const satisfies Record<Algorithm, number>;

export const CHECKSUM_BYTES = 32;
export const digestBytes = (algorithm: Algorithm): 32 | 64 => (algorithm === 'sha256' ? 32 : 64);
/** Largest content that a commit stream keeps inline: 2·H bytes (spec of composefs-rs 0.9, `should_inline_file`). */
export const inlineContentMax = (algorithm: Algorithm): number => 2 * digestBytes(algorithm);

const CHECKSUM = /^[0-9a-f]{64}$/;
const OBJECT_ID = { sha256: /^[0-9a-f]{64}$/, sha512: /^[0-9a-f]{128}$/ } as const;
const HEX_DIGITS = '0123456789abcdef';
const HEX_CHUNK_BYTES = 4096; // String.fromCharCode takes its input as arguments, which live on the stack

export const isChecksum = (text: string): text is Checksum => CHECKSUM.test(text);
export const isObjectId = (text: string, algorithm: Algorithm): text is ObjectId => OBJECT_ID[algorithm].test(text);

/** Whether an id that is one of either algorithm is one of this. */
export const isIdOf = (algorithm: Algorithm, id: ObjectId): boolean => id.length === 2 * digestBytes(algorithm);

export function parseChecksum(text: string, where: Where = {}): Checksum {
  if (!isChecksum(text))
    throw new FormatError(`${JSON.stringify(text)} is not a checksum of 64 lower-case hex digits`, where);
  return text;
}

export function parseObjectId(text: string, algorithm: Algorithm, where: Where = {}): ObjectId {
  if (!isObjectId(text, algorithm))
    throw new FormatError(`${JSON.stringify(text)} is not a ${algorithm} object id`, where);
  return text;
}

/** Digests come out flat: a pull keeps a checksum for each object, and one made of 32 joined pieces takes 900 bytes, not 90. */
export function toHex(bytes: Uint8Array): string {
  if (bytes.length <= HEX_CHUNK_BYTES) return hexOfChunk(bytes);
  let text = '';
  for (let at = 0; at < bytes.length; at += HEX_CHUNK_BYTES)
    text += hexOfChunk(bytes.subarray(at, at + HEX_CHUNK_BYTES));
  return text;
}

function hexOfChunk(bytes: Uint8Array): string {
  const codes = new Array<number>(2 * bytes.length);
  for (let i = 0; i < bytes.length; i++) {
    codes[2 * i] = HEX_DIGITS.charCodeAt(bytes[i] >>> 4);
    codes[2 * i + 1] = HEX_DIGITS.charCodeAt(bytes[i] & 0xf);
  }
  return String.fromCharCode(...codes);
}

/** @throws FormatError unless `text` is an even number of hex digits */
export function fromHex(text: string, where: Where = {}): Uint8Array {
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/.test(text)) throw new FormatError('not hexadecimal', where);
  return bytesOfDigits(text);
}

/** Nothing but hex digits, an even number of them. */
function bytesOfDigits(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = (digitValue(text.charCodeAt(2 * i)) << 4) | digitValue(text.charCodeAt(2 * i + 1));
  return bytes;
}

/** Of the character code of a hex digit: letters have bit 6 set, and 9 to add to their low bits. */
const digitValue = (code: number): number => (code & 0xf) + 9 * (code >>> 6);

export const checksumFromBytes = (bytes: Uint8Array, offset = 0): Checksum =>
  toHex(bytes.subarray(offset, offset + CHECKSUM_BYTES)) as Checksum;
/** `bytes` is exactly one raw digest. */
export const objectIdFromBytes = (bytes: Uint8Array): ObjectId => toHex(bytes) as ObjectId;
/** What an id is made of was checked when it became one. */
export const idToBytes = (id: Checksum | ObjectId): Uint8Array => bytesOfDigits(id);
/** `xx/yyyy…`, relative to `objects/`. */
export const objectRelativePath = (id: ObjectId): string => `${id.slice(0, 2)}/${id.slice(2)}`;
