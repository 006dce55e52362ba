/** What `formats` asks of its surroundings. Node passes fast ones (`src/native.ts`), browsers the portable ones. */

import type { Algorithm } from './ids.ts';
import type { OwnedBytes } from './owned-bytes.ts';

export interface ZstdCodec {
  /**
   * One frame. Level 3; where the codec can stream, exactly as a streaming writer does (no content size in the frame).
   * @param content in one piece or in several; how it is cut makes no difference
   * @returns bytes that are the caller's
   */
  compress(content: Uint8Array | readonly Uint8Array[]): Promise<OwnedBytes>;
  /**
   * All frames in `bytes`, skippable ones included.
   * @throws FormatError on damage, LimitError when the output would exceed `maxBytes`
   */
  decompress(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array>;
}

export interface Hashing {
  /** SHA-256 of the parts in order, 32 bytes. */
  sha256(...parts: Uint8Array[]): Uint8Array;
  /** fs-verity digest (4096-byte blocks, no salt) of the bytes: 32 or 64 bytes. */
  fsVerity(algorithm: Algorithm, bytes: Uint8Array): Uint8Array;
}
