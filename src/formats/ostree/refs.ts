/** Ref names and ref files. Format: doc/formats/ostree-objects.md. */

import { FormatError, LimitError, type Where } from '../../errors.ts';
import { type Checksum, isChecksum } from '../ids.ts';
import { MAX_REF_FILE_BYTES, MAX_REF_NAME_BYTES } from './limits.ts';

const encoder = new TextEncoder();
/** Fragments joined by `/`: a letter, digit or `_` of any script first, then also `-` and `.`. */
const isRefName = (name: string): boolean =>
  /^\w[\w.-]*(?:\/\w[\w.-]*)*$/.test(name) ||
  /^[\p{L}\p{N}_][\p{L}\p{N}_.-]*(?:\/[\p{L}\p{N}_][\p{L}\p{N}_.-]*)*$/u.test(name); // its tables take a millisecond to make

/** @throws FormatError unless `name` is an ostree ref name that does not look like a checksum; LimitError */
export function validateRefName(name: string, where: Where = {}): void {
  const at = { ...where, field: where.field ?? 'ref' };
  if (name.length > MAX_REF_NAME_BYTES || encoder.encode(name).length > MAX_REF_NAME_BYTES)
    throw new LimitError(`longer than ${MAX_REF_NAME_BYTES} bytes`, at);
  if (!isRefName(name)) throw new FormatError(`${JSON.stringify(name)} is no valid ref name`, at);
  if (isChecksum(name)) throw new FormatError(`${JSON.stringify(name)} looks like a checksum`, at);
}

/** A checksum, and white space behind it. @throws FormatError, LimitError */
export function parseRefFile(bytes: Uint8Array, where: Where = {}): Checksum {
  const at = { ...where, format: 'ref' };
  if (bytes.length > MAX_REF_FILE_BYTES) throw new LimitError(`larger than ${MAX_REF_FILE_BYTES} bytes`, at);
  const text = String.fromCharCode(...bytes).replace(/[ \t\r\n\f\v]+$/, '');
  if (!isChecksum(text))
    throw new FormatError(`${JSON.stringify(text)} is not a checksum of 64 lower-case hex digits`, at);
  return text;
}
