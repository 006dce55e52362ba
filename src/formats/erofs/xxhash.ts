/** xxHash, 32 bits: the hash behind EROFS's xattr name filter. */

import type { ByteString } from '../byte-string.ts';

const P1 = 2654435761;
const P2 = 2246822519;
const P3 = 3266489917;
const P4 = 668265263;
const P5 = 374761393;

const rotateLeft = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));

const wordAt = (text: ByteString, at: number): number =>
  text.charCodeAt(at) |
  (text.charCodeAt(at + 1) << 8) |
  (text.charCodeAt(at + 2) << 16) |
  (text.charCodeAt(at + 3) << 24);

const lane = (value: number, word: number): number => Math.imul(rotateLeft((value + Math.imul(word, P2)) | 0, 13), P1);

/** @returns an unsigned 32-bit number */
export function xxh32(text: ByteString, seed: number): number {
  const length = text.length;
  let at = 0;
  let hash: number;
  if (length >= 16) {
    let a = (seed + P1 + P2) | 0;
    let b = (seed + P2) | 0;
    let c = seed | 0;
    let d = (seed - P1) | 0;
    for (; at + 16 <= length; at += 16) {
      a = lane(a, wordAt(text, at));
      b = lane(b, wordAt(text, at + 4));
      c = lane(c, wordAt(text, at + 8));
      d = lane(d, wordAt(text, at + 12));
    }
    hash = (rotateLeft(a, 1) + rotateLeft(b, 7) + rotateLeft(c, 12) + rotateLeft(d, 18)) | 0;
  } else {
    hash = (seed + P5) | 0;
  }
  hash = (hash + length) | 0;
  for (; at + 4 <= length; at += 4) hash = Math.imul(rotateLeft((hash + Math.imul(wordAt(text, at), P3)) | 0, 17), P4);
  for (; at < length; at++) hash = Math.imul(rotateLeft((hash + Math.imul(text.charCodeAt(at), P5)) | 0, 11), P1);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, P2);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, P3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
