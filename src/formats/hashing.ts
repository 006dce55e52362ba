/** Hashing that runs anywhere. Node has a faster one (`src/native.ts`). */

import { sha256 } from '@noble/hashes/sha2.js';
import type { Hashing } from './codecs.ts';
import { fsVerityDigest } from './fs-verity.ts';

export const portableHashing: Hashing = {
  sha256(...parts: Uint8Array[]): Uint8Array {
    const hash = sha256.create();
    for (const part of parts) hash.update(part);
    return hash.digest();
  },
  fsVerity: fsVerityDigest,
};
