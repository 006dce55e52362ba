/** What an image is to be like. */

import type { Algorithm } from '../ids.ts';

/** `composefs_version` of an image. 0 and 1 have one layout, 2 another. */
export type ErofsVersion = 0 | 1 | 2;

export interface ErofsOptions {
  version: ErofsVersion;
  /** Of the digests in the tree. */
  algorithm: Algorithm;
}
