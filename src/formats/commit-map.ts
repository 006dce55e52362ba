/**
 * The commit map: the inline content of an ostree commit stream, a sorted table from ostree checksum to object data.
 * Layout: doc/formats/commit-stream.md. Source: composefs-rs 0.9, `composefs-ostree/src/commit.rs`.
 */

import { FormatError, type Where } from '../errors.ts';
import {
  type Algorithm,
  CHECKSUM_BYTES,
  type Checksum,
  checksumFromBytes,
  digestBytes,
  idToBytes,
  type ObjectId,
  objectIdFromBytes,
} from './ids.ts';

/** Index of the commit, flags, 256 bucket ends. */
export const MAP_HEADER_BYTES = 8 + 4 * 256;
/** Position, length, object index. */
export const DATA_REF_BYTES = 12;
/** Positions are counted in these units; data is padded to them. */
export const DATA_ALIGNMENT = 8;
export const NO_OBJECT = 0xffffffff;

/**
 * Views of the stream's bytes; nothing is copied. What is proved at parse time: the table is in order and every entry can be found,
 * its data lies in the content area, and its object exists in `objectRefs`. What the data is worth is not: see `commit-reader.ts`.
 */
export class CommitMap {
  /** Bytes of the map, as they are stored. */
  readonly content: Uint8Array;
  /** Concatenated digests that external entries point into. */
  readonly objectRefs: Uint8Array;
  /** Number of ostree objects. */
  readonly count: number;
  readonly commit: Checksum;
  readonly #view: DataView;
  readonly #idBytes: number;
  readonly #refsStart: number;
  readonly #areaStart: number;

  private constructor(content: Uint8Array, objectRefs: Uint8Array, algorithm: Algorithm, where: Where) {
    const fail = (field: string, offset: number, problem: string): never => {
      throw new FormatError(problem, { ...where, format: 'commit map', field, offset });
    };
    if (content.length < MAP_HEADER_BYTES)
      fail('header', 0, `needs ${MAP_HEADER_BYTES} bytes, the content has ${content.length}`);
    const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
    this.content = content;
    this.objectRefs = objectRefs;
    this.#view = view;
    this.#idBytes = digestBytes(algorithm);
    this.count = bucketEnd(view, 255);
    for (let byte = 1; byte < 256; byte++)
      if (bucketEnd(view, byte) < bucketEnd(view, byte - 1)) fail('bucket', bucketOffset(byte), 'bucket ends decrease');
    this.#refsStart = MAP_HEADER_BYTES + CHECKSUM_BYTES * this.count;
    this.#areaStart = this.#refsStart + DATA_REF_BYTES * this.count;
    if (this.#areaStart > content.length)
      fail('bucket', bucketOffset(255), `${this.count} objects do not fit ${content.length} bytes`);
    const commitIndex = view.getUint32(0, true);
    if (commitIndex >= this.count) fail('commit index', 0, `${commitIndex} of ${this.count} objects`);
    this.#checkOrder(fail);
    this.#checkRefs(fail);
    this.commit = this.checksumAt(commitIndex);
    if (this.#objectIndex(commitIndex) !== NO_OBJECT)
      fail('data ref', this.#refsStart + DATA_REF_BYTES * commitIndex, 'the commit has an external object');
  }

  /** @throws FormatError */
  static parse(content: Uint8Array, objectRefs: Uint8Array, algorithm: Algorithm, where: Where = {}): CommitMap {
    return new CommitMap(content, objectRefs, algorithm, where);
  }

  checksumAt(index: number): Checksum {
    return checksumFromBytes(this.content, MAP_HEADER_BYTES + CHECKSUM_BYTES * index);
  }

  /** The same as 32 raw bytes; a view. */
  checksumBytesAt(index: number): Uint8Array {
    const at = MAP_HEADER_BYTES + CHECKSUM_BYTES * index;
    return this.content.subarray(at, at + CHECKSUM_BYTES);
  }

  /** @returns index of the entry, -1 when the object is not in the map */
  find(checksum: Checksum): number {
    return this.findBytes(idToBytes(checksum));
  }

  /** The checksum as 32 raw bytes at `offset`. */
  findBytes(bytes: Uint8Array, offset = 0): number {
    const first = bytes[offset];
    let low = first === 0 ? 0 : bucketEnd(this.#view, first - 1);
    let high = bucketEnd(this.#view, first);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = compareChecksums(this.content, MAP_HEADER_BYTES + CHECKSUM_BYTES * middle, bytes, offset);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return -1;
  }

  /** Metadata: the ostree object. Files: archive header with prefix, and the content where it is inlined. A view. */
  dataAt(index: number): Uint8Array {
    const at = this.#refsStart + DATA_REF_BYTES * index;
    const start = this.#areaStart + DATA_ALIGNMENT * this.#view.getUint32(at, true);
    return this.content.subarray(start, start + this.#view.getUint32(at + 4, true));
  }

  externalAt(index: number): ObjectId | undefined {
    const bytes = this.externalBytesAt(index);
    return bytes && objectIdFromBytes(bytes);
  }

  /** Raw digest of the object with the file's content, as a view; undefined when the data is all there is. */
  externalBytesAt(index: number): Uint8Array | undefined {
    const object = this.#objectIndex(index);
    return object === NO_OBJECT
      ? undefined
      : this.objectRefs.subarray(object * this.#idBytes, (object + 1) * this.#idBytes);
  }

  #objectIndex(index: number): number {
    return this.#view.getUint32(this.#refsStart + DATA_REF_BYTES * index + 8, true);
  }

  /** Ascending, so that no entry can hide from a lookup, and each in the bucket of its first byte. */
  #checkOrder(fail: Fail): void {
    let at = MAP_HEADER_BYTES;
    let index = 0;
    for (let byte = 0; byte < 256; byte++) {
      for (const end = bucketEnd(this.#view, byte); index < end; index++, at += CHECKSUM_BYTES) {
        if (this.content[at] !== byte) fail('ids', at, `object ${index} is in the bucket of another first byte`);
        if (index > 0 && compareChecksums(this.content, at - CHECKSUM_BYTES, this.content, at) >= 0)
          fail('ids', at, `object ${index} is not above the one before it`);
      }
    }
  }

  #checkRefs(fail: Fail): void {
    const areaBytes = this.content.length - this.#areaStart;
    const objects = Math.floor(this.objectRefs.length / this.#idBytes);
    let claimedBytes = 0;
    for (let index = 0, at = this.#refsStart; index < this.count; index++, at += DATA_REF_BYTES) {
      const start = DATA_ALIGNMENT * this.#view.getUint32(at, true);
      const size = this.#view.getUint32(at + 4, true);
      if (start + size > areaBytes)
        fail('data ref', at, `object ${index} has bytes [${start}, ${start + size}) of a content area of ${areaBytes}`);
      const object = this.#view.getUint32(at + 8, true);
      if (object !== NO_OBJECT && object >= objects) fail('data ref', at + 8, `object index ${object} of ${objects}`);
      // entries have data of their own; were they to share it, a small file could make us hash gigabytes
      claimedBytes += size;
      if (claimedBytes > areaBytes)
        fail('data ref', at, `objects claim more than the ${areaBytes} bytes of the content area`);
    }
  }
}

type Fail = (field: string, offset: number, problem: string) => never;

const bucketOffset = (byte: number): number => 8 + 4 * byte;
const bucketEnd = (view: DataView, byte: number): number => view.getUint32(bucketOffset(byte), true);

/** Byte order of two checksums; < 0, 0 or > 0. */
export function compareChecksums(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): number {
  for (let i = 0; i < CHECKSUM_BYTES; i++) {
    const difference = a[aOffset + i] - b[bOffset + i];
    if (difference !== 0) return difference;
  }
  return 0;
}
