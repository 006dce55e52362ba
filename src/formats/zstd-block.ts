/** One compressed block of a Zstandard frame (RFC 8878, 3.1.1.3): literals, sequences, and putting them together. */

import { FormatError, type Where } from '../errors.ts';
import {
  BackwardBits,
  buildFseTable,
  type FseTable,
  type HuffmanTable,
  readFseTable,
  readHuffmanStream,
  readHuffmanTable,
  rleFseTable,
} from './zstd-entropy.ts';

/** Largest regenerated size of a block; smaller where the window is smaller. */
export const ZSTD_MAX_BLOCK_BYTES = 128 * 1024;

/** What later blocks of a frame take over from earlier ones. */
export interface FrameState {
  huffman?: HuffmanTable;
  literalLengths?: FseTable;
  offsets?: FseTable;
  matchLengths?: FseTable;
  repeats: [number, number, number];
}

export const newFrameState = (): FrameState => ({ repeats: [1, 4, 8] });

/** Where a block goes: to `bytes` from `end` on, where there is room for `maxBytes`. */
export interface BlockTarget {
  bytes: Uint8Array;
  end: number;
  /** How far back a match may reach: bytes of this frame so far, at most the window. */
  reachBytes: number;
  windowBytes: number;
  maxBytes: number;
}

/** Code → baseline and number of extra bits (RFC 8878, 3.1.1.3.2.1.1). */
interface LengthCodes {
  base: readonly number[];
  bits: readonly number[];
}

function lengthCodes(first: number, bits: readonly number[]): LengthCodes {
  const base: number[] = [];
  let next = first;
  for (const width of bits) {
    base.push(next);
    next += 2 ** width;
  }
  return { base, bits };
}

const zeros = (count: number): number[] => new Array<number>(count).fill(0);
const LITERAL_LENGTHS = lengthCodes(0, [
  ...zeros(16),
  1,
  1,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  6,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
]);
const MATCH_LENGTHS = lengthCodes(3, [
  ...zeros(32),
  1,
  1,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  4,
  5,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
]);
/** Reaches 512 MiB, four times the largest window that is accepted. */
const MAX_OFFSET_CODE = 28;

// biome-ignore format: one row of the RFC's table (3.1.1.3.2.2) each
const DEFAULT_LITERAL_LENGTHS = buildFseTable([4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1], 6);
// biome-ignore format: as above
const DEFAULT_MATCH_LENGTHS = buildFseTable([1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1], 6);
// biome-ignore format: as above
const DEFAULT_OFFSETS = buildFseTable([1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 5);

const LITERALS_RAW = 0;
const LITERALS_RLE = 1;
const LITERALS_COMPRESSED = 2;
/** Below it the three equal streams would leave none for the fourth. */
const MIN_FOUR_STREAM_BYTES = 6;

interface Section<T> {
  value: T;
  end: number;
}

/** @returns number of bytes written at `target.end` */
export function decodeBlock(bytes: Uint8Array, state: FrameState, target: BlockTarget, where: Where): number {
  const end = bytes.length;
  const literals = readLiterals(bytes, 0, end, state, target.maxBytes, where);
  const count = readSequenceCount(bytes, literals.end, end, where);
  if (count.value === 0) {
    if (count.end !== end) throw new FormatError('bytes after the last literals of a block', where);
    target.bytes.set(literals.value, target.end);
    return literals.value.length;
  }
  const tablesEnd = readSequenceTables(bytes, count.end, end, state, where);
  const stream = new BackwardBits(bytes, tablesEnd, end, where);
  return runSequences(stream, count.value, literals.value, state, target, where);
}

function readLiterals(
  bytes: Uint8Array,
  start: number,
  end: number,
  state: FrameState,
  maxBytes: number,
  where: Where,
): Section<Uint8Array> {
  const cut = (): never => {
    throw new FormatError('literals of a block are cut off', where);
  };
  if (end - start < 2) cut();
  const head = bytes[start];
  const type = head & 3;
  const format = (head >> 2) & 3;
  if (type === LITERALS_RAW || type === LITERALS_RLE) {
    const headBytes = format === 1 ? 2 : format === 3 ? 3 : 1;
    const at = start + headBytes;
    if (at > end) cut();
    const word = head | (bytes[start + 1] << 8) | (bytes[start + 2] << 16);
    const size = headBytes === 1 ? head >> 3 : headBytes === 2 ? (word & 0xffff) >> 4 : (word & 0xffffff) >> 4;
    if (size > maxBytes) throw new FormatError(`${size} literals do not fit a block`, where);
    const stored = type === LITERALS_RAW ? size : 1;
    if (stored > end - at) cut();
    return type === LITERALS_RAW
      ? { value: bytes.subarray(at, at + size), end: at + size }
      : { value: new Uint8Array(size).fill(bytes[at]), end: at + 1 };
  }
  const headBytes = format < 2 ? 3 : format + 2;
  const sizeBits = format < 2 ? 10 : format === 2 ? 14 : 18;
  if (headBytes > end - start) cut();
  let word = 0; // up to 40 bits: no bit operators
  for (let i = headBytes - 1; i >= 0; i--) word = word * 256 + bytes[start + i];
  const sizes = Math.floor(word / 16);
  const size = sizes % 2 ** sizeBits;
  const stored = Math.floor(sizes / 2 ** sizeBits);
  const streamsEnd = start + headBytes + stored;
  if (streamsEnd > end) cut();
  if (size > maxBytes) throw new FormatError(`${size} literals do not fit a block`, where);
  let at = start + headBytes;
  if (type === LITERALS_COMPRESSED) {
    const tree = readHuffmanTable(bytes, at, streamsEnd, where);
    state.huffman = tree.table;
    at = tree.end;
  }
  if (state.huffman === undefined)
    throw new FormatError('literals use the tree of an earlier block, there is none', where);
  const value = new Uint8Array(size);
  if (format === 0) readHuffmanStream(bytes, at, streamsEnd, state.huffman, value, where);
  else readFourStreams(bytes, at, streamsEnd, state.huffman, value, where);
  return { value, end: streamsEnd };
}

function readFourStreams(
  bytes: Uint8Array,
  start: number,
  end: number,
  table: HuffmanTable,
  out: Uint8Array,
  where: Where,
): void {
  if (end - start < 6 || out.length < MIN_FOUR_STREAM_BYTES)
    throw new FormatError('four literal streams are cut off', where);
  const quarter = (out.length + 3) >> 2;
  let at = start + 6;
  for (let i = 0; i < 4; i++) {
    const size = i < 3 ? bytes[start + 2 * i] | (bytes[start + 2 * i + 1] << 8) : end - at;
    if (size > end - at) throw new FormatError('four literal streams are cut off', where);
    readHuffmanStream(
      bytes,
      at,
      at + size,
      table,
      out.subarray(i * quarter, i < 3 ? (i + 1) * quarter : undefined),
      where,
    );
    at += size;
  }
}

function readSequenceCount(bytes: Uint8Array, start: number, end: number, where: Where): Section<number> {
  const head = start < end ? bytes[start] : 0;
  const headBytes = head < 128 ? 1 : head < 255 ? 2 : 3;
  if (start + headBytes > end) throw new FormatError('sequences of a block are cut off', where);
  if (headBytes === 1) return { value: head, end: start + 1 };
  if (headBytes === 2) return { value: ((head - 128) << 8) + bytes[start + 1], end: start + 2 };
  return { value: bytes[start + 1] + (bytes[start + 2] << 8) + 0x7f00, end: start + 3 };
}

/** Leaves the three tables in `state`. @returns the offset behind them */
function readSequenceTables(bytes: Uint8Array, start: number, end: number, state: FrameState, where: Where): number {
  if (start >= end) throw new FormatError('sequences of a block are cut off', where);
  const modes = bytes[start];
  if ((modes & 3) !== 0) throw new FormatError('reserved bits of the sequence modes are set', where);
  let at = start + 1;
  const table = (
    mode: number,
    standard: FseTable,
    previous: FseTable | undefined,
    maxSymbol: number,
    maxLog: number,
  ): FseTable => {
    if (mode === 0) return standard;
    if (mode === 1) {
      if (at >= end || bytes[at] > maxSymbol) throw new FormatError('code of all sequences is not valid', where);
      return rleFseTable(bytes[at++]);
    }
    if (mode === 2) {
      const read = readFseTable(bytes, at, end, maxSymbol, maxLog, where);
      at = read.end;
      return read.table;
    }
    if (previous === undefined)
      throw new FormatError('sequences use a table of an earlier block, there is none', where);
    return previous;
  };
  state.literalLengths = table(
    modes >> 6,
    DEFAULT_LITERAL_LENGTHS,
    state.literalLengths,
    LITERAL_LENGTHS.base.length - 1,
    9,
  );
  state.offsets = table((modes >> 4) & 3, DEFAULT_OFFSETS, state.offsets, 31, 8);
  state.matchLengths = table(
    (modes >> 2) & 3,
    DEFAULT_MATCH_LENGTHS,
    state.matchLengths,
    MATCH_LENGTHS.base.length - 1,
    9,
  );
  return at;
}

function runSequences(
  stream: BackwardBits,
  count: number,
  literals: Uint8Array,
  state: FrameState,
  target: BlockTarget,
  where: Where,
): number {
  const { literalLengths, offsets, matchLengths, repeats } = state;
  if (literalLengths === undefined || offsets === undefined || matchLengths === undefined)
    throw new TypeError('no tables');
  const { bytes } = target;
  const start = target.end;
  const limit = start + target.maxBytes;
  let literalState = stream.read(literalLengths.accuracyLog);
  let offsetState = stream.read(offsets.accuracyLog);
  let matchState = stream.read(matchLengths.accuracyLog);
  let out = start;
  let literal = 0;
  for (let left = count; left > 0; left--) {
    const offsetCode = offsets.symbol[offsetState];
    if (offsetCode > MAX_OFFSET_CODE) throw new FormatError(`offset code ${offsetCode} is too large`, where);
    const highBits = Math.max(0, offsetCode - 16);
    const high = stream.read(highBits);
    const offsetValue = (1 << offsetCode) + (high << (offsetCode - highBits)) + stream.read(offsetCode - highBits);
    const matchCode = matchLengths.symbol[matchState];
    const matchBytes = MATCH_LENGTHS.base[matchCode] + stream.read(MATCH_LENGTHS.bits[matchCode]);
    const literalCode = literalLengths.symbol[literalState];
    const literalBytes = LITERAL_LENGTHS.base[literalCode] + stream.read(LITERAL_LENGTHS.bits[literalCode]);
    if (left > 1) {
      literalState = literalLengths.base[literalState] + stream.read(literalLengths.bits[literalState]);
      matchState = matchLengths.base[matchState] + stream.read(matchLengths.bits[matchState]);
      offsetState = offsets.base[offsetState] + stream.read(offsets.bits[offsetState]);
    }
    if (stream.position < 0) throw new FormatError('sequences are cut off', where);
    const offset = nextOffset(repeats, offsetValue, literalBytes === 0);
    if (literalBytes > literals.length - literal)
      throw new FormatError('sequences take more literals than there are', where);
    if (out + literalBytes + matchBytes > limit) throw new FormatError('block is larger than it may be', where);
    for (let i = 0; i < literalBytes; i++) bytes[out++] = literals[literal++];
    const reach = Math.min(target.reachBytes + (out - start), target.windowBytes);
    if (offset < 1 || offset > reach)
      throw new FormatError(`match ${offset} bytes back, only ${reach} are there`, where);
    if (offset >= matchBytes) bytes.copyWithin(out, out - offset, out - offset + matchBytes);
    else for (let i = 0; i < matchBytes; i++) bytes[out + i] = bytes[out + i - offset]; // overlaps itself: a repeating pattern
    out += matchBytes;
  }
  if (stream.position !== 0) throw new FormatError('bits are left after the sequences', where);
  const rest = literals.subarray(literal);
  if (out + rest.length > limit) throw new FormatError('block is larger than it may be', where);
  bytes.set(rest, out);
  return out + rest.length - start;
}

/** Values 1 to 3 repeat an earlier offset (RFC 8878, 3.1.1.5). */
function nextOffset(repeats: [number, number, number], value: number, noLiterals: boolean): number {
  if (value > 3) {
    repeats[2] = repeats[1];
    repeats[1] = repeats[0];
    repeats[0] = value - 3;
    return repeats[0];
  }
  const index = value - 1 + (noLiterals ? 1 : 0);
  if (index === 0) return repeats[0];
  const offset = index === 3 ? repeats[0] - 1 : repeats[index];
  if (index > 1) repeats[2] = repeats[1];
  repeats[1] = repeats[0];
  repeats[0] = offset;
  return offset;
}
