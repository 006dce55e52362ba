/** The refs in a repository's `summary`: GVariant `(a(s(taya{sv}))a{sv})` (ostree-summary of libostree 2026.4). */

import { FormatError, type Where } from '../errors.ts';
import { parseType, parseVariant } from '../formats/gvariant.ts';
import { CHECKSUM_BYTES, type Checksum, checksumFromBytes } from '../formats/ids.ts';
import { validateRefName } from '../formats/ostree/refs.ts';

const SUMMARY_TYPE = parseType('(a(s(taya{sv}))a{sv})');

type SummaryValue = [
  refs: [name: string, entry: [commitSize: bigint, checksum: Uint8Array, metadata: unknown]][],
  metadata: unknown,
];

/** @throws FormatError unless it is in normal form with unique, valid ref names and checksums of 32 bytes */
export function parseSummaryRefs(bytes: Uint8Array, where: Where): Map<string, Checksum> {
  const place = { ...where, format: 'summary' };
  const [entries] = parseVariant(SUMMARY_TYPE, bytes, { where: place }) as SummaryValue;
  const refs = new Map<string, Checksum>();
  for (const [name, [, checksum]] of entries) {
    validateRefName(name, place);
    const field = `ref ${JSON.stringify(name)}`;
    if (checksum.length !== CHECKSUM_BYTES)
      throw new FormatError(`its checksum has ${checksum.length} bytes, expected ${CHECKSUM_BYTES}`, {
        ...place,
        field,
      });
    if (refs.has(name)) throw new FormatError('listed twice', { ...place, field });
    refs.set(name, checksumFromBytes(checksum));
  }
  return refs;
}
