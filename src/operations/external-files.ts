/** Files of a commit whose content is an object, many of them in columns: no object for each of a million. */

export class ExternalFiles {
  #count = 0;
  /** Number of the map entry. */
  readonly #indexes: Uint32Array;
  /** What its header says, outside of any checksum; the object must have this size. */
  readonly #sizes: Float64Array;
  /** What SHA-256 starts with, before the content. Few are different. */
  readonly #contentHeaders: Uint8Array[] = [];

  constructor(capacity: number) {
    this.#indexes = new Uint32Array(capacity);
    this.#sizes = new Float64Array(capacity);
  }

  get count(): number {
    return this.#count;
  }
  get indexes(): Uint32Array {
    return this.#indexes.subarray(0, this.#count);
  }
  get sizes(): Float64Array {
    return this.#sizes.subarray(0, this.#count);
  }
  get contentHeaders(): readonly Uint8Array[] {
    return this.#contentHeaders;
  }

  /** Only while there is room. */
  add(index: number, sizeBytes: number, contentHeader: Uint8Array): void {
    this.#indexes[this.#count] = index;
    this.#sizes[this.#count] = sizeBytes;
    this.#contentHeaders.push(contentHeader);
    this.#count++;
  }

  /** Some of them, in the order of `rows`. */
  pick(rows: readonly number[]): ExternalFiles {
    const picked = new ExternalFiles(rows.length);
    for (const row of rows) picked.add(this.#indexes[row], this.#sizes[row], this.#contentHeaders[row]);
    return picked;
  }
}
