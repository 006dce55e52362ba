/** Both zstd codecs, for tests that must hold with either. */

import { portableZstd } from '../../src/formats/zstd.ts';
import { nodeZstd } from '../../src/native.ts';

export const ZSTD_CODECS = [
  { codec: 'portable', zstd: portableZstd },
  { codec: 'node', zstd: nodeZstd },
];
