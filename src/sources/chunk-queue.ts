/** A body between the socket and its reader, a chunk at a time, with back-pressure. */

import type { OwnedBytes } from '../formats/owned-bytes.ts';

/** The socket is paused while this much waits to be read, and resumed at half of it. */
const HIGH_WATER_BYTES = 1 << 20;
const LOW_WATER_BYTES = HIGH_WATER_BYTES / 2;
/** What a queued chunk costs besides its bytes: a body that comes byte by byte must not fill the memory with objects. */
const CHUNK_OVERHEAD_BYTES = 256;

interface Reader {
  resolve(result: IteratorResult<OwnedBytes>): void;
  reject(error: unknown): void;
}

export class ChunkQueue implements AsyncIterableIterator<OwnedBytes> {
  readonly #onLow: () => void;
  readonly #onReturn: () => void;
  readonly #chunks: OwnedBytes[] = [];
  readonly #readers: Reader[] = [];
  #bytes = 0;
  #ended = false;
  #failure: { error: unknown } | undefined;

  /** `onLow`: there is room again after `push` said false; `onReturn`: the reader wants no more. */
  constructor(onLow: () => void, onReturn: () => void) {
    this.#onLow = onLow;
    this.#onReturn = onReturn;
  }

  /** @returns false when the writer should wait for `onLow` */
  push(chunk: OwnedBytes): boolean {
    if (this.#ended) return true;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value: chunk });
      return true;
    }
    this.#chunks.push(chunk);
    this.#bytes += chunk.length + CHUNK_OVERHEAD_BYTES;
    return this.#bytes < HIGH_WATER_BYTES;
  }

  /** What is queued can still be read. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }

  /** What is queued is dropped: it belongs to a body that will never be whole. The error is thrown once, then the body is at its end. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#drop();
    const [first, ...others] = this.#readers.splice(0);
    if (first === undefined) this.#failure = { error };
    else first.reject(error);
    for (const reader of others) reader.resolve({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<OwnedBytes>> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      const before = this.#bytes;
      this.#bytes -= chunk.length + CHUNK_OVERHEAD_BYTES;
      if (before >= LOW_WATER_BYTES && this.#bytes < LOW_WATER_BYTES) this.#onLow();
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#failure !== undefined) {
      const { error } = this.#failure;
      this.#failure = undefined;
      return Promise.reject(error);
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<OwnedBytes>> {
    if (!this.#ended) this.#onReturn();
    this.#failure = undefined;
    this.#drop();
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #drop(): void {
    this.#chunks.length = 0;
    this.#bytes = 0;
  }
}
