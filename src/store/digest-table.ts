/**
 * A set of object ids with a few flags each, for hundreds of millions of them: flat memory, no JavaScript value per id.
 * Only the first 32 bytes of an id are kept, which is as good as all of it; at 100 million ids that is 4 to 5.5 GiB.
 */

import type { ObjectId } from '../formats/ids.ts';
import { secretFactors } from '../formats/secret-factors.ts';

const KEY_BYTES = 32;
const KEY_WORDS = KEY_BYTES / 4;
/** One part for each first byte: growing copies one part at a time, never all. */
const PARTS = 256;
const FIRST_CAPACITY = 16;
const GROWTH = 1.4;
const MAX_LOAD = 0.85;

interface Part {
  keys: Uint32Array;
  /** 0: the slot is free. */
  flags: Uint8Array;
  count: number;
}

export class DigestTable {
  readonly #parts: Part[] = [];
  /** Ids come from strangers' streams: without secret factors they could choose ones that all collide. */
  readonly #factors = secretFactors(KEY_WORDS);
  readonly #key = new Uint32Array(KEY_WORDS);
  readonly #keyBytes = new Uint8Array(this.#key.buffer);
  #size = 0;

  constructor() {
    for (let i = 0; i < PARTS; i++) this.#parts.push(newPart(FIRST_CAPACITY));
  }

  get size(): number {
    return this.#size;
  }

  /** Flags of the id whose raw bytes start at `offset`; 0: not in the table. */
  flags(bytes: Uint8Array, offset = 0): number {
    this.#loadBytes(bytes, offset);
    return this.#find();
  }

  flagsOf(id: ObjectId): number {
    this.#loadHex(id);
    return this.#find();
  }

  /**
   * Adds the id or adds to its flags.
   * @param flags 1 to 255
   * @returns the flags before; 0: the id is new
   */
  mark(flags: number, bytes: Uint8Array, offset = 0): number {
    this.#loadBytes(bytes, offset);
    return this.#mark(flags);
  }

  markId(flags: number, id: ObjectId): number {
    this.#loadHex(id);
    return this.#mark(flags);
  }

  #loadBytes(bytes: Uint8Array, offset: number): void {
    const key = this.#keyBytes;
    for (let i = 0; i < KEY_BYTES; i++) key[i] = bytes[offset + i];
  }

  #loadHex(id: ObjectId): void {
    const key = this.#keyBytes;
    for (let i = 0; i < KEY_BYTES; i++) key[i] = (digitOf(id, 2 * i) << 4) | digitOf(id, 2 * i + 1);
  }

  #find(): number {
    const part = this.#parts[this.#keyBytes[0]];
    return part.flags[this.#slot(part, this.#key, 0)];
  }

  #mark(flags: number): number {
    const part = this.#parts[this.#keyBytes[0]];
    let slot = this.#slot(part, this.#key, 0);
    const before = part.flags[slot];
    if (before === 0) {
      if (part.count + 1 > part.flags.length * MAX_LOAD) {
        this.#grow(part);
        slot = this.#slot(part, this.#key, 0);
      }
      part.keys.set(this.#key, slot * KEY_WORDS);
      part.count++;
      this.#size++;
    }
    part.flags[slot] = before | flags;
    return before;
  }

  /** Where the key is, or the free slot where it belongs. */
  #slot({ keys, flags }: Part, key: Uint32Array, at: number): number {
    const factors = this.#factors;
    let hash = 0;
    for (let i = 0; i < KEY_WORDS; i++) hash = (hash + Math.imul(key[at + i], factors[i])) | 0;
    const capacity = flags.length;
    let slot = Math.floor(((hash >>> 0) / 2 ** 32) * capacity);
    while (flags[slot] !== 0 && !sameKey(keys, slot * KEY_WORDS, key, at)) if (++slot === capacity) slot = 0;
    return slot;
  }

  #grow(part: Part): void {
    const { keys, flags } = part;
    const larger = newPart(Math.ceil(flags.length * GROWTH));
    for (let old = 0; old < flags.length; old++) {
      if (flags[old] === 0) continue;
      const slot = this.#slot(larger, keys, old * KEY_WORDS);
      larger.keys.set(keys.subarray(old * KEY_WORDS, (old + 1) * KEY_WORDS), slot * KEY_WORDS);
      larger.flags[slot] = flags[old];
    }
    part.keys = larger.keys;
    part.flags = larger.flags;
  }
}

const newPart = (capacity: number): Part => ({
  keys: new Uint32Array(capacity * KEY_WORDS),
  flags: new Uint8Array(capacity),
  count: 0,
});

function sameKey(a: Uint32Array, atA: number, b: Uint32Array, atB: number): boolean {
  for (let i = 0; i < KEY_WORDS; i++) if (a[atA + i] !== b[atB + i]) return false;
  return true;
}

/** Value of a lower-case hex digit. */
function digitOf(id: ObjectId, at: number): number {
  const code = id.charCodeAt(at);
  return code < 58 ? code - 48 : code - 87;
}
