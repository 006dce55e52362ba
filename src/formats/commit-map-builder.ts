/** Collects the objects of a commit and writes them as a commit map. Flat buffers: constant time and memory for each object. */

import { LimitError } from '../errors.ts';
import { compareChecksums, DATA_ALIGNMENT, DATA_REF_BYTES, MAP_HEADER_BYTES, NO_OBJECT } from './commit-map.ts';
import { type Algorithm, CHECKSUM_BYTES, digestBytes } from './ids.ts';
import { NumberedDigests } from './numbered-digests.ts';

/** Bytes of a commit map: 10 million objects with some room; its parts are single buffers. */
export const MAX_COMMIT_STREAM_BYTES = 4 * 1024 ** 3;
const CHECKSUM_WORDS = CHECKSUM_BYTES / 4;
const FIRST_CAPACITY = 256;
const FIRST_DATA_BYTES = 64 * 1024;

export class CommitMapBuilder {
  readonly #checksums = new NumberedDigests(CHECKSUM_BYTES);
  readonly #objects: NumberedDigests;
  #data: Uint8Array = new Uint8Array(FIRST_DATA_BYTES);
  #dataEnd = 0;
  /** For each object: start of its data in #data / 8, its length, and its number in #objects. As in a data ref. */
  #refs = new Uint32Array(3 * FIRST_CAPACITY);

  constructor(algorithm: Algorithm) {
    this.#objects = new NumberedDigests(digestBytes(algorithm));
  }

  /** Number of objects. */
  get size(): number {
    return this.#checksums.count;
  }

  /** Bytes that build() would make. */
  get contentBytes(): number {
    return MAP_HEADER_BYTES + (CHECKSUM_BYTES + DATA_REF_BYTES) * this.size + this.#dataEnd;
  }

  /** The checksum as 32 raw bytes at `offset`. */
  has(checksum: Uint8Array, offset = 0): boolean {
    return this.#checksums.find(checksum, offset) >= 0;
  }

  /** Raw checksums of all objects in the order of their addition, concatenated. Views here and below: good until the next add(). */
  get checksums(): Uint8Array {
    return this.#checksums.bytes;
  }

  /** Data of object number `number` in the order of addition. */
  dataOf(number: number): Uint8Array {
    const start = DATA_ALIGNMENT * this.#refs[3 * number];
    return this.#data.subarray(start, start + this.#refs[3 * number + 1]);
  }

  /** Raw id of its external object, if it has one. */
  externalOf(number: number): Uint8Array | undefined {
    const object = this.#refs[3 * number + 2];
    return object === NO_OBJECT ? undefined : this.#objects.at(object);
  }

  /**
   * Copies everything it is given.
   * @param data what `CommitMap.dataAt` gives back
   * @param external raw object id of the content, when `data` has only the header
   * @returns false, and changes nothing, when the object is there already
   * @throws LimitError when the map would become larger than MAX_COMMIT_STREAM_BYTES
   */
  add(checksum: Uint8Array, data: Uint8Array, external?: Uint8Array): boolean {
    const paddedBytes = Math.ceil(data.length / DATA_ALIGNMENT) * DATA_ALIGNMENT;
    if (
      this.contentBytes + CHECKSUM_BYTES + DATA_REF_BYTES + paddedBytes > MAX_COMMIT_STREAM_BYTES &&
      !this.has(checksum)
    )
      throw new LimitError(`a commit has more than ${MAX_COMMIT_STREAM_BYTES} bytes of metadata`, {
        format: 'commit map',
      });
    const count = this.size;
    if (this.#checksums.add(checksum) < count) return false;
    if (this.#dataEnd + paddedBytes > this.#data.length) this.#growData(this.#dataEnd + paddedBytes);
    const at = 3 * count;
    if (at + 3 > this.#refs.length) {
      const larger = new Uint32Array(2 * this.#refs.length);
      larger.set(this.#refs);
      this.#refs = larger;
    }
    this.#data.set(data, this.#dataEnd);
    this.#refs[at] = this.#dataEnd / DATA_ALIGNMENT;
    this.#refs[at + 1] = data.length;
    this.#refs[at + 2] = external === undefined ? NO_OBJECT : this.#objects.add(external);
    this.#dataEnd += paddedBytes;
    return true;
  }

  /**
   * The map of everything so far; may be called again after more objects came. Objects are numbered in the order of the sorted
   * checksums that use them first.
   * @param commit raw checksum of the commit object, which must have been added
   */
  build(commit: Uint8Array): { content: Uint8Array; objectRefs: Uint8Array } {
    const commitNumber = this.#checksums.find(commit);
    if (commitNumber < 0) throw new TypeError('the commit object is not in its map');
    const checksums = this.#checksums.bytes;
    const order = sortDigests(checksums, CHECKSUM_BYTES);
    const count = order.length;
    const content = new Uint8Array(this.contentBytes);
    const view = new DataView(content.buffer);
    // everything starts at a multiple of 4 on both sides, and words copy faster than bytes or views
    const words = new Uint32Array(content.buffer);
    const checksumWords = wordsOf(checksums);
    const dataWords = wordsOf(this.#data);
    const refs = this.#refs;
    const refsStart = MAP_HEADER_BYTES + CHECKSUM_BYTES * count;
    const areaWord = (refsStart + DATA_REF_BYTES * count) / 4;
    const objectRefs = new Uint8Array(this.#objects.bytes.length);
    const newNumbers = new Uint32Array(this.#objects.count).fill(NO_OBJECT);
    let objects = 0;
    let position = 0; // of the next data, in units of DATA_ALIGNMENT
    for (let index = 0; index < count; index++) {
      const number = order[index];
      if (number === commitNumber) view.setUint32(0, index, true);
      copyWords(
        checksumWords,
        CHECKSUM_WORDS * number,
        words,
        MAP_HEADER_BYTES / 4 + CHECKSUM_WORDS * index,
        CHECKSUM_WORDS,
      );
      view.setUint32(8 + 4 * checksums[CHECKSUM_BYTES * number], index + 1, true);
      const size = refs[3 * number + 1];
      const object = refs[3 * number + 2];
      if (object !== NO_OBJECT && newNumbers[object] === NO_OBJECT) {
        this.#objects.copyTo(objectRefs, objects * this.#objects.digestBytes, object);
        newNumbers[object] = objects++;
      }
      const refAt = refsStart + DATA_REF_BYTES * index;
      view.setUint32(refAt, position, true);
      view.setUint32(refAt + 4, size, true);
      view.setUint32(refAt + 8, object === NO_OBJECT ? NO_OBJECT : newNumbers[object], true);
      const units = (size + DATA_ALIGNMENT - 1) >>> 3;
      copyWords(dataWords, 2 * refs[3 * number], words, areaWord + 2 * position, 2 * units);
      position += units;
    }
    for (let byte = 1; byte < 256; byte++) {
      const before = view.getUint32(8 + 4 * (byte - 1), true); // a bucket without objects ends where the one before it does
      if (view.getUint32(8 + 4 * byte, true) === 0) view.setUint32(8 + 4 * byte, before, true);
    }
    return { content, objectRefs };
  }

  #growData(neededBytes: number): void {
    const larger = new Uint8Array(Math.max(neededBytes, 2 * this.#data.length));
    larger.set(this.#data.subarray(0, this.#dataEnd));
    this.#data = larger;
  }
}

const wordsOf = (bytes: Uint8Array): Uint32Array =>
  new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);

/** Offsets and count in words. */
function copyWords(from: Uint32Array, fromWord: number, to: Uint32Array, toWord: number, count: number): void {
  for (let i = 0; i < count; i++) to[toWord + i] = from[fromWord + i];
}

/**
 * Numbers of the digests in ascending order: two counting passes over the first four bytes, then the few that agree in those.
 * @param digests concatenated, each of `length` ≥ 4 bytes
 */
export function sortDigests(digests: Uint8Array, length: number): Uint32Array {
  const count = digests.length / length;
  const prefix = (number: number, byte: number): number =>
    (digests[number * length + byte] << 8) | digests[number * length + byte + 1];
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
  for (let start = 0, end = 1; start < count; start = end++) {
    while (end < count && samePrefix(order[start], order[end])) end++;
    if (end - start > 1)
      order.subarray(start, end).sort((a, b) => compareChecksums(digests, a * length, digests, b * length));
  }
  return order;
}
