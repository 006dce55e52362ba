/** Collects the objects of a commit and writes them as a commit map. Flat buffers: constant time and memory for each object. */

import { LimitError } from '../errors.ts';
import { compareChecksums, sortChecksums } from './checksum-table.ts';
import {
  type CommitMap,
  DATA_ALIGNMENT,
  DATA_REF_BYTES,
  MAP_HEADER_BYTES,
  NO_OBJECT,
  paddedBytes,
} from './commit-map.ts';
import { CommitMapWriter, cutOff, writeHeader } from './commit-map-writer.ts';
import { type Algorithm, CHECKSUM_BYTES, digestBytes } from './ids.ts';
import { NumberedDigests } from './numbered-digests.ts';
import { grow, type OwnedBytes, release } from './owned-bytes.ts';
import { TakenEntries } from './taken-entries.ts';

/** Bytes of a commit map: 10 million objects with some room; its parts are single buffers. */
export const MAX_COMMIT_STREAM_BYTES = 4 * 1024 ** 3;

/** `NativeAddon.writeCommitMap` (native/index.d.ts). */
export type WriteEntries = (
  content: Uint8Array,
  objectRefs: Uint8Array,
  algorithm: Algorithm,
  added: { checksums: Uint8Array; refs: Uint8Array; data: Uint8Array; objects: Uint8Array },
  base: { content: Uint8Array; objectRefs: Uint8Array; taken: Uint8Array } | undefined,
) => number;

const FIRST_CAPACITY = 256;
/** Pages that nothing is written to cost nothing; growing means copying. */
const FIRST_DATA_BYTES = 4 * 1024 * 1024;

export class CommitMapBuilder {
  readonly #checksums = new NumberedDigests(CHECKSUM_BYTES);
  readonly #objects: NumberedDigests;
  #data: OwnedBytes = new Uint8Array(FIRST_DATA_BYTES);
  #dataEnd = 0;
  /** For each object: start of its data in #data / 8, its length, and its number in #objects. As in a data ref. */
  #refs = new Uint32Array(3 * FIRST_CAPACITY);
  readonly #taken: TakenEntries | undefined;
  readonly #algorithm: Algorithm;
  readonly #writeEntries: WriteEntries | undefined;

  /**
   * @param base map whose entries can be taken over; it must stay as it is until release()
   * @param writeEntries something faster than what is here
   */
  constructor(algorithm: Algorithm, base?: CommitMap, writeEntries?: WriteEntries) {
    this.#algorithm = algorithm;
    this.#writeEntries = writeEntries;
    this.#objects = new NumberedDigests(digestBytes(algorithm));
    this.#taken = base && new TakenEntries(base);
  }

  /** Number of objects. */
  get count(): number {
    return this.#checksums.count + (this.#taken?.count ?? 0);
  }

  /** Bytes that build() would make. */
  get contentBytes(): number {
    const dataBytes = this.#dataEnd + (this.#taken?.dataBytes ?? 0);
    return MAP_HEADER_BYTES + (CHECKSUM_BYTES + DATA_REF_BYTES) * this.count + dataBytes;
  }

  /** The checksum as 32 raw bytes at `offset`. */
  has(checksum: Uint8Array, offset = 0): boolean {
    return this.#checksums.find(checksum, offset) >= 0 || this.#taken?.hasChecksum(checksum, offset) === true;
  }

  /**
   * Copies everything it is given.
   * @param data what `CommitMap.dataAt` gives back
   * @param external raw object id of the content, when `data` has only the header
   * @returns false, and changes nothing, when the object is there already
   * @throws LimitError when the map would become larger than MAX_COMMIT_STREAM_BYTES
   */
  add(checksum: Uint8Array, data: Uint8Array, external?: Uint8Array): boolean {
    if (this.#taken?.hasChecksum(checksum)) return false;
    const neededBytes = paddedBytes(data.length);
    if (!this.#hasRoomFor(neededBytes) && !this.has(checksum)) throw tooLarge();
    const number = this.#checksums.count;
    if (this.#checksums.add(checksum) < number) return false;
    if (this.#dataEnd + neededBytes > this.#data.length)
      this.#data = grow(this.#data, Math.max(this.#dataEnd + neededBytes, 2 * this.#data.length));
    const at = 3 * number;
    if (at + 3 > this.#refs.length) this.#refs = new Uint32Array(this.#refs.buffer.transfer(2 * this.#refs.byteLength));
    this.#data.set(data, this.#dataEnd);
    this.#refs[at] = this.#dataEnd / DATA_ALIGNMENT;
    this.#refs[at + 1] = data.length;
    this.#refs[at + 2] = external === undefined ? NO_OBJECT : this.#objects.add(external);
    this.#dataEnd += neededBytes;
    return true;
  }

  /**
   * Takes an entry of the base over as it is, by its number there. A digest that the base lists twice stays twice in the map.
   * @returns false, and changes nothing, when the object is there already
   * @throws LimitError as add()
   */
  take(index: number): boolean {
    const taken = this.#base();
    const { map } = taken;
    if (taken.has(index) || this.#checksums.find(map.content, map.checksumStartAt(index)) >= 0) return false;
    if (!this.#hasRoomFor(taken.paddedBytesAt(index))) throw tooLarge();
    taken.take(index);
    return true;
  }

  /** Where entries of the base are marked as taken over, a byte for each; whoever does that tells of it by addTaken(). */
  get takenMarks(): Uint8Array {
    return this.#base().marks;
  }

  /**
   * Tells of entries that were marked, which nobody has added or taken before.
   * @param dataBytes of them, padding included
   * @throws LimitError as add()
   */
  addTaken(count: number, dataBytes: number): void {
    this.#base().add(count, dataBytes);
    if (this.contentBytes > MAX_COMMIT_STREAM_BYTES) throw tooLarge();
  }

  /**
   * The map of everything so far; may be called again after more objects came. Objects are numbered in the order of the sorted
   * checksums that use them first.
   * @param commit raw checksum of the commit object, which must have been added
   */
  build(commit: Uint8Array): { content: OwnedBytes; objectRefs: OwnedBytes } {
    if (this.#writeEntries !== undefined) return this.#buildBy(this.#writeEntries, commit);
    const ownCount = this.#checksums.count;
    const order = this.#sorted();
    const writer = new CommitMapWriter(this.contentBytes, order.length, this.#objects, this.#taken?.map);
    const dataWords = new Uint32Array(this.#data.buffer);
    const refs = this.#refs;
    for (let i = 0; i < order.length; ) {
      const number = order[i];
      if (number < ownCount) {
        const firstWord = (refs[3 * number] * DATA_ALIGNMENT) / 4;
        writer.write(this.#checksums.at(number), dataWords, firstWord, refs[3 * number + 1], refs[3 * number + 2]);
        i++;
      } else {
        let end = i + 1;
        while (end < order.length && order[end] === order[end - 1] + 1) end++;
        writer.copy(number - ownCount, end - i);
        i = end;
      }
    }
    return writer.finish(commit);
  }

  /** build() for the last time, before anything but addedChecksums() and release(): what objects are found by is not needed any more. */
  buildLast(commit: Uint8Array): { content: OwnedBytes; objectRefs: OwnedBytes } {
    if (this.#writeEntries !== undefined)
      for (const digests of [this.#checksums, this.#objects]) digests.releaseSlots();
    return this.build(commit);
  }

  #buildBy(writeEntries: WriteEntries, commit: Uint8Array): { content: OwnedBytes; objectRefs: OwnedBytes } {
    const taken = this.#taken;
    const base = taken && { content: taken.map.content, objectRefs: taken.map.objectRefs, taken: taken.marks };
    const content = new Uint8Array(this.contentBytes);
    const objectRefs = new Uint8Array(this.#objects.bytes.length + (base?.objectRefs.length ?? 0));
    const added = {
      checksums: this.#checksums.bytes,
      refs: new Uint8Array(this.#refs.buffer, 0, DATA_REF_BYTES * this.#checksums.count),
      data: this.#data,
      objects: this.#objects.bytes,
    };
    const objectCount = writeEntries(content, objectRefs, this.#algorithm, added, base);
    writeHeader(content, this.count, commit);
    return { content, objectRefs: cutOff(objectRefs, objectCount * this.#objects.digestBytes) };
  }

  /** Concatenated checksums of what was added, and not taken over; a copy. Undefined without a base: then it is all. */
  addedChecksums(): Uint8Array | undefined {
    return this.#taken && this.#checksums.bytes.slice();
  }

  /** The end of it: nothing can be asked any more, and the memory is free. What build() made stays. */
  release(): void {
    this.#checksums.release();
    this.#objects.release();
    release(this.#data);
    release(this.#refs);
  }

  #base(): TakenEntries {
    if (this.#taken === undefined) throw new TypeError('there is no base to take entries from');
    return this.#taken;
  }

  #hasRoomFor(dataBytes: number): boolean {
    return this.contentBytes + CHECKSUM_BYTES + DATA_REF_BYTES + dataBytes <= MAX_COMMIT_STREAM_BYTES;
  }

  /** Numbers of all objects by their checksums. Behind those that were added come the entries of the base. */
  #sorted(): Uint32Array {
    const checksums = this.#checksums.bytes;
    const own = sortChecksums(checksums);
    if (this.#taken === undefined) return own;
    const { map } = this.#taken;
    const merged = new Uint32Array(this.count);
    let next = 0; // of the own
    let count = 0;
    for (let index = 0; index < map.count; index++) {
      if (!this.#taken.has(index)) continue;
      const start = map.checksumStartAt(index);
      while (next < own.length && compareChecksums(checksums, CHECKSUM_BYTES * own[next], map.content, start) < 0)
        merged[count++] = own[next++];
      merged[count++] = own.length + index;
    }
    merged.set(own.subarray(next), count);
    return merged;
  }
}

const tooLarge = (): LimitError =>
  new LimitError(`a commit has more than ${MAX_COMMIT_STREAM_BYTES} bytes of metadata`, { format: 'commit map' });
