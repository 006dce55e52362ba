/**
 * The order in which libostree stores commit metadata that went through a GVariantDict: the slots of GLib's string hash table
 * (GLib 2.66 and later). Commit ids cover the order, so equal ids need the same one.
 */

import { byteStringFromText } from '../byte-string.ts';

const MIN_SHIFT = 3;
/** Primes just below powers of two: GLib's table of moduli, up to 4096 slots. */
const MODULI = [1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093];

/** @returns the keys in the order of the dictionary, insertion order given */
export function glibDictionaryOrder(keys: readonly string[]): string[] {
  let slots: Array<string | undefined> = new Array(1 << MIN_SHIFT);
  let count = 0;
  for (const key of keys) {
    insert(slots, key);
    count++;
    if (slots.length <= count + Math.floor(count / 16)) {
      const shift = Math.max(MIN_SHIFT, 32 - Math.clz32(Math.floor(count * 1.333)));
      const larger: typeof slots = new Array(1 << shift);
      for (const occupied of slots) if (occupied !== undefined) insert(larger, occupied);
      slots = larger;
    }
  }
  return slots.filter((key) => key !== undefined);
}

function insert(slots: Array<string | undefined>, key: string): void {
  const shift = 31 - Math.clz32(slots.length);
  let slot = (Math.imul(stringHash(key), 11) >>> 0) % MODULI[shift];
  for (let step = 1; slots[slot] !== undefined; step++) slot = (slot + step) & (slots.length - 1);
  slots[slot] = key;
}

/** Bernstein's hash over signed bytes, 32 bits; 0 and 1 mark free slots, so they become 2. */
function stringHash(key: string): number {
  let hash = 5381;
  const bytes = byteStringFromText(key);
  for (let i = 0; i < bytes.length; i++) hash = (Math.imul(hash, 33) + ((bytes.charCodeAt(i) << 24) >> 24)) | 0;
  return hash >>> 0 < 2 ? 2 : hash;
}
