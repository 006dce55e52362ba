/** fs-verity digests and ostree checksums of files on disk, each read once: on all cores with the addon, else here. */

import crypto from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { FormatError, type Where } from '../errors.ts';
import { type Algorithm, CHECKSUM_BYTES, digestBytes } from '../formats/ids.ts';
import { type CheckedObjects, native, type ObjectProofs, systemError } from '../native.ts';
import { openRegularFile } from './regular-file.ts';
import { openVerityHasher } from './verity-hasher.ts';

const CHUNK_BYTES = 1 << 18;

/** fs-verity digest of an open file, from its first byte; nothing is asked of the kernel. */
export async function hashOpenFile(handle: FileHandle, algorithm: Algorithm): Promise<Uint8Array> {
  const addon = native;
  if (addon !== undefined) return addon.fsVerityFile(handle.fd, algorithm);
  const hasher = openVerityHasher(algorithm);
  for await (const chunk of chunksOf(handle)) hasher.update(chunk);
  return hasher.digest();
}

export interface HashedFile {
  /** Why the file could not be read; the rest is then meaningless. */
  error?: Error;
  sizeBytes: number;
  /** Computed from the bytes that were read. */
  digest: Uint8Array;
  /** Whether the kernel has fs-verity on for the file, and agrees. */
  verity: 'off' | 'same' | 'other';
  /** SHA-256 of each content header with the content behind it, 32 bytes each, in the order asked for. */
  checksums: Uint8Array[];
}

export interface FileToHash {
  path: string;
  /** ostree content headers with their 8-byte prefix. */
  contentHeaders?: Uint8Array[];
}

/** One file's failure does not disturb the others. Special files are never opened for real, symlinks never followed. */
export async function hashFiles(files: FileToHash[], algorithm: Algorithm): Promise<HashedFile[]> {
  const addon = native;
  if (addon === undefined) {
    const hashed: HashedFile[] = [];
    for (const file of files) hashed.push(await hashInJavaScript(file, algorithm));
    return hashed;
  }
  const columns = await addon.hashFiles(
    files.map((file) => file.path),
    { algorithm, contentHeaders: files.map((file) => file.contentHeaders) },
  );
  const oneDigest = digestBytes(algorithm);
  let checksumsBefore = 0;
  return files.map(({ path, contentHeaders = [] }, i) => {
    const checksums = contentHeaders.map((_, k) => {
      const start = (checksumsBefore + k) * CHECKSUM_BYTES;
      return columns.checksums.subarray(start, start + CHECKSUM_BYTES);
    });
    checksumsBefore += contentHeaders.length;
    return {
      error: columns.errno[i] === 0 ? undefined : systemError(columns.errno[i], 'read', path),
      sizeBytes: columns.sizes[i],
      digest: columns.digests.subarray(i * oneDigest, (i + 1) * oneDigest),
      verity: (['off', 'same', 'other'] as const)[columns.measured[i]],
      checksums,
    };
  });
}

export type { ObjectProofs } from '../native.ts';

/** `CheckedObjects.states`. */
export const ObjectProof = { none: 0, intact: 1, intactWithVerity: 2 } as const;

/**
 * The quick way to know that very many objects are what they should be; without the addon it proves nothing.
 * @param objectsPath absolute path of `objects/`
 */
export async function proveObjects(
  objectsPath: string,
  algorithm: Algorithm,
  ids: Uint8Array,
  proofs?: ObjectProofs,
): Promise<CheckedObjects> {
  const count = ids.length / digestBytes(algorithm);
  if (native === undefined || count === 0) return { states: new Uint8Array(count), sizes: new Float64Array(count) };
  return native.checkObjects(objectsPath, algorithm, ids, proofs);
}

export const PROOF_KEY_BYTES = 32;

/**
 * SHA-256 over size, checksum, id and header of each row: whatever has the same key was proved with it, and nothing is left out.
 * @returns 32 bytes for each
 */
export function proofKeys(algorithm: Algorithm, ids: Uint8Array, proofs: ObjectProofs): Uint8Array {
  if (native !== undefined) return native.proofKeys(algorithm, ids, proofs);
  const { headers, headerEnds, checksums, sizes } = proofs;
  const oneId = digestBytes(algorithm);
  const keys = new Uint8Array(sizes.length * PROOF_KEY_BYTES);
  const size = new DataView(new ArrayBuffer(8));
  for (let i = 0; i < sizes.length; i++) {
    size.setFloat64(0, sizes[i], true);
    const hash = crypto.createHash('sha256').update(size);
    hash.update(checksums.subarray(i * CHECKSUM_BYTES, (i + 1) * CHECKSUM_BYTES));
    hash.update(ids.subarray(i * oneId, (i + 1) * oneId));
    hash.update(headers.subarray(i === 0 ? 0 : headerEnds[i - 1], headerEnds[i]));
    keys.set(hash.digest(), i * PROOF_KEY_BYTES);
  }
  return keys;
}

async function hashInJavaScript({ path, contentHeaders = [] }: FileToHash, algorithm: Algorithm): Promise<HashedFile> {
  const where: Where = { file: path };
  const failed = { sizeBytes: 0, digest: new Uint8Array(0), verity: 'off' as const, checksums: [] };
  try {
    const opened = await openRegularFile(path, where);
    if (opened === undefined) return { error: new FormatError('is missing', where), ...failed };
    await using handle = opened.handle;
    const verity = openVerityHasher(algorithm);
    const hashes = contentHeaders.map((header) => crypto.createHash('sha256').update(header));
    let sizeBytes = 0;
    for await (const chunk of chunksOf(handle)) {
      sizeBytes += chunk.length;
      verity.update(chunk);
      for (const hash of hashes) hash.update(chunk);
    }
    return { sizeBytes, digest: verity.digest(), verity: 'off', checksums: hashes.map((hash) => hash.digest()) };
  } catch (error) {
    return { error: error as Error, ...failed };
  }
}

/** The same buffer again and again. */
async function* chunksOf(handle: FileHandle): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (let at = 0; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
