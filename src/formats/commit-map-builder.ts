/** Collects the objects of a commit and writes them as a commit map. Flat buffers: constant time and memory for each object. */

import { LimitError } from '../errors.ts';
import { sortChecksums, writeChecksumTable } from './checksum-table.ts';
import { DATA_ALIGNMENT, DATA_REF_BYTES, MAP_BUCKETS_AT, MAP_HEADER_BYTES, NO_OBJECT } from './commit-map.ts';
import { type Algorithm, CHECKSUM_BYTES, digestBytes } from './ids.ts';
import { NumberedDigests } from './numbered-digests.ts';
import { grow, type OwnedBytes, release } from './owned-bytes.ts';

/** Bytes of a commit map: 10 million objects with some room; its parts are single buffers. */
export const MAX_COMMIT_STREAM_BYTES = 4 * 1024 ** 3;
const FIRST_CAPACITY = 256;
const FIRST_DATA_BYTES = 64 * 1024;

export class CommitMapBuilder {
  readonly #checksums = new NumberedDigests(CHECKSUM_BYTES);
  readonly #objects: NumberedDigests;
  #data: OwnedBytes = new Uint8Array(FIRST_DATA_BYTES);
  #dataEnd = 0;
  /** For each object: start of its data in #data / 8, its length, and its number in #objects. As in a data ref. */
  #refs = new Uint32Array(3 * FIRST_CAPACITY);

  constructor(algorithm: Algorithm) {
    this.#objects = new NumberedDigests(digestBytes(algorithm));
  }

  /** Number of objects. */
  get count(): number {
    return this.#checksums.count;
  }

  /** Bytes that build() would make. */
  get contentBytes(): number {
    return MAP_HEADER_BYTES + (CHECKSUM_BYTES + DATA_REF_BYTES) * this.count + this.#dataEnd;
  }

  /** The checksum as 32 raw bytes at `offset`. */
  has(checksum: Uint8Array, offset = 0): boolean {
    return this.#checksums.find(checksum, offset) >= 0;
  }

  /** As in a CommitMap, but in the order of addition. The three views are good until the next add(). */
  checksumBytesAt(index: number): Uint8Array {
    return this.#checksums.at(index);
  }

  dataAt(index: number): Uint8Array {
    const start = DATA_ALIGNMENT * this.#refs[3 * index];
    return this.#data.subarray(start, start + this.#refs[3 * index + 1]);
  }

  externalBytesAt(index: number): Uint8Array | undefined {
    const object = this.#refs[3 * index + 2];
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
    const { count } = this;
    if (this.#checksums.add(checksum) < count) return false;
    if (this.#dataEnd + paddedBytes > this.#data.length)
      this.#data = grow(this.#data, Math.max(this.#dataEnd + paddedBytes, 2 * this.#data.length));
    const at = 3 * count;
    if (at + 3 > this.#refs.length) this.#refs = new Uint32Array(this.#refs.buffer.transfer(2 * this.#refs.byteLength));
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
  build(commit: Uint8Array): { content: OwnedBytes; objectRefs: OwnedBytes } {
    const commitNumber = this.#checksums.find(commit);
    if (commitNumber < 0) throw new TypeError('the commit object is not in its map');
    const checksums = this.#checksums.bytes;
    const order = sortChecksums(checksums);
    const refsStart = MAP_HEADER_BYTES + CHECKSUM_BYTES * order.length;
    const areaWord = (refsStart + DATA_REF_BYTES * order.length) / 4;
    const content = new Uint8Array(this.contentBytes);
    const view = new DataView(content.buffer);
    writeChecksumTable(content, MAP_BUCKETS_AT, MAP_HEADER_BYTES, checksums, order);
    // data starts at a multiple of 4 on both sides, and words copy faster than bytes or views
    const words = new Uint32Array(content.buffer);
    const dataWords = new Uint32Array(this.#data.buffer);
    const refs = this.#refs;
    const objectRefs = new Uint8Array(this.#objects.bytes.length);
    const newNumbers = new Uint32Array(this.#objects.count).fill(NO_OBJECT);
    let objects = 0;
    let position = 0; // of the next data, in units of DATA_ALIGNMENT
    for (let index = 0; index < order.length; index++) {
      const number = order[index];
      if (number === commitNumber) view.setUint32(0, index, true);
      const size = refs[3 * number + 1];
      const object = refs[3 * number + 2];
      if (object !== NO_OBJECT && newNumbers[object] === NO_OBJECT) {
        objectRefs.set(this.#objects.at(object), objects * this.#objects.digestBytes);
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
    return { content, objectRefs };
  }

  /** The end of it: nothing can be asked any more, and the memory is free. What build() made stays. */
  release(): void {
    this.#checksums.release();
    this.#objects.release();
    release(this.#data);
    release(this.#refs);
  }
}

/** Offsets and count in words. */
function copyWords(from: Uint32Array, fromWord: number, to: Uint32Array, toWord: number, count: number): void {
  for (let i = 0; i < count; i++) to[toWord + i] = from[fromWord + i];
}
