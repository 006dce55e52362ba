/** File objects for tests, made without the addon: headers by src/formats, hashes by @noble/hashes, deflate by fflate. */

import { sha256 } from '@noble/hashes/sha2.js';
import { deflateSync } from 'fflate';
import type { ByteString } from '../../src/formats/byte-string.ts';
import { FsVerityHasher } from '../../src/formats/fs-verity.ts';
import { type Algorithm, checksumFromBytes, objectIdFromBytes, objectRelativePath } from '../../src/formats/ids.ts';
import {
  type FileHeader,
  serializeArchiveHeader,
  serializeContentHeader,
} from '../../src/formats/ostree/file-header.ts';
import type { Xattr } from '../../src/formats/tree.ts';

export const REGULAR = 0o100644;
export const SYMLINK = 0o120777;

export interface FileObject {
  header: FileHeader;
  content: Uint8Array;
  /** The `.filez`. */
  body: Uint8Array;
  /** Prefix and variant: what `body` starts with. */
  archiveHeader: Uint8Array;
  /** 32 bytes. */
  checksum: Uint8Array;
}

export function makeHeader(parts: Partial<FileHeader> = {}): FileHeader {
  return { uid: 0, gid: 0, mode: REGULAR, target: '' as ByteString, xattrs: [], ...parts };
}

export function makeObject(content: Uint8Array, parts: Partial<FileHeader> = {}): FileObject {
  const header = makeHeader(parts);
  const archiveHeader = serializeArchiveHeader(header, content.length);
  const isLink = (header.mode & 0o170000) === 0o120000;
  return {
    header,
    content,
    archiveHeader,
    body: isLink ? archiveHeader : concat(archiveHeader, deflateSync(content)),
    checksum: checksumOf(header, content),
  };
}

export const makeSymlink = (target: string, parts: Partial<FileHeader> = {}): FileObject =>
  makeObject(new Uint8Array(0), { mode: SYMLINK, target: target as ByteString, ...parts });

export const checksumOf = (header: FileHeader, content: Uint8Array): Uint8Array =>
  sha256.create().update(serializeContentHeader(header)).update(content).digest();

export const xattr = (name: string, value: string | Uint8Array): Xattr => ({
  name: name as ByteString,
  value: typeof value === 'string' ? new TextEncoder().encode(value) : value,
});

/** By the portable implementation. */
export function verityDigest(algorithm: Algorithm, content: Uint8Array): Uint8Array {
  const hasher = new FsVerityHasher(algorithm);
  hasher.update(content);
  return hasher.digest();
}

/** `xx/yyy…`: where the content of an external object must be. */
export const objectPathOf = (algorithm: Algorithm, content: Uint8Array): string =>
  objectRelativePath(objectIdFromBytes(verityDigest(algorithm, content)));

export const checksumText = (checksum: Uint8Array): string => checksumFromBytes(checksum);

export function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Reproducible bytes: half noise, half runs, so that they compress a little and no two blocks are equal. */
export function makeContent(sizeBytes: number, seed = 1): Uint8Array {
  const random = makeRandom(seed);
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; ) {
    const run = Math.min(1 + Math.floor(random() * 64), sizeBytes - at);
    if (random() < 0.5) bytes.fill(Math.floor(random() * 256), at, at + run);
    else for (let i = 0; i < run; i++) bytes[at + i] = Math.floor(random() * 256);
    at += run;
  }
  return bytes;
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function makeRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
