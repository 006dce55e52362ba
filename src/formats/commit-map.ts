/**
 * The commit map: the inline content of an ostree commit stream, a sorted table from ostree checksum to object data.
 * Layout: doc/formats/commit-stream.md. Source: composefs-rs 0.9, `composefs-ostree/src/commit.rs`.
 */

import { FormatError, type Where } from '../errors.ts';
import { BUCKETS_BYTES, ChecksumTable, type Fail } from './checksum-table.ts';
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

/** Behind the index of the commit and the flags. */
export const MAP_BUCKETS_AT = 8;
export const MAP_HEADER_BYTES = MAP_BUCKETS_AT + BUCKETS_BYTES;
/** Position, length, object index. */
export const DATA_REF_BYTES = 12;
/** Positions are counted in these units; data is padded to them. */
export const DATA_ALIGNMENT = 8;
export const paddedBytes = (sizeBytes: number): number => Math.ceil(sizeBytes / DATA_ALIGNMENT) * DATA_ALIGNMENT;
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
  readonly #table: ChecksumTable;
  readonly #view: DataView;
  readonly #idBytes: number;
  readonly #refsStart: number;
  readonly #areaStart: number;

  private constructor(content: Uint8Array, objectRefs: Uint8Array, algorithm: Algorithm, where: Where) {
    const fail: Fail = (field, offset, problem) => {
      throw new FormatError(problem, { ...where, format: 'commit map', field, offset });
    };
    if (content.length < MAP_HEADER_BYTES)
      fail('header', 0, `needs ${MAP_HEADER_BYTES} bytes, the content has ${content.length}`);
    this.content = content;
    this.objectRefs = objectRefs;
    this.#view = new DataView(content.buffer, content.byteOffset, content.byteLength);
    this.#idBytes = digestBytes(algorithm);
    this.#table = new ChecksumTable(content, MAP_BUCKETS_AT, MAP_HEADER_BYTES);
    this.#table.checkBuckets(fail);
    this.count = this.#table.count;
    this.#refsStart = MAP_HEADER_BYTES + CHECKSUM_BYTES * this.count;
    this.#areaStart = this.#refsStart + DATA_REF_BYTES * this.count;
    if (this.#areaStart > content.length)
      fail('bucket', MAP_HEADER_BYTES - 4, `${this.count} objects do not fit ${content.length} bytes`);
    const commitIndex = this.#view.getUint32(0, true);
    if (commitIndex >= this.count) fail('commit index', 0, `${commitIndex} of ${this.count} objects`);
    this.#table.checkOrder(fail);
    this.#checkRefs(fail);
    this.commit = this.checksumAt(commitIndex);
    if (this.objectNumberAt(commitIndex) !== NO_OBJECT)
      fail('data ref', this.#refsStart + DATA_REF_BYTES * commitIndex, 'the commit has an external object');
  }

  /** @throws FormatError */
  static parse(content: Uint8Array, objectRefs: Uint8Array, algorithm: Algorithm, where: Where = {}): CommitMap {
    return new CommitMap(content, objectRefs, algorithm, where);
  }

  checksumAt(index: number): Checksum {
    return checksumFromBytes(this.checksumBytesAt(index));
  }

  /** Where in `content` the checksum starts. */
  checksumStartAt(index: number): number {
    return MAP_HEADER_BYTES + CHECKSUM_BYTES * index;
  }

  /** The same as 32 raw bytes; a view. */
  checksumBytesAt(index: number): Uint8Array {
    return this.#table.at(index);
  }

  /** @returns index of the entry, -1 when the object is not in the map */
  find(checksum: Checksum): number {
    return this.#table.find(idToBytes(checksum));
  }

  /** The checksum as 32 raw bytes at `offset`. */
  findBytes(bytes: Uint8Array, offset = 0): number {
    return this.#table.find(bytes, offset);
  }

  /** Where in `content` the data starts, and its bytes. */
  dataStartAt(index: number): number {
    return this.#areaStart + DATA_ALIGNMENT * this.#view.getUint32(this.#refsStart + DATA_REF_BYTES * index, true);
  }
  dataBytesAt(index: number): number {
    return this.#view.getUint32(this.#refsStart + DATA_REF_BYTES * index + 4, true);
  }

  /** Metadata: the ostree object. Files: archive header with prefix, and the content where it is inlined. A view. */
  dataAt(index: number): Uint8Array {
    const start = this.dataStartAt(index);
    return this.content.subarray(start, start + this.dataBytesAt(index));
  }

  externalAt(index: number): ObjectId | undefined {
    const bytes = this.externalBytesAt(index);
    return bytes && objectIdFromBytes(bytes);
  }

  /** Raw digest of the object with the file's content, as a view; undefined when the data is all there is. */
  externalBytesAt(index: number): Uint8Array | undefined {
    const object = this.objectNumberAt(index);
    if (object === NO_OBJECT) return undefined;
    return this.objectRefs.subarray(object * this.#idBytes, (object + 1) * this.#idBytes);
  }

  /** The number of that digest in `objectRefs`; NO_OBJECT when the data is all there is. */
  objectNumberAt(index: number): number {
    return this.#view.getUint32(this.#refsStart + DATA_REF_BYTES * index + 8, true);
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
