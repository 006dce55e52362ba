/** Entries of a stored commit map that go into a new one as they are: by number, without a copy until the new map is built. */

import { type CommitMap, paddedBytes } from './commit-map.ts';

export class TakenEntries {
  readonly map: CommitMap;
  /** One byte for each entry. */
  readonly marks: Uint8Array;
  #count = 0;
  #dataBytes = 0;

  /** The map must stay as it is. */
  constructor(map: CommitMap) {
    this.map = map;
    this.marks = new Uint8Array(map.count);
  }

  get count(): number {
    return this.#count;
  }

  /** Of the entries' data, padding included. */
  get dataBytes(): number {
    return this.#dataBytes;
  }

  has(index: number): boolean {
    return this.marks[index] !== 0;
  }

  /** The checksum as 32 raw bytes at `offset`. */
  hasChecksum(checksum: Uint8Array, offset = 0): boolean {
    const index = this.map.findBytes(checksum, offset);
    return index >= 0 && this.has(index);
  }

  /** The entry must not have been taken before. */
  take(index: number): void {
    this.marks[index] = 1;
    this.add(1, this.paddedBytesAt(index));
  }

  /** Counts entries whose marks are set already. */
  add(count: number, dataBytes: number): void {
    this.#count += count;
    this.#dataBytes += dataBytes;
  }

  paddedBytesAt(index: number): number {
    return paddedBytes(this.map.dataBytesAt(index));
  }
}
