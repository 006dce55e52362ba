/** Detached commit metadata, `.commitmeta`: a dictionary `a{sv}` beside the commit, mutable and in no checksum. */

import { LimitError, type Where } from '../../errors.ts';
import { parseType, parseVariant, serializeVariant, type VariantDictionary } from '../gvariant.ts';
import { MAX_METADATA_BYTES } from './limits.ts';

const DICTIONARY_TYPE = parseType('a{sv}');

/** No bytes at all are an empty dictionary: what is left when all of it was removed. @throws FormatError, LimitError */
export function parseDetachedMetadata(bytes: Uint8Array, where: Where = {}): VariantDictionary {
  const at = { ...where, format: 'detached metadata' };
  if (bytes.length > MAX_METADATA_BYTES) throw new LimitError(`larger than ${MAX_METADATA_BYTES} bytes`, at);
  return parseVariant(DICTIONARY_TYPE, bytes, { where: at }) as VariantDictionary;
}

/** @throws TypeError when a value is not of its type */
export const serializeDetachedMetadata = (metadata: VariantDictionary): Uint8Array =>
  serializeVariant(DICTIONARY_TYPE, metadata);
