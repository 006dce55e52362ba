/**
 * Zstandard that runs anywhere: a decoder that no input can make loop, over-allocate or read out of bounds, and a writer that
 * stores blocks uncompressed. Node has a faster codec (`src/native.ts`). RFC 8878.
 */

import { LimitError, type Where } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';
import type { ZstdCodec } from './codecs.ts';
import { joined, type OwnedBytes } from './owned-bytes.ts';
import { Xxh64 } from './xxh64.ts';
import { decodeBlock, newFrameState, ZSTD_MAX_BLOCK_BYTES } from './zstd-block.ts';
import {
  BLOCK_COMPRESSED,
  BLOCK_RAW,
  BLOCK_RLE,
  readBlockHeader,
  splitZstdFrames,
  type ZstdFrame,
} from './zstd-frame.ts';

/** A 2 MiB window without content size: what a level 3 streaming writer puts there. */
const FRAME_HEADER = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58);
/** Empty content is one single-segment frame, as streaming writers make it. */
const EMPTY_FRAME = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00);

export const portableZstd: ZstdCodec = {
  async compress(content) {
    return storeZstd(content instanceof Uint8Array ? content : joined(content));
  },
  async decompress(bytes, maxBytes) {
    return decompressZstd(bytes, maxBytes);
  },
};

/** One frame of raw blocks. */
export function storeZstd(bytes: Uint8Array): OwnedBytes {
  if (bytes.length === 0) return EMPTY_FRAME.slice();
  const blocks = Math.ceil(bytes.length / ZSTD_MAX_BLOCK_BYTES);
  const out = new Uint8Array(FRAME_HEADER.length + 3 * blocks + bytes.length);
  out.set(FRAME_HEADER);
  let at = FRAME_HEADER.length;
  for (let block = 0; block < blocks; block++) {
    const part = bytes.subarray(block * ZSTD_MAX_BLOCK_BYTES, (block + 1) * ZSTD_MAX_BLOCK_BYTES);
    const header = (part.length << 3) | (BLOCK_RAW << 1) | (block === blocks - 1 ? 1 : 0);
    out.set([header & 255, (header >> 8) & 255, header >> 16], at);
    out.set(part, at + 3);
    at += 3 + part.length;
  }
  return out;
}

/**
 * All frames, skippable ones included (they give nothing).
 * @throws FormatError on damage or bytes after the last frame, LimitError when there is more output than `maxBytes`
 */
export function decompressZstd(bytes: Uint8Array, maxBytes: number, where: Where = {}): Uint8Array {
  const frames = splitZstdFrames(bytes, where);
  const possible = frames.reduce((sum, frame) => sum + frame.maxContentBytes, 0);
  const output = new Output(Number.POSITIVE_INFINITY, Math.min(maxBytes, possible) + ZSTD_MAX_BLOCK_BYTES);
  let left = maxBytes;
  for (const frame of frames)
    for (const part of decodeFrame(bytes, frame, output, where)) left = take(left, part, maxBytes, where);
  return output.bytes.subarray(0, output.end);
}

/** The same in pieces of at most 128 KiB. A piece is overwritten when the next one is asked for. */
export function* zstdPieces(bytes: Uint8Array, maxBytes: number, where: Where = {}): Generator<Uint8Array> {
  let left = maxBytes;
  for (const frame of splitZstdFrames(bytes, where)) {
    const window = Math.min(frame.windowBytes, frame.maxContentBytes);
    for (const part of decodeFrame(bytes, frame, new Output(window, 2 * window + ZSTD_MAX_BLOCK_BYTES), where)) {
      left = take(left, part, maxBytes, where);
      yield part;
    }
  }
}

function take(left: number, part: Uint8Array, maxBytes: number, where: Where): number {
  if (part.length > left) throw new LimitError(`expands to more than ${maxBytes} bytes`, { ...where, format: 'zstd' });
  return left - part.length;
}

/** Decodes at the end of `output`; yields each block that is not empty. */
function* decodeFrame(bytes: Uint8Array, frame: ZstdFrame, output: Output, where: Where): Generator<Uint8Array> {
  const reader = new ByteReader(bytes, { ...where, format: 'zstd' });
  reader.seek('block header', frame.firstBlock);
  const maxBlockBytes = Math.min(frame.windowBytes, ZSTD_MAX_BLOCK_BYTES);
  const state = newFrameState();
  const checksum = frame.hasChecksum ? new Xxh64() : undefined;
  let contentBytes = 0;
  for (let last = false; !last; ) {
    const block = readBlockHeader(reader, maxBlockBytes);
    const data = reader.take('block', block.end - block.start);
    const start = output.makeRoom(block.type === BLOCK_COMPRESSED ? maxBlockBytes : block.size);
    let size = block.size;
    if (block.type === BLOCK_RAW) output.bytes.set(data, start);
    else if (block.type === BLOCK_RLE) output.bytes.fill(data[0], start, start + size);
    else {
      const reachBytes = Math.min(contentBytes, frame.windowBytes);
      const target = {
        bytes: output.bytes,
        end: start,
        reachBytes,
        windowBytes: frame.windowBytes,
        maxBytes: maxBlockBytes,
      };
      size = decodeBlock(data, state, target, { ...reader.where, field: 'block', offset: block.start });
    }
    output.end = start + size;
    contentBytes += size;
    if (contentBytes > frame.maxContentBytes)
      reader.fail('block', `content is more than the ${frame.maxContentBytes} bytes promised`);
    const part = output.bytes.subarray(start, start + size);
    checksum?.update(part);
    if (size > 0) yield part;
    last = block.last;
  }
  if (frame.contentBytes !== undefined && contentBytes !== frame.contentBytes)
    reader.fail('block', `content has ${contentBytes} bytes, the frame header says ${frame.contentBytes}`);
  if (checksum !== undefined && reader.u32le('content checksum') !== Number(checksum.digest() & 0xffffffffn))
    reader.fail('content checksum', 'is wrong');
}

/** Where content is decoded to: all of it, or only as much of its end as matches can reach back to. */
class Output {
  bytes: Uint8Array = new Uint8Array(0);
  end = 0;
  readonly #keepBytes: number;
  readonly #maxBytes: number;

  /** At `maxBytes` it stops growing and slides; that leaves room for a block behind the kept bytes. */
  constructor(keepBytes: number, maxBytes: number) {
    this.#keepBytes = keepBytes;
    this.#maxBytes = maxBytes;
  }

  /** @returns offset in `bytes` with `size` bytes of room */
  makeRoom(size: number): number {
    if (this.end + size <= this.bytes.length) return this.end;
    const kept = Math.min(this.end, this.#keepBytes);
    const from = this.end - kept;
    if (this.bytes.length < this.#maxBytes) {
      const larger = new Uint8Array(Math.max(kept + size, Math.min(2 * this.bytes.length, this.#maxBytes)));
      larger.set(this.bytes.subarray(from, this.end));
      this.bytes = larger;
    } else {
      this.bytes.copyWithin(0, from, this.end);
    }
    this.end = kept;
    return kept;
  }
}
