/** New inputs from old ones: bytes changed, pieces of two inputs put together, and for text lines and words exchanged. */

import { concat } from '../native/archive-object.ts';
import { MAX_INPUT_BYTES } from './target.ts';

/** Numbers in [0, 1). */
export type Random = () => number;

/** Where lengths, counts and offsets go wrong. */
const INTERESTING = [
  0, 1, 2, 7, 8, 16, 31, 32, 63, 64, 127, 128, 255, 256, 4095, 4096, 4097, 32767, 32768, 65535, 65536,
];
const INTERESTING_LONG = [
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const WORDS = [
  '',
  '0',
  '-0',
  '-1',
  '1',
  '255',
  '4096',
  '65536',
  '2147483648',
  '4294967296',
  '9007199254740993',
  '18446744073709551615',
];
const MORE_WORDS = [
  '18446744073709551616',
  '1e999',
  '.',
  '..',
  '/',
  '//',
  '\\',
  '\\x00',
  '\\n',
  'é',
  '\ufeff',
  '\0',
  'true',
  'null',
  '__proto__',
];
const TOKENS = [...WORDS, ...MORE_WORDS].map((word) => new TextEncoder().encode(word));
const SEPARATORS = new Set([...'\n\t ,:;={}[]()"/@.'].map((separator) => separator.charCodeAt(0)));
const NEWLINE = 10;
/** So many bytes of an input are looked at to see whether it is text. */
const SAMPLES = 32;

function isText(bytes: Uint8Array): boolean {
  if (bytes.length === 0) return false;
  let odd = 0;
  for (let i = 0; i < SAMPLES; i++) {
    const byte = bytes[Math.floor((i * bytes.length) / SAMPLES)];
    if (byte !== NEWLINE && (byte < 32 || byte > 126)) odd++;
  }
  return odd < SAMPLES / 8;
}

export class Mutator {
  readonly #random: Random;
  readonly #corpus: readonly Uint8Array[];

  /** @param corpus may grow; what is added last is used most */
  constructor(random: Random, corpus: readonly Uint8Array[]) {
    this.#random = random;
    this.#corpus = corpus;
  }

  next(): Uint8Array {
    let bytes: Uint8Array = this.#pick().slice();
    const steps = 1 + Math.floor(-Math.log2(1 - this.#random()));
    for (let step = 0; step < steps; step++) {
      const change = this.#oneOf(isText(bytes) && this.#random() < 0.6 ? this.#textChanges : this.#changes);
      bytes = change(bytes);
    }
    return bytes.length > MAX_INPUT_BYTES ? bytes.subarray(0, MAX_INPUT_BYTES) : bytes;
  }

  /** Half of the time one of the latest finds. */
  #pick(): Uint8Array {
    const { length } = this.#corpus;
    const recent = Math.min(length, 24);
    return this.#corpus[this.#random() < 0.5 ? length - 1 - this.#below(recent) : this.#below(length)];
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #oneOf<T>(all: readonly T[]): T {
    return all[this.#below(all.length)];
  }

  /** Short ones are likelier. */
  #range(bytes: Uint8Array): [start: number, end: number] {
    const start = this.#below(bytes.length + 1);
    const longest = bytes.length - start;
    const length = this.#random() < 0.7 ? this.#below(Math.min(longest, 16) + 1) : this.#below(longest + 1);
    return [start, start + length];
  }

  readonly #changes: Array<(bytes: Uint8Array) => Uint8Array> = [
    (bytes) => this.#at(bytes, (at) => (bytes[at] ^= 1 << this.#below(8))),
    (bytes) => this.#at(bytes, (at) => (bytes[at] = this.#below(256))),
    (bytes) => this.#at(bytes, (at) => (bytes[at] += this.#below(9) - 4)),
    (bytes) => this.#at(bytes, (at) => (bytes[at] = this.#oneOf(INTERESTING))),
    (bytes) => this.#number(bytes),
    (bytes) => this.#number(bytes),
    // a piece goes, comes twice, or comes from elsewhere
    (bytes) => this.#replace(bytes, this.#range(bytes), new Uint8Array(0)),
    (bytes) => this.#replace(bytes, this.#insertion(bytes), bytes.subarray(...this.#range(bytes))),
    (bytes) => this.#replace(bytes, this.#insertion(bytes), this.#foreign()),
    (bytes) => this.#replace(bytes, this.#range(bytes), this.#foreign()),
    (bytes) =>
      this.#replace(
        bytes,
        this.#insertion(bytes),
        new Uint8Array(this.#oneOf(INTERESTING) & 0xfff).fill(this.#below(256)),
      ),
    (bytes) => bytes.fill(this.#oneOf([0, 0xff, this.#below(256)]), ...this.#range(bytes)),
    (bytes) => bytes.subarray(0, this.#below(bytes.length + 1)),
    (bytes) => {
      const other = this.#pick();
      const cut = this.#below(Math.min(bytes.length, other.length) + 1);
      return concat(bytes.subarray(0, cut), other.subarray(this.#random() < 0.5 ? cut : this.#below(other.length + 1)));
    },
  ];

  readonly #textChanges: Array<(bytes: Uint8Array) => Uint8Array> = [
    (bytes) => this.#replace(bytes, this.#word(bytes), this.#oneOf(TOKENS)),
    (bytes) =>
      this.#replace(
        bytes,
        this.#word(bytes),
        this.#foreignPiece((other) => this.#word(other)),
      ),
    (bytes) => this.#replace(bytes, this.#word(bytes), bytes.slice(...this.#word(bytes))),
    (bytes) => this.#replace(bytes, this.#line(bytes), new Uint8Array(0)),
    (bytes) => this.#replace(bytes, this.#line(bytes), bytes.slice(...this.#line(bytes))),
    (bytes) => this.#replace(bytes, emptyAt(this.#line(bytes)), bytes.slice(...this.#line(bytes))),
    (bytes) =>
      this.#replace(
        bytes,
        emptyAt(this.#line(bytes)),
        this.#foreignPiece((other) => this.#line(other)),
      ),
  ];

  #at(bytes: Uint8Array, change: (at: number) => void): Uint8Array {
    if (bytes.length > 0) change(this.#below(bytes.length));
    return bytes;
  }

  /** Writes or changes a number of two, four or eight bytes. */
  #number(bytes: Uint8Array): Uint8Array {
    const width = this.#oneOf([2, 4, 8]);
    if (bytes.length < width) return bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const at = this.#below(bytes.length - width + 1);
    const isLittle = this.#random() < 0.5;
    const old =
      width === 8
        ? view.getBigUint64(at, isLittle)
        : BigInt(width === 4 ? view.getUint32(at, isLittle) : view.getUint16(at, isLittle));
    const value = this.#oneOf([
      old + BigInt(this.#below(33) - 16),
      -old,
      BigInt(bytes.length - this.#below(9)),
      BigInt(this.#oneOf(INTERESTING)),
      this.#oneOf(INTERESTING_LONG) + BigInt(this.#below(5) - 2),
    ]);
    if (width === 8) view.setBigUint64(at, BigInt.asUintN(64, value), isLittle);
    else if (width === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), isLittle);
    else view.setUint16(at, Number(BigInt.asUintN(16, value)), isLittle);
    return bytes;
  }

  #insertion(bytes: Uint8Array): [number, number] {
    return emptyAt([this.#below(bytes.length + 1), 0]);
  }

  #foreign(): Uint8Array {
    const other = this.#pick();
    return other.subarray(...this.#range(other));
  }

  #foreignPiece(cut: (bytes: Uint8Array) => [number, number]): Uint8Array {
    const other = this.#pick();
    return other.subarray(...cut(other));
  }

  /** A word, found from a random place in it. */
  #word(bytes: Uint8Array): [number, number] {
    return this.#between(bytes, (byte) => SEPARATORS.has(byte));
  }

  /** A line with the newline at its end. */
  #line(bytes: Uint8Array): [number, number] {
    const [start, end] = this.#between(bytes, (byte) => byte === NEWLINE);
    return [start, Math.min(end + 1, bytes.length)];
  }

  #between(bytes: Uint8Array, isSeparator: (byte: number) => boolean): [number, number] {
    const from = this.#below(bytes.length + 1);
    let [start, end] = [from, from];
    while (start > 0 && !isSeparator(bytes[start - 1])) start--;
    while (end < bytes.length && !isSeparator(bytes[end])) end++;
    return [start, end];
  }

  #replace(bytes: Uint8Array, [start, end]: [number, number], by: Uint8Array): Uint8Array {
    return concat(bytes.subarray(0, start), by, bytes.subarray(end));
  }
}

const emptyAt = ([start]: [number, number]): [number, number] => [start, start];
