/** Checked cursor: every read is bounds-checked, every failure names field and offset. */

import { FormatError, type Where } from '../errors.ts';

export class ByteReader {
  readonly bytes: Uint8Array;
  readonly where: Where;
  #next = 0;
  #field = 0; // where the current field starts
  readonly #view: DataView;

  constructor(bytes: Uint8Array, where: Where) {
    this.bytes = bytes;
    this.where = where;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.#next;
  }
  get left(): number {
    return this.bytes.length - this.#next;
  }
  /** Moves to an absolute offset. @throws FormatError outside the bytes */
  seek(field: string, offset: number): void {
    this.#field = offset;
    if (offset < 0 || offset > this.bytes.length) this.fail(field, `lies outside the ${this.bytes.length} bytes`);
    this.#next = offset;
  }
  u8(field: string): number {
    return this.#view.getUint8(this.#advance(field, 1));
  }
  u16le(field: string): number {
    return this.#view.getUint16(this.#advance(field, 2), true);
  }
  u32le(field: string): number {
    return this.#view.getUint32(this.#advance(field, 4), true);
  }
  u32be(field: string): number {
    return this.#view.getUint32(this.#advance(field, 4), false);
  }
  /** A size or offset: refused above 2^53 rather than rounded. */
  u64le(field: string): number {
    return this.#safe(field, this.u64leBig(field));
  }
  u64be(field: string): number {
    return this.#safe(field, this.#view.getBigUint64(this.#advance(field, 8), false));
  }
  u64leBig(field: string): bigint {
    return this.#view.getBigUint64(this.#advance(field, 8), true);
  }
  i64leBig(field: string): bigint {
    return this.#view.getBigInt64(this.#advance(field, 8), true);
  }
  /** A view, not a copy. */
  take(field: string, length: number): Uint8Array {
    const start = this.#advance(field, length);
    return this.bytes.subarray(start, start + length);
  }
  fail(field: string, problem: string): never {
    throw new FormatError(problem, { ...this.where, field, offset: this.#field });
  }
  #safe(field: string, value: bigint): number {
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? this.fail(field, `${value} is implausibly large`) : Number(value);
  }
  #advance(field: string, length: number): number {
    this.#field = this.#next;
    if (length > this.left) this.fail(field, `needs ${length} bytes, ${this.left} left`);
    this.#next += length;
    return this.#field;
  }
}
