/** fs-verity of content in pieces where there is no addon: with node:crypto, which is some times faster than the portable hashes. */

import crypto from 'node:crypto';
import { FsVerityHasher } from '../formats/fs-verity.ts';
import type { Algorithm } from '../formats/ids.ts';

export const openVerityHasher = (algorithm: Algorithm): FsVerityHasher =>
  new FsVerityHasher(algorithm, (bytes) => crypto.hash(algorithm, bytes, 'buffer'));
