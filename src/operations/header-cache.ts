/**
 * Headers of regular files that were parsed before. A tree has few of them, when the size is left out; comparing bytes is cheaper than
 * parsing them, and just as strict.
 */

import { readU32be } from '../formats/ostree/dirmeta.ts';
import {
  type ArchiveHeader,
  type FileHeader,
  HEADER_PREFIX_BYTES,
  isSymlink,
  serializeContentHeader,
} from '../formats/ostree/file-header.ts';

export interface KnownHeader {
  header: FileHeader;
  /** Of the archive header, prefix included. */
  headerBytes: number;
  /** What SHA-256 starts with. */
  contentHeader: Uint8Array;
}

interface Slot extends KnownHeader {
  /** The archive header as it was met first. */
  bytes: Uint8Array;
}

/** One header for each hash value: a stranger's commit can make us parse again, never search. */
const SLOTS = 1024;
/** The size is the first member of the header. */
const SIZE_END = HEADER_PREFIX_BYTES + 8;

/** The size in the archive header at `start`; inexact above 2^53. The caller knows that there is one. */
export const archiveSizeBytes = (bytes: Uint8Array, start: number): number =>
  readU32be(bytes, start + HEADER_PREFIX_BYTES) * 2 ** 32 + readU32be(bytes, start + HEADER_PREFIX_BYTES + 4);

export class HeaderCache {
  readonly #slots: Array<Slot | undefined> = new Array(SLOTS);

  /** A header that is the same but for its size as the one at the start of bytes[start, start + length). */
  find(bytes: Uint8Array, start: number, length: number): KnownHeader | undefined {
    const headerBytes = length < SIZE_END ? 0 : HEADER_PREFIX_BYTES + readU32be(bytes, start);
    if (headerBytes < SIZE_END || headerBytes > length) return undefined;
    const slot = this.#slots[hashOf(bytes, start, headerBytes)];
    if (slot === undefined || slot.headerBytes !== headerBytes) return undefined;
    const known = slot.bytes;
    for (let i = 0; i < HEADER_PREFIX_BYTES; i++) if (known[i] !== bytes[start + i]) return undefined;
    for (let i = SIZE_END; i < headerBytes; i++) if (known[i] !== bytes[start + i]) return undefined;
    return slot;
  }

  /** Remembers a header that was parsed from the bytes at `start`. Those of symlinks have a target, and are not worth it. */
  keep(bytes: Uint8Array, start: number, { header, headerBytes }: ArchiveHeader): KnownHeader {
    const known: KnownHeader = { header, headerBytes, contentHeader: serializeContentHeader(header) };
    if (!isSymlink(header))
      this.#slots[hashOf(bytes, start, headerBytes)] = { ...known, bytes: bytes.slice(start, start + headerBytes) };
    return known;
  }
}

function hashOf(bytes: Uint8Array, start: number, headerBytes: number): number {
  let hash = headerBytes;
  for (let at = start + SIZE_END; at < start + headerBytes; at++) hash = (Math.imul(hash, 31) + bytes[at]) | 0;
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}
