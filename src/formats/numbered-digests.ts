/** A growing set of equally long raw digests, numbered in the order of their addition. No JavaScript object per digest. */

import { grow, type OwnedBytes, release } from './owned-bytes.ts';
import { secretFactors } from './secret-factors.ts';

const FIRST_CAPACITY = 256;
/** Of the slots at most half are used, so that probing stays short. */
const SLOTS_PER_DIGEST = 2;

export class NumberedDigests {
  readonly digestBytes: number;
  #bytes: OwnedBytes;
  #count = 0;
  /** Index + 1 of the digest, 0 for a free slot. */
  #slots = new Uint32Array(FIRST_CAPACITY * SLOTS_PER_DIGEST);
  /** Digests are chosen by strangers, who could make them collide; these numbers they do not know. */
  readonly #secret = secretFactors(3);

  constructor(digestBytes: number) {
    this.digestBytes = digestBytes;
    this.#bytes = new Uint8Array(FIRST_CAPACITY * digestBytes);
  }

  get count(): number {
    return this.#count;
  }

  /** All digests in their order. A view that the next add() may leave behind. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#count * this.digestBytes);
  }

  /** @returns number of the digest at `offset`, -1 when it is not there */
  find(digest: Uint8Array, offset = 0): number {
    return this.#slots[this.#slotOf(digest, offset)] - 1;
  }

  /** @returns number of the digest; it is a new one if that is the former `count` */
  add(digest: Uint8Array, offset = 0): number {
    const slot = this.#slotOf(digest, offset);
    const found = this.#slots[slot] - 1;
    if (found >= 0) return found;
    const index = this.#count++;
    if (this.#count * this.digestBytes > this.#bytes.length) this.#bytes = grow(this.#bytes, 2 * this.#bytes.length);
    const at = index * this.digestBytes;
    for (let i = 0; i < this.digestBytes; i++) this.#bytes[at + i] = digest[offset + i];
    if (this.#count * SLOTS_PER_DIGEST > this.#slots.length) this.#rehash();
    else this.#slots[slot] = this.#count;
    return index;
  }

  /** Digest number `index`; a view like `bytes`. */
  at(index: number): Uint8Array {
    return this.#bytes.subarray(index * this.digestBytes, (index + 1) * this.digestBytes);
  }

  /** Nothing is found any more and nothing may be added; the memory for that is free. The digests stay. */
  releaseSlots(): void {
    release(this.#slots);
    this.#slots = new Uint32Array(1);
  }

  /** The end of it: nothing can be asked any more, and the memory is free. */
  release(): void {
    release(this.#bytes);
    release(this.#slots);
  }

  /** Slot that holds the digest, or the free one where it belongs. */
  #slotOf(digest: Uint8Array, offset: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = this.#hash(digest, offset) & mask; ; slot = (slot + 1) & mask) {
      const index = this.#slots[slot] - 1;
      if (index < 0 || this.#equals(index, digest, offset)) return slot;
    }
  }

  #equals(index: number, digest: Uint8Array, offset: number): boolean {
    const at = index * this.digestBytes;
    for (let i = 0; i < this.digestBytes; i++) if (this.#bytes[at + i] !== digest[offset + i]) return false;
    return true;
  }

  /** Of the first eight bytes: making those equal is as hard as it need be. */
  #hash(digest: Uint8Array, at: number): number {
    const word0 = digest[at] | (digest[at + 1] << 8) | (digest[at + 2] << 16) | (digest[at + 3] << 24);
    const word1 = digest[at + 4] | (digest[at + 5] << 8) | (digest[at + 6] << 16) | (digest[at + 7] << 24);
    const secret = this.#secret;
    const mixed = Math.imul(word0, secret[0]) + Math.imul(word1 ^ (word0 >>> 15), secret[1]);
    const hash = Math.imul(mixed ^ (mixed >>> 16), secret[2]);
    return hash ^ (hash >>> 15);
  }

  #rehash(): void {
    const { length } = this.#slots;
    release(this.#slots);
    this.#slots = new Uint32Array(2 * length);
    for (let index = 0; index < this.#count; index++)
      this.#slots[this.#slotOf(this.#bytes, index * this.digestBytes)] = index + 1;
  }
}
