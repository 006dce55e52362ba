import { LARGE_BODY_BYTES } from './large-body-gate.ts';

const FIRST_CAPACITY_BYTES = 16 << 10;

/** Puts the chunks of one body together. A body that comes in one chunk, as most do, is used in place. */
export class BodyCollector {
  /** Bytes so far. */
  sizeBytes = 0;
  readonly #expectedBytes: number | undefined;
  #bytes: Uint8Array | undefined;

  /** @param expectedBytes the announced size: a claim that is reserved at once only as far as LARGE_BODY_BYTES */
  constructor(expectedBytes: number | undefined) {
    this.#expectedBytes = expectedBytes;
  }

  add(chunk: Uint8Array): void {
    const { sizeBytes } = this;
    this.sizeBytes = sizeBytes + chunk.length;
    if (this.#bytes === undefined && chunk.length === this.#expectedBytes) {
      this.#bytes = inPlaceOrCopy(chunk);
      return;
    }
    if (this.#bytes === undefined || this.#bytes.length < this.sizeBytes) this.#grow(sizeBytes);
    this.#bytes?.set(chunk, sizeBytes);
  }

  /** The bytes so far; nothing may be added afterwards. */
  take(): Uint8Array {
    return this.#bytes?.subarray(0, this.sizeBytes) ?? new Uint8Array(0);
  }

  #grow(usedBytes: number): void {
    const expected = this.#expectedBytes ?? Number.POSITIVE_INFINITY;
    const doubled = Math.max(2 * usedBytes, FIRST_CAPACITY_BYTES, this.sizeBytes);
    const capacity = expected <= LARGE_BODY_BYTES ? expected : Math.min(doubled, expected);
    // Not from Buffer's pool: the native side holds the buffer, and a pooled one would keep its neighbours alive.
    const buffer = Buffer.allocUnsafeSlow(Math.max(capacity, this.sizeBytes)).buffer;
    const grown = new Uint8Array(buffer);
    if (this.#bytes !== undefined) grown.set(this.#bytes.subarray(0, usedBytes));
    this.#bytes = grown;
  }
}

/** A small view on a large network buffer (HTTP/2, TLS) would keep all of it alive. */
function inPlaceOrCopy(chunk: Uint8Array): Uint8Array {
  if (chunk.buffer.byteLength > 2 * chunk.length + 4096) return Uint8Array.from(chunk);
  return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
}
