/** Growing buffer for the writers of formats whose size is not known beforehand. */

const INITIAL_BYTES = 256;

export class ByteWriter {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }
  /** Appends zero bytes and returns where they start. */
  zeros(count: number): number {
    const start = this.#length;
    const needed = start + count;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, start));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = needed;
    return start;
  }
  append(bytes: Uint8Array): void {
    const at = this.zeros(bytes.length);
    this.#bytes.set(bytes, at);
  }
  /** Valid until the next append. */
  get view(): DataView {
    return this.#view;
  }
  /** All bytes so far; a view, valid until the next append. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}
