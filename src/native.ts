/**
 * The only importer of the native addon, and Node's own hashing and zstd behind the interfaces that `formats` asks for.
 * node:crypto, node:zlib and the portable zstd are loaded when they are first used: not every command needs them.
 */

import { createRequire } from 'node:module';
import type { NativeAddon } from '../native/index.d.ts';
import { FormatError, LimitError } from './errors.ts';
import type { Hashing, ZstdCodec } from './formats/codecs.ts';
import type { Algorithm } from './formats/ids.ts';
import { type OwnedBytes, release } from './formats/owned-bytes.ts';

export type * from '../native/index.d.ts';

/** `IngestBatch.status`. Everything from 16 on means: refused, nothing stored. */
export const IngestStatus = {
  /** Content (or symlink) is part of `data`; nothing was written. */
  inline: 0,
  /** Content is a new object. */
  new: 1,
  /** Content is an object that was there already, and was verified. */
  present: 2,
  headerLength: 16,
  headerPadding: 17,
  headerForm: 18,
  sizeRange: 19,
  fileType: 20,
  modeBits: 21,
  rdev: 22,
  target: 23,
  xattrs: 24,
  symlinkSize: 25,
  deflate: 32,
  truncated: 33,
  sizeDiffers: 34,
  trailingBytes: 35,
  checksumDiffers: 48,
  /** The object of that name in our repository is not what its name says (or, secure, has no fs-verity). */
  damagedObject: 49,
  /** The kernel measured another digest than we computed. */
  verityDiffers: 50,
  /** A loose object is not in the form that its repository mode keeps. */
  localForm: 56,
  localChanged: 57,
  /** See `errno` and `steps`. */
  systemCall: 64,
  closed: 65,
} as const;
export type IngestStatus = (typeof IngestStatus)[keyof typeof IngestStatus];

/** `IngestBatch.how`. */
export const IngestHow = { nothing: 0, written: 1, reflinked: 2, hardLinked: 3 } as const;

const STATUS_NAMES = new Map<number, string>(Object.entries(IngestStatus).map(([name, status]) => [status, name]));
/** `checksumDiffers` and so on. */
export const ingestStatusName = (status: number): string => STATUS_NAMES.get(status) ?? `status ${status}`;
/** What the addon was doing when a system call failed: `write`, `open source` and so on. */
export const ingestStepName = (step: number): string => native?.ingestSteps[step] ?? `step ${step}`;

/** A system call that failed in the addon, as Node itself would throw it. @param errno positive, as the addon tells it */
export function systemError(errno: number, syscall: string, path?: string): NodeJS.ErrnoException {
  const code = process.getBuiltinModule('node:util').getSystemErrorName(-errno);
  const place = path === undefined ? '' : ` '${path}'`;
  return Object.assign(new Error(`${code}: ${syscall}${place}`), { errno: -errno, code, syscall, path });
}

const ADDON = '../native/build/cfs_ostree.node';

function load(): { addon?: NativeAddon; problem?: string } {
  if (process.env.CFS_OSTREE_NO_ADDON === '1') return { problem: 'switched off by CFS_OSTREE_NO_ADDON=1' };
  try {
    return { addon: createRequire(import.meta.url)(ADDON) as NativeAddon };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { problem: code === 'MODULE_NOT_FOUND' ? 'it is not built' : message.split('\n', 1)[0] };
  }
}

// At once: it takes half a millisecond, and "is there one?" is asked by comparing with undefined.
const loaded = load();

/** The addon, or undefined where it could not be loaded. */
export const native: NativeAddon | undefined = loaded.addon;
/** Why there is no addon; undefined when there is one. */
export const addonProblem = (): string | undefined => loaded.problem;
/** The same for the user, to be said once; undefined when all is well. */
export const addonWarning = (): string | undefined =>
  loaded.problem === undefined
    ? undefined
    : `the native addon could not be loaded (${loaded.problem}): slower, and not everything works (doc/native.md)`;

/** `formats` knows no Buffer, whose slice() shares memory. */
const plain = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);

/** Compressed output is taken in pieces of this size. */
const ZSTD_CHUNK_BYTES = 128 * 1024;

const BLOCK_BYTES = 4096;
const DESCRIPTOR_BYTES = 256;
const ALGORITHM_ID = { sha256: 1, sha512: 2 } as const;

/** fs-verity digest with node:crypto alone: the whole tree level by level, as the content is in memory anyway. */
function verityByCrypto(algorithm: Algorithm, bytes: Uint8Array): Uint8Array {
  const { createHash } = process.getBuiltinModule('node:crypto');
  const hashBytes = algorithm === 'sha256' ? 32 : 64;
  const hashBlocks = (level: Uint8Array): Uint8Array => {
    const hashes = new Uint8Array(Math.ceil(level.length / BLOCK_BYTES) * hashBytes);
    for (let start = 0, at = 0; start < level.length; start += BLOCK_BYTES, at += hashBytes) {
      const block = level.subarray(start, start + BLOCK_BYTES);
      const hash = createHash(algorithm).update(block);
      if (block.length < BLOCK_BYTES) hash.update(new Uint8Array(BLOCK_BYTES - block.length));
      hashes.set(hash.digest(), at);
    }
    return hashes;
  };
  let root = hashBlocks(bytes);
  while (root.length > hashBytes) root = hashBlocks(root);
  const descriptor = new Uint8Array(DESCRIPTOR_BYTES);
  descriptor.set([1, ALGORITHM_ID[algorithm], 12]);
  new DataView(descriptor.buffer).setBigUint64(8, BigInt(bytes.length), true);
  descriptor.set(root, 16);
  return plain(createHash(algorithm).update(descriptor).digest());
}

function sha256ByCrypto(parts: Uint8Array[]): Uint8Array {
  const hash = process.getBuiltinModule('node:crypto').createHash('sha256');
  for (const part of parts) hash.update(part);
  return plain(hash.digest());
}

/** The addon, else node:crypto: to load that takes 8 ms. */
export const nodeHashing: Hashing = {
  sha256(...parts) {
    const [head, tail, further] = parts;
    return native === undefined || head === undefined || further !== undefined
      ? sha256ByCrypto(parts)
      : native.sha256(head, tail);
  },
  fsVerity(algorithm, bytes) {
    return native?.fsVerity(algorithm, bytes) ?? verityByCrypto(algorithm, bytes);
  },
};

/** Each piece goes as soon as it is copied: pages of the whole come when they are written. */
function joinedAndReleased(chunks: readonly Buffer<ArrayBuffer>[]): OwnedBytes {
  const out = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  chunks.forEach((chunk, i) => {
    out.set(chunk, at);
    at += chunk.length;
    const { buffer } = chunk;
    if (chunks[i + 1]?.buffer !== buffer) release({ buffer }); // neighbours may be parts of one
  });
  return out;
}

/** One frame as a streaming writer makes it: the library is not told the size, so neither is the frame. */
function compressZstd(content: Uint8Array | readonly Uint8Array[]): Promise<OwnedBytes> {
  const { constants, createZstdCompress } = process.getBuiltinModule('node:zlib');
  return new Promise((resolve, reject) => {
    const params = { [constants.ZSTD_c_compressionLevel]: 3 };
    const encoder = createZstdCompress({ params, chunkSize: ZSTD_CHUNK_BYTES });
    const chunks: Buffer<ArrayBuffer>[] = []; // not pooled: they are too large for that
    encoder.on('error', reject);
    encoder.on('data', (chunk: Buffer<ArrayBuffer>) => chunks.push(chunk));
    encoder.on('end', () => {
      resolve(joinedAndReleased(chunks));
    });
    // the end must come in a call of its own; and a write of nothing would make another frame than no write
    const pieces = (content instanceof Uint8Array ? [content] : content).filter(({ length }) => length > 0);
    const last = pieces.pop();
    for (const piece of pieces) encoder.write(piece);
    if (last === undefined) encoder.end();
    else encoder.write(last, () => encoder.end());
  });
}

/** Output comes in pieces of this size, and each is a turn of the thread pool: whole frames where they expand no more than is usual. */
const MIN_PIECE_BYTES = 16 * 1024;
const USUAL_EXPANSION = 16;

function decompressFrame(frame: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const { zstdDecompress } = process.getBuiltinModule('node:zlib');
  // one more than there can be: a full piece would ask for another
  const chunkSize = Math.max(MIN_PIECE_BYTES, Math.min(maxBytes + 1, USUAL_EXPANSION * frame.length));
  return new Promise((resolve, reject) => {
    zstdDecompress(frame, { maxOutputLength: maxBytes, chunkSize }, (error, content) => {
      if (error === null) return resolve(plain(content));
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ERR_BUFFER_TOO_LARGE')
        return reject(new FormatError('the zstd frame is damaged', { format: 'zstd' }, { cause: error }));
      reject(new LimitError(`expands to more than ${maxBytes} bytes`, { format: 'zstd' }, { cause: error }));
    });
  });
}

/** node:zlib. Frames are told apart first: on its own it stops silently after the first one, whatever follows. */
export const nodeZstd: ZstdCodec = {
  compress: compressZstd,
  async decompress(bytes, maxBytes) {
    const { decompressByFrame } = await import('./formats/zstd-frame.ts');
    return decompressByFrame(bytes, maxBytes, decompressFrame);
  },
};
