/** The content of a splitstream: a sequence of chunks, each inline bytes or a reference. doc/formats/splitstream.md. */

import { FormatError, LimitError, MissingObjectError, type Where } from '../errors.ts';
import type { ZstdCodec } from './codecs.ts';
import { type Algorithm, digestBytes, type ObjectId, objectIdFromBytes } from './ids.ts';
import { joined } from './owned-bytes.ts';
import { zstdPieces } from './zstd.ts';

const INSTRUCTION_BYTES = 8;
/** Chunks of one stream. A layer of a million files has two million; each costs a step, however small the file is. */
const MAX_CHUNKS = 16_000_000;
/** Chunks of a stream that is inline only: the writers make one. */
const MAX_INLINE_CHUNKS = 1024;

/**
 * What is held in memory may be so many times as large as it is compressed, and this much more. Half of a commit map is checksums, which do
 * not compress: real ones come to less than 10. So a small file cannot make us take gigabytes.
 */
const MAX_EXPANSION = 100;
const FREE_EXPANSION_BYTES = 64 * 1024 * 1024;

/** Bytes of the file, end exclusive. */
export interface ByteRange {
  start: number;
  end: number;
}

/** What the front of a splitstream says of its content. */
export interface ContentFacts {
  algorithm: Algorithm;
  /** Merged length in bytes, as the writer counted it; a claim until the content is read. */
  streamSize: number;
  /** Concatenated digests of the objects that chunks, or a commit map, refer to by index. */
  objectRefs: Uint8Array;
  streamRange: ByteRange;
}

/** A piece of the merged content. `inline` bytes stay valid only until the next chunk is asked for. */
export type SplitstreamChunk = { inline: Uint8Array } | { object: ObjectId };

/**
 * The whole content of a stream that refers to no objects by chunks: commit streams and detached metadata.
 * @throws LimitError when it is larger than `maxBytes` or than a file of this size can mean; FormatError unless it has exactly `streamSize` bytes
 */
export async function readInlineContent(
  bytes: Uint8Array,
  stream: ContentFacts,
  options: { zstd: ZstdCodec; maxBytes: number; where?: Where },
): Promise<Uint8Array> {
  const { streamSize, streamRange } = stream;
  const where = contentWhere(stream, options.where);
  if (streamSize > options.maxBytes)
    throw new LimitError(`content of ${streamSize} bytes, at most ${options.maxBytes} are accepted here`, where);
  requirePlausible(streamSize, streamRange.end - streamRange.start, where);
  const maxBytes = streamSize + MAX_INLINE_CHUNKS * INSTRUCTION_BYTES;
  const data = await decompressRange(options.zstd, bytes, streamRange, maxBytes, where);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let end = 0; // of the content, moved together in place
  let count = 0;
  for (let at = 0; at < data.length; ) {
    if (at + INSTRUCTION_BYTES > data.length) throw new FormatError(`instruction ${count} is cut off`, where);
    if (++count > MAX_INLINE_CHUNKS) throw new LimitError(`more than ${MAX_INLINE_CHUNKS} chunks`, where);
    const size = inlineSize(view.getBigInt64(at, true), streamSize - end, where);
    if (size === undefined) throw new FormatError('refers to an object, only inline bytes are expected here', where);
    at += INSTRUCTION_BYTES;
    if (size > data.length - at)
      throw new FormatError(`inline chunk of ${size} bytes, ${data.length - at} left`, where);
    if (at + size < data.length || end > 0) data.copyWithin(end, at, at + size);
    else return checkedSize(data.subarray(at), streamSize, where); // one chunk, as the writers make it: no copy
    end += size;
    at += size;
  }
  return checkedSize(data.subarray(0, end), streamSize, where);
}

/** For whoever writes content that `readInlineContent` is to read. @throws LimitError when it would not */
export function requirePlausible(contentBytes: number, compressedBytes: number, where: Where): void {
  if (contentBytes > FREE_EXPANSION_BYTES + MAX_EXPANSION * compressedBytes)
    throw new LimitError(`content of ${contentBytes} bytes out of ${compressedBytes} compressed ones`, where);
}

function checkedSize(content: Uint8Array, streamSize: number, where: Where): Uint8Array {
  if (content.length !== streamSize)
    throw new FormatError(`has ${content.length} bytes of content, its header says ${streamSize}`, where);
  return content;
}

/** Inline length, or undefined for a reference; compared with what may still come before anything is read. */
function inlineSize(instruction: bigint, leftBytes: number, where: Where): number | undefined {
  if (instruction >= 0n) return undefined;
  if (-instruction > BigInt(leftBytes))
    throw new FormatError(`inline chunk of ${-instruction} bytes where stream_size leaves ${leftBytes}`, where);
  return Number(-instruction);
}

/**
 * The chunks of any stream, in pieces of at most 128 KiB and with little memory, however large it is.
 * @param options.objectSize size in bytes of an object of the repository, undefined when it is not there. With it the merged
 *   length is compared with `streamSize`; without it references are only checked to be in `objectRefs`.
 * @throws FormatError, LimitError; MissingObjectError for an object that `objectSize` does not find
 */
export async function* chunks(
  bytes: Uint8Array,
  stream: ContentFacts,
  options: { where?: Where; objectSize?: (id: ObjectId) => number | undefined | Promise<number | undefined> } = {},
): AsyncGenerator<SplitstreamChunk> {
  const where = contentWhere(stream, options.where);
  const { streamSize, objectRefs } = stream;
  // every chunk of a real stream holds at least a byte; a file cannot make us step through more of them than that
  const maxChunks = Math.min(streamSize, MAX_CHUNKS);
  const idBytes = digestBytes(stream.algorithm);
  const instruction = new Uint8Array(INSTRUCTION_BYTES);
  const view = new DataView(instruction.buffer);
  let instructionFilled = 0;
  let inlineLeft = 0;
  let mergedBytes = 0;
  let count = 0;
  const { start, end } = stream.streamRange;
  const maxBytes = streamSize + maxChunks * INSTRUCTION_BYTES;
  for (const piece of zstdPieces(bytes.subarray(start, end), maxBytes, where)) {
    for (let at = 0; at < piece.length; ) {
      if (inlineLeft > 0) {
        const inline = piece.subarray(at, at + inlineLeft);
        at += inline.length;
        inlineLeft -= inline.length;
        yield { inline };
        continue;
      }
      instruction[instructionFilled++] = piece[at++];
      if (instructionFilled < INSTRUCTION_BYTES) continue;
      instructionFilled = 0;
      if (++count > maxChunks) throw new LimitError(`more than ${maxChunks} chunks`, where);
      const value = view.getBigInt64(0, true);
      const size = inlineSize(value, streamSize - mergedBytes, where);
      if (size !== undefined) {
        inlineLeft = size;
        mergedBytes += size;
        continue;
      }
      if (value >= BigInt(objectRefs.length / idBytes))
        throw new FormatError(`object ${value} of ${objectRefs.length / idBytes}`, where);
      const object = objectIdFromBytes(objectRefs.subarray(Number(value) * idBytes, (Number(value) + 1) * idBytes));
      if (options.objectSize !== undefined) {
        const objectBytes = await options.objectSize(object);
        if (objectBytes === undefined) throw new MissingObjectError(`refers to ${object}, which is not there`, where);
        mergedBytes += objectBytes;
        if (mergedBytes > streamSize) throw new FormatError(`content is larger than stream_size ${streamSize}`, where);
      }
      yield { object };
    }
  }
  if (inlineLeft > 0) throw new FormatError(`inline chunk is ${inlineLeft} bytes short`, where);
  if (instructionFilled > 0) throw new FormatError('last instruction is cut off', where);
  if (options.objectSize !== undefined && mergedBytes !== streamSize)
    throw new FormatError(`has ${mergedBytes} bytes of content, its header says ${streamSize}`, where);
}

const contentWhere = (stream: ContentFacts, where: Where = {}): Where => ({
  ...where,
  format: 'splitstream',
  field: 'stream',
  offset: stream.streamRange.start,
});

/** The codec knows neither the file nor the place. */
export async function decompressRange(
  zstd: ZstdCodec,
  bytes: Uint8Array,
  { start, end }: ByteRange,
  maxBytes: number,
  where: Where,
): Promise<Uint8Array> {
  try {
    return await zstd.decompress(bytes.subarray(start, end), maxBytes);
  } catch (error) {
    if (error instanceof LimitError) throw new LimitError(error.message, where, { cause: error });
    if (error instanceof FormatError) throw new FormatError(error.message, where, { cause: error });
    throw error;
  }
}

/**
 * Instructions: −n and n inline bytes, or the index of an object. Neighbouring inline chunks become one.
 * @returns in pieces: content in one piece is not copied
 */
export function serializeChunks(
  content: Uint8Array | Iterable<SplitstreamChunk>,
  objectRefs: Uint8Array,
  algorithm: Algorithm,
): Uint8Array[] {
  if (content instanceof Uint8Array) return content.length === 0 ? [] : [instructionBytes(-content.length), content];
  const parts: Uint8Array[] = [];
  let inline: Uint8Array[] = [];
  const flush = (): void => {
    const size = inline.reduce((sum, part) => sum + part.length, 0);
    if (size > 0) parts.push(instructionBytes(-size));
    for (const part of inline) parts.push(part);
    inline = [];
  };
  const indexOf = objectIndexes(objectRefs, algorithm);
  for (const chunk of content) {
    if ('inline' in chunk) {
      inline.push(chunk.inline.slice());
      continue;
    }
    flush();
    const index = indexOf.get(chunk.object);
    if (index === undefined) throw new TypeError(`chunk refers to ${chunk.object}, which is not in objectRefs`);
    parts.push(instructionBytes(index));
  }
  flush();
  return [joined(parts)];
}

function objectIndexes(objectRefs: Uint8Array, algorithm: Algorithm): Map<ObjectId, number> {
  const idBytes = digestBytes(algorithm);
  const indexes = new Map<ObjectId, number>();
  for (let at = 0; at < objectRefs.length; at += idBytes) {
    const id = objectIdFromBytes(objectRefs.subarray(at, at + idBytes));
    if (!indexes.has(id)) indexes.set(id, at / idBytes);
  }
  return indexes;
}

function instructionBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(INSTRUCTION_BYTES);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return bytes;
}
