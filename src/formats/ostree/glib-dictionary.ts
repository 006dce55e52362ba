/**
 * The order in which libostree stores commit metadata that went through a GVariantDict: the slots of GLib's string hash table
 * (GLib 2.66 and later). Commit ids cover the order, so equal ids need the same one.
 */

import { byteStringFromText } from '../byte-string.ts';

const MIN_SHIFT = 3;
/** The largest primes below powers of two: GLib's table of moduli, up to 2^20 slots. */
const MODULI = [
  ...[1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071],
  ...[262139, 524287, 1048573],
];

type Slots = Array<string | undefined>;

/** @returns the keys in the order of the dictionary, insertion order given */
export function glibDictionaryOrder(keys: readonly string[]): string[] {
  let slots: Slots = new Array(1 << MIN_SHIFT);
  let count = 0;
  for (const key of keys) {
    slots[findSlot(slots.length, key, (slot) => slots[slot] !== undefined)] = key;
    count++;
    if (slots.length <= count + Math.floor(count / 16))
      slots = grow(slots, 1 << Math.max(MIN_SHIFT, 32 - Math.clz32(Math.floor(count * 1.333))));
  }
  return slots.filter((key) => key !== undefined);
}

/**
 * Larger, in place: each key goes to the first slot of its own that no key was moved to yet. A key that still waits there is
 * driven out and moved next, so that the order is another than that of inserting one after the other.
 */
function grow(old: Slots, size: number): Slots {
  const slots = [...old, ...(new Array(size - old.length) as Slots)];
  const moved = new Set<number>();
  for (let start = 0; start < old.length; start++) {
    if (moved.has(start)) continue;
    let key = slots[start];
    slots[start] = undefined;
    while (key !== undefined) {
      const slot = findSlot(size, key, (candidate) => moved.has(candidate));
      moved.add(slot);
      [slots[slot], key] = [key, slots[slot]];
    }
  }
  return slots;
}

function findSlot(size: number, key: string, isTaken: (slot: number) => boolean): number {
  let slot = (Math.imul(stringHash(key), 11) >>> 0) % MODULI[31 - Math.clz32(size)];
  for (let step = 1; isTaken(slot); step++) slot = (slot + step) & (size - 1);
  return slot;
}

/** Bernstein's hash over signed bytes, 32 bits; 0 and 1 mark free slots, so they become 2. */
function stringHash(key: string): number {
  let hash = 5381;
  const bytes = byteStringFromText(key);
  for (let i = 0; i < bytes.length; i++) hash = (Math.imul(hash, 33) + ((bytes.charCodeAt(i) << 24) >> 24)) | 0;
  return hash >>> 0 < 2 ? 2 : hash;
}
