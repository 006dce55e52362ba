/** The bytes of a commit map, entry after entry in the order of their checksums. */

import { ChecksumTable, writeBuckets } from './checksum-table.ts';
import {
  type CommitMap,
  DATA_ALIGNMENT,
  DATA_REF_BYTES,
  MAP_BUCKETS_AT,
  MAP_HEADER_BYTES,
  NO_OBJECT,
} from './commit-map.ts';
import { CHECKSUM_BYTES } from './ids.ts';
import type { NumberedDigests } from './numbered-digests.ts';
import { grow, type OwnedBytes } from './owned-bytes.ts';

const DATA_WORDS = DATA_ALIGNMENT / 4;
const NO_NUMBERS = new Uint32Array(0);

export class CommitMapWriter {
  readonly #content: OwnedBytes;
  readonly #view: DataView;
  readonly #words: Uint32Array;
  readonly #refsStart: number;
  readonly #areaStart: number;
  readonly #objects: NumberedDigests;
  readonly #base: CommitMap | undefined;
  readonly #objectRefs: OwnedBytes;
  /** What objects of `#objects` and of the base are called in the new map; NO_OBJECT until the first entry uses one. */
  readonly #newNumbers: Uint32Array;
  readonly #newBaseNumbers: Uint32Array;
  #objectCount = 0;
  #index = 0;
  /** Of the next data, in units of DATA_ALIGNMENT. */
  #position = 0;

  /**
   * @param contentBytes of the whole map
   * @param count number of its entries
   * @param base map that some of the entries are copied from
   */
  constructor(contentBytes: number, count: number, objects: NumberedDigests, base: CommitMap | undefined) {
    this.#content = new Uint8Array(contentBytes);
    this.#view = new DataView(this.#content.buffer);
    this.#words = new Uint32Array(this.#content.buffer);
    this.#refsStart = MAP_HEADER_BYTES + CHECKSUM_BYTES * count;
    this.#areaStart = this.#refsStart + DATA_REF_BYTES * count;
    this.#objects = objects;
    this.#base = base;
    this.#newNumbers = new Uint32Array(objects.count).fill(NO_OBJECT);
    const baseRefsBytes = base?.objectRefs.length ?? 0;
    this.#newBaseNumbers =
      base === undefined ? NO_NUMBERS : new Uint32Array(baseRefsBytes / objects.digestBytes).fill(NO_OBJECT);
    this.#objectRefs = new Uint8Array(objects.bytes.length + baseRefsBytes);
  }

  /**
   * @param data words of a buffer, and where in them the data begins; its last word is followed by zeros up to DATA_ALIGNMENT
   * @param object number in the objects of the constructor, or NO_OBJECT
   */
  write(checksum: Uint8Array, data: Uint32Array, firstWord: number, sizeBytes: number, object: number): void {
    this.#content.set(checksum, MAP_HEADER_BYTES + CHECKSUM_BYTES * this.#index);
    const units = unitsOf(sizeBytes);
    const to = this.#areaStart / 4 + DATA_WORDS * this.#position;
    // words copy faster than bytes or views
    for (let i = 0; i < DATA_WORDS * units; i++) this.#words[to + i] = data[firstWord + i];
    this.#writeRef(sizeBytes, object === NO_OBJECT ? NO_OBJECT : this.#numberOf(object));
    this.#position += units;
  }

  /** `count` neighbouring entries of the base: what lies together there is copied together. */
  copy(first: number, count: number): void {
    const base = this.#base as CommitMap;
    const checksums = base.checksumStartAt(first);
    this.#content.set(
      base.content.subarray(checksums, checksums + CHECKSUM_BYTES * count),
      MAP_HEADER_BYTES + CHECKSUM_BYTES * this.#index,
    );
    let start = base.dataStartAt(first);
    let end = start;
    let to = this.#areaStart + DATA_ALIGNMENT * this.#position;
    for (let index = first; index < first + count; index++) {
      const dataStart = base.dataStartAt(index);
      if (dataStart !== end) {
        this.#content.set(base.content.subarray(start, end), to);
        to += end - start;
        start = dataStart;
      }
      const sizeBytes = base.dataBytesAt(index);
      const units = unitsOf(sizeBytes);
      end = dataStart + DATA_ALIGNMENT * units;
      this.#writeRef(sizeBytes, this.#numberOfBase(base, base.objectNumberAt(index)));
      this.#position += units;
    }
    this.#content.set(base.content.subarray(start, end), to);
  }

  /**
   * To be called when all entries are there.
   * @param commit raw checksum of the commit object
   * @throws TypeError when there is no such entry
   */
  finish(commit: Uint8Array): { content: OwnedBytes; objectRefs: OwnedBytes } {
    writeHeader(this.#content, this.#index, commit);
    return {
      content: this.#content,
      objectRefs: cutOff(this.#objectRefs, this.#objectCount * this.#objects.digestBytes),
    };
  }

  #writeRef(sizeBytes: number, object: number): void {
    const at = this.#refsStart + DATA_REF_BYTES * this.#index++;
    this.#view.setUint32(at, this.#position, true);
    this.#view.setUint32(at + 4, sizeBytes, true);
    this.#view.setUint32(at + 8, object, true);
  }

  #numberOf(object: number): number {
    const known = this.#newNumbers[object];
    if (known !== NO_OBJECT) return known;
    this.#objectRefs.set(this.#objects.at(object), this.#objectCount * this.#objects.digestBytes);
    this.#newNumbers[object] = this.#objectCount;
    return this.#objectCount++;
  }

  /** The same of an object of the base. */
  #numberOfBase({ objectRefs }: CommitMap, object: number): number {
    if (object === NO_OBJECT) return NO_OBJECT;
    const known = this.#newBaseNumbers[object];
    if (known !== NO_OBJECT) return known;
    const { digestBytes } = this.#objects;
    const at = object * digestBytes;
    const same = this.#objects.find(objectRefs, at);
    if (same >= 0) this.#newBaseNumbers[object] = this.#numberOf(same);
    else {
      this.#objectRefs.set(objectRefs.subarray(at, at + digestBytes), this.#objectCount * digestBytes);
      this.#newBaseNumbers[object] = this.#objectCount++;
    }
    return this.#newBaseNumbers[object];
  }
}

/**
 * What stands before the checksums, which are there already.
 * @param commit raw checksum of the commit object
 * @throws TypeError when there is no such entry
 */
export function writeHeader(content: Uint8Array, count: number, commit: Uint8Array): void {
  writeBuckets(content, MAP_BUCKETS_AT, MAP_HEADER_BYTES, count);
  const commitIndex = new ChecksumTable(content, MAP_BUCKETS_AT, MAP_HEADER_BYTES).find(commit);
  if (commitIndex < 0) throw new TypeError('the commit object is not in its map');
  new DataView(content.buffer, content.byteOffset).setUint32(0, commitIndex, true);
}

/** The first `usedBytes` alone. */
export const cutOff = (bytes: OwnedBytes, usedBytes: number): OwnedBytes =>
  usedBytes === bytes.length ? bytes : grow(bytes, usedBytes);

const unitsOf = (sizeBytes: number): number => Math.ceil(sizeBytes / DATA_ALIGNMENT);
