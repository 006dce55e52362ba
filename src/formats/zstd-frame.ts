/** Frames of a Zstandard stream, told apart without decompressing: headers, block boundaries, how much they can expand to. */

import { LimitError, type Where } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';
import { joined } from './owned-bytes.ts';
import { ZSTD_MAX_BLOCK_BYTES } from './zstd-block.ts';

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50; // and the 15 numbers after it
/** What zstd decompressors accept unless told otherwise (window log 27); decoders need that much memory. */
export const ZSTD_MAX_WINDOW_BYTES = 128 * 1024 * 1024;
/** The writers use one frame. Bounds what is spent on frames that hold nothing. */
export const ZSTD_MAX_FRAMES = 65_536;

export const BLOCK_RAW = 0;
export const BLOCK_RLE = 1;
export const BLOCK_COMPRESSED = 2;

export interface ZstdFrame {
  /** Whole frame, and its first block, in the bytes that were given. */
  start: number;
  end: number;
  firstBlock: number;
  windowBytes: number;
  /** As claimed by the header; none: not said. */
  contentBytes?: number;
  hasChecksum: boolean;
  /** No decoder can make more of it; derived from the block headers, not claimed. */
  maxContentBytes: number;
}

/** Header of one block, at `offset`: 3 bytes. */
export interface ZstdBlockHeader {
  last: boolean;
  type: number;
  /** Compressed size; for a run the length of the run. */
  size: number;
  start: number;
  end: number;
}

/**
 * Splits `bytes` into its data frames; skippable frames are left out. Refused: anything that is not a complete frame (also
 * trailing bytes), dictionaries, windows above ZSTD_MAX_WINDOW_BYTES.
 */
export function splitZstdFrames(bytes: Uint8Array, where: Where = {}): ZstdFrame[] {
  const frames: ZstdFrame[] = [];
  const reader = new ByteReader(bytes, { ...where, format: 'zstd' });
  let count = 0;
  while (reader.left > 0) {
    if (++count > ZSTD_MAX_FRAMES) throw new LimitError(`more than ${ZSTD_MAX_FRAMES} frames`, reader.where);
    const start = reader.offset;
    const magic = reader.u32le('frame magic');
    if (magic >>> 4 === SKIPPABLE_MAGIC >>> 4) reader.take('skippable frame', reader.u32le('skippable frame size'));
    else if (magic === MAGIC) frames.push(readFrame(reader, start));
    else reader.fail('frame magic', 'not a zstd frame');
  }
  if (count === 0) reader.fail('frame magic', 'there is no zstd frame');
  return frames;
}

/** The content of a frame that nothing has to be computed for: uncompressed blocks, without checksum, as short content is stored. */
function storedContent(
  bytes: Uint8Array,
  { end, firstBlock, contentBytes, hasChecksum }: ZstdFrame,
): Uint8Array | undefined {
  if (hasChecksum) return undefined;
  const reader = new ByteReader(bytes.subarray(0, end), { format: 'zstd' });
  const parts: Uint8Array[] = [];
  for (let at = firstBlock, last = false; !last; ) {
    reader.seek('block header', at);
    const block = readBlockHeader(reader, ZSTD_MAX_BLOCK_BYTES);
    if (block.type !== BLOCK_RAW) return undefined;
    parts.push(bytes.subarray(block.start, block.end));
    ({ end: at, last } = block);
  }
  const content = joined(parts);
  return contentBytes === undefined || contentBytes === content.length ? content : undefined;
}

/**
 * Lets a decoder of single frames decode whole streams: it gets only complete frames, and how much may come out of each. Frames that are not
 * compressed it does not get: many streams have nothing else for their names, and Node's decoder takes milliseconds to load.
 * @param decode throws FormatError on damage, LimitError for more output than `maxBytes` (never 0)
 */
export async function decompressByFrame(
  bytes: Uint8Array,
  maxBytes: number,
  decode: (frame: Uint8Array, maxBytes: number) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let total = 0;
  for (const frame of splitZstdFrames(bytes)) {
    const { start, end, maxContentBytes } = frame;
    const part =
      storedContent(bytes, frame) ??
      (await decode(bytes.subarray(start, end), Math.max(1, Math.min(maxBytes - total, maxContentBytes))));
    total += part.length;
    if (total > maxBytes) throw new LimitError(`expands to more than ${maxBytes} bytes`, { format: 'zstd' });
    parts.push(part);
  }
  return parts.length === 1 ? parts[0] : joined(parts);
}

function readFrame(reader: ByteReader, start: number): ZstdFrame {
  const descriptor = reader.u8('frame header');
  if ((descriptor & 8) !== 0) reader.fail('frame header', 'reserved bit is set');
  const singleSegment = (descriptor & 32) !== 0;
  const window = singleSegment ? undefined : windowBytes(reader.u8('window descriptor'));
  if (window !== undefined && window > ZSTD_MAX_WINDOW_BYTES)
    reader.fail('window descriptor', `window of ${window} bytes is above the limit of ${ZSTD_MAX_WINDOW_BYTES}`);
  if ((descriptor & 3) !== 0 && reader.take('dictionary id', [0, 1, 2, 4][descriptor & 3]).some((byte) => byte !== 0))
    reader.fail('dictionary id', 'dictionaries are not supported');
  const contentBytes = readContentSize(reader, descriptor >> 6, singleSegment);
  const frame: ZstdFrame = {
    start,
    end: 0,
    firstBlock: reader.offset,
    windowBytes: window ?? contentBytes ?? 0,
    contentBytes,
    hasChecksum: (descriptor & 4) !== 0,
    maxContentBytes: 0,
  };
  const maxBlockBytes = Math.min(frame.windowBytes, ZSTD_MAX_BLOCK_BYTES);
  for (let last = false; !last; ) {
    const block = readBlockHeader(reader, maxBlockBytes);
    reader.take('block', block.end - block.start);
    frame.maxContentBytes += block.type === BLOCK_COMPRESSED ? maxBlockBytes : block.size;
    last = block.last;
  }
  if (frame.hasChecksum) reader.take('content checksum', 4);
  if (contentBytes !== undefined) {
    if (contentBytes > frame.maxContentBytes)
      reader.fail('content size', `${contentBytes} is more than the blocks can hold`);
    frame.maxContentBytes = contentBytes;
  }
  frame.end = reader.offset;
  return frame;
}

const windowBytes = (descriptor: number): number => 2 ** (10 + (descriptor >> 3)) * (1 + (descriptor & 7) / 8);

function readContentSize(reader: ByteReader, flag: number, singleSegment: boolean): number | undefined {
  if (flag === 0) return singleSegment ? reader.u8('content size') : undefined;
  if (flag === 1) return reader.u16le('content size') + 256;
  return flag === 2 ? reader.u32le('content size') : reader.u64le('content size');
}

export function readBlockHeader(reader: ByteReader, maxBlockBytes: number): ZstdBlockHeader {
  const word = reader.u16le('block header') | (reader.u8('block header') << 16);
  const type = (word >> 1) & 3;
  const size = word >>> 3;
  if (type === 3) reader.fail('block header', 'reserved block type');
  if (size > maxBlockBytes)
    reader.fail('block header', `block of ${size} bytes, at most ${maxBlockBytes} are possible`);
  const start = reader.offset;
  return { last: (word & 1) !== 0, type, size, start, end: start + (type === BLOCK_RLE ? 1 : size) };
}
