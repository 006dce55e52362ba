/**
 * A sorted table of checksums behind 256 bucket ends: the way commit maps and side index segments are searched. Bucket end b is the
 * number of checksums whose first byte is at most b.
 */

import { CHECKSUM_BYTES } from './ids.ts';

/** 256 little-endian u32. */
export const BUCKETS_BYTES = 4 * 256;

/** Checksums are spread evenly, so a guess at the place comes close; bisection follows, for those of a stranger need not be. */
const MAX_GUESSES = 4;

/** Reports damage at an offset of the bytes; does not return. */
export type Fail = (field: string, offset: number, problem: string) => never;

export class ChecksumTable {
  readonly count: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #bucketsAt: number;
  readonly #checksumsAt: number;

  /**
   * The whole table must lie in `bytes`; `checkBuckets` says so beforehand, `checkOrder` that a search finds everything.
   * @param bucketsAt offset of the bucket ends
   * @param checksumsAt offset of the first checksum
   */
  constructor(bytes: Uint8Array, bucketsAt: number, checksumsAt: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#bucketsAt = bucketsAt;
    this.#checksumsAt = checksumsAt;
    this.count = this.#bucketEnd(255);
  }

  /** A view of checksum number `index`. */
  at(index: number): Uint8Array {
    const at = this.#checksumsAt + CHECKSUM_BYTES * index;
    return this.#bytes.subarray(at, at + CHECKSUM_BYTES);
  }

  /** @returns number of the checksum at `offset` of `bytes`, -1 when it is not there */
  find(bytes: Uint8Array, offset = 0): number {
    const first = bytes[offset];
    let low = first === 0 ? 0 : this.#bucketEnd(first - 1);
    let high = this.#bucketEnd(first);
    const wanted = secondToFourth(bytes, offset);
    let lowValue = 0;
    let highValue = 1 << 24;
    for (let guesses = 0; low < high; guesses++) {
      const share = guesses < MAX_GUESSES ? (wanted - lowValue) / (highValue - lowValue + 1) : 0.5;
      const middle = low + Math.floor((high - low) * share);
      const at = this.#checksumsAt + CHECKSUM_BYTES * middle;
      const order = compareChecksums(this.#bytes, at, bytes, offset);
      if (order === 0) return middle;
      if (order < 0) {
        low = middle + 1;
        lowValue = secondToFourth(this.#bytes, at);
      } else {
        high = middle;
        highValue = secondToFourth(this.#bytes, at);
      }
    }
    return -1;
  }

  checkBuckets(fail: Fail): void {
    for (let byte = 1; byte < 256; byte++)
      if (this.#bucketEnd(byte) < this.#bucketEnd(byte - 1))
        fail('bucket', this.#bucketsAt + 4 * byte, 'bucket ends decrease');
  }

  /** Ascending, so that nothing can hide from a search, and each in the bucket of its first byte. */
  checkOrder(fail: Fail): void {
    let at = this.#checksumsAt;
    let index = 0;
    for (let byte = 0; byte < 256; byte++) {
      for (const end = this.#bucketEnd(byte); index < end; index++, at += CHECKSUM_BYTES) {
        if (this.#bytes[at] !== byte) fail('ids', at, `object ${index} is in the bucket of another first byte`);
        if (index > 0 && compareChecksums(this.#bytes, at - CHECKSUM_BYTES, this.#bytes, at) >= 0)
          fail('ids', at, `object ${index} is not above the one before it`);
      }
    }
  }

  #bucketEnd(byte: number): number {
    return this.#view.getUint32(this.#bucketsAt + 4 * byte, true);
  }
}

/**
 * Writes the sorted checksums and their bucket ends.
 * @param order numbers of the checksums in `checksums`, sorted
 */
export function writeChecksumTable(
  out: Uint8Array,
  bucketsAt: number,
  checksumsAt: number,
  checksums: Uint8Array,
  order: Uint32Array,
): void {
  for (let index = 0; index < order.length; index++) {
    const from = CHECKSUM_BYTES * order[index];
    const to = checksumsAt + CHECKSUM_BYTES * index;
    for (let i = 0; i < CHECKSUM_BYTES; i++) out[to + i] = checksums[from + i];
  }
  writeBuckets(out, bucketsAt, checksumsAt, order.length);
}

/** Writes the bucket ends of `count` sorted checksums that are there already. */
export function writeBuckets(out: Uint8Array, bucketsAt: number, checksumsAt: number, count: number): void {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  let end = 0;
  for (let byte = 0; byte < 256; byte++) {
    while (end < count && out[checksumsAt + CHECKSUM_BYTES * end] === byte) end++;
    view.setUint32(bucketsAt + 4 * byte, end, true);
  }
}

/**
 * Numbers of the checksums in ascending order: two counting passes over the first four bytes, then the few that agree in those.
 * @param checksums concatenated
 */
export function sortChecksums(checksums: Uint8Array): Uint32Array {
  const count = checksums.length / CHECKSUM_BYTES;
  const prefix = (number: number, byte: number): number => {
    const at = number * CHECKSUM_BYTES + byte;
    return (checksums[at] << 8) | checksums[at + 1];
  };
  let order = new Uint32Array(count);
  for (let number = 0; number < count; number++) order[number] = number;
  for (const byte of [2, 0]) {
    const ends = new Uint32Array(65_537);
    for (let number = 0; number < count; number++) ends[prefix(number, byte) + 1]++;
    for (let value = 0; value < 65_536; value++) ends[value + 1] += ends[value];
    const sorted = new Uint32Array(count);
    for (let i = 0; i < count; i++) sorted[ends[prefix(order[i], byte)]++] = order[i];
    order = sorted;
  }
  const samePrefix = (a: number, b: number): boolean => prefix(a, 0) === prefix(b, 0) && prefix(a, 2) === prefix(b, 2);
  const compare = (a: number, b: number): number =>
    compareChecksums(checksums, CHECKSUM_BYTES * a, checksums, CHECKSUM_BYTES * b);
  for (let start = 0, end = 1; start < count; start = end++) {
    while (end < count && samePrefix(order[start], order[end])) end++;
    if (end - start > 1) order.subarray(start, end).sort(compare);
  }
  return order;
}

const secondToFourth = (bytes: Uint8Array, at: number): number =>
  (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];

/** Byte order of two checksums: < 0, 0 or > 0. */
export function compareChecksums(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): number {
  for (let i = 0; i < CHECKSUM_BYTES; i++) {
    const difference = a[aOffset + i] - b[bOffset + i];
    if (difference !== 0) return difference;
  }
  return 0;
}
