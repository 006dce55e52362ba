/**
 * fs-verity digests with 4096-byte blocks and no salt, as the Linux kernel computes them (Documentation/filesystems/fsverity.rst).
 * Layout and check values: doc/formats/fs-verity.md.
 */

import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { type Algorithm, digestBytes, FS_VERITY_ALGORITHM_NUMBER } from './ids.ts';

export const FS_VERITY_BLOCK_BYTES = 4096;

const DESCRIPTOR_BYTES = 256;
const LG_BLOCK_SIZE = 12;
const HASH = { sha256, sha512 } as const;

/** One block being filled: level 0 holds file content, level k+1 the hashes of the blocks of level k. */
interface Level {
  block: Uint8Array;
  filled: number;
  /** Bytes that ever went into this level; above level 0 a multiple of the digest length. */
  totalBytes: number;
}

/** Takes a file in pieces of any size; memory is one block per tree level. */
export class FsVerityHasher {
  readonly #algorithm: Algorithm;
  readonly #hash: (bytes: Uint8Array) => Uint8Array;
  readonly #levels: Level[] = [];

  /** @param hash of one block with that algorithm, where there is a faster one than the portable; its result is copied */
  constructor(algorithm: Algorithm, hash: (bytes: Uint8Array) => Uint8Array = HASH[algorithm]) {
    this.#algorithm = algorithm;
    this.#hash = hash;
    this.#levels.push(newLevel());
  }

  update(chunk: Uint8Array): void {
    this.#append(0, chunk);
  }

  /** 32 or 64 bytes. Call it once, after the last update(). */
  digest(): Uint8Array {
    const contentBytes = this.#levels[0].totalBytes;
    return this.#hash(this.#descriptor(contentBytes, contentBytes === 0 ? undefined : this.#root()));
  }

  #append(index: number, bytes: Uint8Array): void {
    if (index === this.#levels.length) this.#levels.push(newLevel());
    const level = this.#levels[index];
    level.totalBytes += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      if (level.filled === 0 && bytes.length - at >= FS_VERITY_BLOCK_BYTES) {
        this.#append(index + 1, this.#hash(bytes.subarray(at, at + FS_VERITY_BLOCK_BYTES)));
        at += FS_VERITY_BLOCK_BYTES;
        continue;
      }
      const part = bytes.subarray(at, at + FS_VERITY_BLOCK_BYTES - level.filled);
      level.block.set(part, level.filled);
      level.filled += part.length;
      at += part.length;
      if (level.filled === FS_VERITY_BLOCK_BYTES) {
        level.filled = 0;
        this.#append(index + 1, this.#hash(level.block));
      }
    }
  }

  /** Pads and hashes the last block of every level until one hash is left. */
  #root(): Uint8Array {
    const oneHash = digestBytes(this.#algorithm);
    for (let index = 0; ; index++) {
      const level = this.#levels[index];
      if (index > 0 && level.totalBytes === oneHash) return level.block.subarray(0, oneHash);
      if (level.filled > 0) {
        level.block.fill(0, level.filled);
        level.filled = 0;
        this.#append(index + 1, this.#hash(level.block));
      }
    }
  }

  /** struct fsverity_descriptor. An empty file has no blocks and an all-zero root. */
  #descriptor(contentBytes: number, root: Uint8Array | undefined): Uint8Array {
    const descriptor = new Uint8Array(DESCRIPTOR_BYTES);
    const view = new DataView(descriptor.buffer);
    view.setUint8(0, 1); // version
    view.setUint8(1, FS_VERITY_ALGORITHM_NUMBER[this.#algorithm]);
    view.setUint8(2, LG_BLOCK_SIZE);
    view.setBigUint64(8, BigInt(contentBytes), true);
    if (root !== undefined) descriptor.set(root, 16);
    return descriptor;
  }
}

const newLevel = (): Level => ({ block: new Uint8Array(FS_VERITY_BLOCK_BYTES), filled: 0, totalBytes: 0 });

/** Raw digest of a whole file: 32 or 64 bytes. */
export function fsVerityDigest(algorithm: Algorithm, bytes: Uint8Array): Uint8Array {
  const hasher = new FsVerityHasher(algorithm);
  hasher.update(bytes);
  return hasher.digest();
}
