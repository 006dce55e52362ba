import { type OwnedBytes, release } from '../formats/owned-bytes.ts';
import { LARGE_BODY_BYTES } from './large-body-gate.ts';

const FIRST_CAPACITY_BYTES = 16 << 10;

/**
 * Puts the chunks of one body together, in a buffer of their own that its owner can release. Used in place, chunks would live for
 * as long as the body does, old enough then to be collected late and all at once: tens of megabytes more for a pull.
 */
export class BodyCollector {
  /** Bytes so far. */
  sizeBytes = 0;
  readonly #expectedBytes: number | undefined;
  #bytes: OwnedBytes | undefined;

  /** @param expectedBytes the announced size: a claim that is reserved at once only as far as LARGE_BODY_BYTES */
  constructor(expectedBytes: number | undefined) {
    this.#expectedBytes = expectedBytes;
  }

  add(chunk: Uint8Array): void {
    const { sizeBytes } = this;
    this.sizeBytes = sizeBytes + chunk.length;
    if (this.#bytes === undefined || this.#bytes.length < this.sizeBytes) this.#grow(sizeBytes);
    this.#bytes?.set(chunk, sizeBytes);
  }

  /** The bytes so far; nothing may be added afterwards. */
  take(): OwnedBytes {
    return this.#bytes?.subarray(0, this.sizeBytes) ?? new Uint8Array(0);
  }

  #grow(usedBytes: number): void {
    const expected = this.#expectedBytes ?? Number.POSITIVE_INFINITY;
    const doubled = Math.max(2 * usedBytes, FIRST_CAPACITY_BYTES, this.sizeBytes);
    const capacity = expected <= LARGE_BODY_BYTES ? expected : Math.min(doubled, expected);
    // Not from Buffer's pool: the native side holds the buffer, and a pooled one would keep its neighbours alive.
    const buffer = Buffer.allocUnsafeSlow(Math.max(capacity, this.sizeBytes)).buffer;
    const grown = new Uint8Array(buffer);
    if (this.#bytes !== undefined) {
      grown.set(this.#bytes.subarray(0, usedBytes));
      release(this.#bytes);
    }
    this.#bytes = grown;
  }
}
