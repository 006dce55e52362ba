/** The two entropy codes of Zstandard (RFC 8878, 4): FSE tables and Huffman trees, read from hostile bytes. */

import { FormatError, type Where } from '../errors.ts';

/** Decoding table of `1 << accuracyLog` states. */
export interface FseTable {
  accuracyLog: number;
  symbol: Uint8Array;
  /** Bits to read for the next state, and what to add to them. */
  bits: Uint8Array;
  base: Uint16Array;
}

/** Looked up by the next `maxBits` bits of the stream. */
export interface HuffmanTable {
  maxBits: number;
  symbol: Uint8Array;
  bits: Uint8Array;
}

/** Longest Huffman code of the format (RFC 8878, 4.2.1). */
const MAX_HUFFMAN_BITS = 11;
const MAX_WEIGHTS_ACCURACY_LOG = 6;
/** All symbols but the last, whose weight follows from the others. */
const MAX_WEIGHTS = 255;

/** Position of the highest set bit; `value` > 0. */
const highBit = (value: number): number => 31 - Math.clz32(value);

/**
 * Reads a bit stream from its end to its start, as all entropy-coded streams of the format are. The last byte holds a marker
 * bit above the data. `position` is the number of bits left; it goes below zero when more was read than there was (zeros).
 */
export class BackwardBits {
  position: number;
  readonly #bytes: Uint8Array;
  readonly #start: number; // in bits

  constructor(bytes: Uint8Array, start: number, end: number, where: Where) {
    const last = end > start ? bytes[end - 1] : 0;
    if (last === 0) throw new FormatError('bit stream has no end marker', where);
    this.#bytes = bytes;
    this.#start = start * 8;
    this.position = (end - start - 1) * 8 + highBit(last);
  }

  /** At most 24 bits. */
  read(count: number): number {
    this.position -= count;
    return this.#at(this.position, count);
  }

  /** The next `count` bits, at most 24, without taking them. */
  peek(count: number): number {
    return this.#at(this.position - count, count);
  }

  #at(position: number, count: number): number {
    if (count === 0) return 0;
    if (position < 0) {
      const there = count + position; // bits of the stream among those asked for; zeros below them
      return there <= 0 ? 0 : this.#at(0, there) << -position;
    }
    const bit = this.#start + position;
    const at = bit >> 3;
    const bytes = this.#bytes; // beyond its end `undefined | 0` is 0, and those bits are masked out anyway
    const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    return (word >>> (bit & 7)) & ((1 << count) - 1);
  }
}

/**
 * Probabilities of an FSE table (RFC 8878, 4.1.1), at `start`.
 * @returns the table and the offset behind its description
 */
export function readFseTable(
  bytes: Uint8Array,
  start: number,
  end: number,
  maxSymbol: number,
  maxAccuracyLog: number,
  where: Where,
): { table: FseTable; end: number } {
  let bit = start * 8;
  const endBit = end * 8;
  const peek = (count: number): number => {
    const at = bit >> 3;
    const word =
      (at < end ? bytes[at] : 0) |
      ((at + 1 < end ? bytes[at + 1] : 0) << 8) |
      ((at + 2 < end ? bytes[at + 2] : 0) << 16);
    return (word >>> (bit & 7)) & ((1 << count) - 1);
  };
  const accuracyLog = peek(4) + 5;
  bit += 4;
  if (accuracyLog > maxAccuracyLog)
    throw new FormatError(`FSE accuracy log ${accuracyLog} is above ${maxAccuracyLog}`, where);
  const probabilities: number[] = [];
  let remaining = 1 << accuracyLog;
  while (remaining > 0 && probabilities.length <= maxSymbol && bit < endBit) {
    const width = highBit(remaining + 1) + 1;
    const lowMask = (1 << (width - 1)) - 1;
    const threshold = (1 << width) - 2 - remaining; // values below it are one bit shorter
    let value = peek(width);
    if ((value & lowMask) < threshold) {
      value &= lowMask;
      bit += width - 1;
    } else {
      if (value > lowMask) value -= threshold;
      bit += width;
    }
    const probability = value - 1; // -1: less than one
    remaining -= Math.abs(probability);
    probabilities.push(probability);
    if (probability !== 0) continue;
    for (let repeat = 3; repeat === 3 && probabilities.length <= maxSymbol + 3; ) {
      repeat = peek(2);
      bit += 2;
      for (let i = 0; i < repeat; i++) probabilities.push(0);
    }
  }
  if (remaining !== 0 || probabilities.length > maxSymbol + 1 || bit > endBit)
    throw new FormatError('FSE table description is damaged', where);
  return { table: buildFseTable(probabilities, accuracyLog), end: (bit + 7) >> 3 };
}

/** `probabilities` add up to `1 << accuracyLog`, -1 counting as 1. */
export function buildFseTable(probabilities: readonly number[], accuracyLog: number): FseTable {
  const size = 1 << accuracyLog;
  const table = { accuracyLog, symbol: new Uint8Array(size), bits: new Uint8Array(size), base: new Uint16Array(size) };
  const next = new Uint16Array(probabilities.length);
  let high = size;
  probabilities.forEach((probability, symbol) => {
    if (probability === -1) table.symbol[--high] = symbol;
    next[symbol] = Math.abs(probability);
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let position = 0;
  probabilities.forEach((probability, symbol) => {
    for (let i = 0; i < probability; i++) {
      table.symbol[position] = symbol;
      do position = (position + step) & (size - 1);
      while (position >= high);
    }
  });
  for (let state = 0; state < size; state++) {
    const count = next[table.symbol[state]]++;
    table.bits[state] = accuracyLog - highBit(count);
    table.base[state] = (count << table.bits[state]) - size;
  }
  return table;
}

/** A table with one state that always gives `symbol`. */
export const rleFseTable = (symbol: number): FseTable => ({
  accuracyLog: 0,
  symbol: Uint8Array.of(symbol),
  bits: new Uint8Array(1),
  base: new Uint16Array(1),
});

/** A Huffman tree description (RFC 8878, 4.2.1) at `start`. @returns the table and the offset behind its description */
export function readHuffmanTable(
  bytes: Uint8Array,
  start: number,
  end: number,
  where: Where,
): { table: HuffmanTable; end: number } {
  if (start >= end) throw new FormatError('Huffman tree is missing', where);
  const head = bytes[start];
  const direct = head >= 128;
  const after = start + 1 + (direct ? (head - 126) >> 1 : head);
  if (after > end) throw new FormatError('Huffman tree is cut off', where);
  const weights = direct ? directWeights(bytes, start + 1, head - 127) : fseWeights(bytes, start + 1, after, where);
  return { table: buildHuffmanTable(weights, where), end: after };
}

const directWeights = (bytes: Uint8Array, start: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (i % 2 === 0 ? bytes[start + (i >> 1)] >> 4 : bytes[start + (i >> 1)] & 15));

/** Two interleaved states; the stream's end, not a count, says when to stop. */
function fseWeights(bytes: Uint8Array, start: number, end: number, where: Where): number[] {
  const { table, end: streamStart } = readFseTable(
    bytes,
    start,
    end,
    MAX_HUFFMAN_BITS,
    MAX_WEIGHTS_ACCURACY_LOG,
    where,
  );
  const stream = new BackwardBits(bytes, streamStart, end, where);
  const weights: number[] = [];
  let state = stream.read(table.accuracyLog);
  let other = stream.read(table.accuracyLog);
  if (stream.position < 0) throw new FormatError('Huffman weights are cut off', where);
  while (weights.length < MAX_WEIGHTS) {
    weights.push(table.symbol[state]);
    const next = table.base[state] + stream.read(table.bits[state]);
    if (stream.position < 0) {
      weights.push(table.symbol[other]);
      if (weights.length <= MAX_WEIGHTS) return weights;
      break;
    }
    state = other;
    other = next;
  }
  throw new FormatError('too many Huffman weights', where);
}

function buildHuffmanTable(weights: number[], where: Where): HuffmanTable {
  let total = 0;
  for (const weight of weights) {
    if (weight > MAX_HUFFMAN_BITS) throw new FormatError(`Huffman weight ${weight} is too large`, where);
    if (weight > 0) total += 1 << (weight - 1);
  }
  const maxBits = total === 0 ? 0 : highBit(total) + 1;
  const rest = (1 << maxBits) - total;
  if (total === 0 || maxBits > MAX_HUFFMAN_BITS || (rest & (rest - 1)) !== 0)
    throw new FormatError('Huffman weights do not form a tree', where);
  const all = [...weights, highBit(rest) + 1];
  const ones = all.filter((weight) => weight === 1).length;
  if (ones < 2 || ones % 2 !== 0) throw new FormatError('Huffman weights do not form a tree', where);
  const table = { maxBits, symbol: new Uint8Array(1 << maxBits), bits: new Uint8Array(1 << maxBits) };
  let at = 0;
  for (let weight = 1; weight <= maxBits; weight++) {
    all.forEach((other, symbol) => {
      if (other !== weight) return;
      const span = 1 << (weight - 1);
      table.symbol.fill(symbol, at, at + span);
      table.bits.fill(maxBits + 1 - weight, at, at + span);
      at += span;
    });
  }
  return table;
}

/** Fills `out` from one Huffman-coded stream, which must hold exactly that many symbols. */
export function readHuffmanStream(
  bytes: Uint8Array,
  start: number,
  end: number,
  table: HuffmanTable,
  out: Uint8Array,
  where: Where,
): void {
  const stream = new BackwardBits(bytes, start, end, where);
  const { maxBits, symbol, bits } = table;
  for (let i = 0; i < out.length; i++) {
    const code = stream.peek(maxBits);
    out[i] = symbol[code];
    stream.position -= bits[code];
  }
  if (stream.position !== 0) throw new FormatError('Huffman stream has another length than its literals', where);
}
