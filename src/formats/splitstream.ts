/**
 * Splitstream files: a byte string kept as inline bytes and references to objects, zstd-compressed, with the ids of everything
 * it refers to uncompressed in front. Layout and limits: doc/formats/splitstream.md. Source: composefs-rs 0.9, `splitstream.rs`.
 */

import type { Where } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';
import type { ZstdCodec } from './codecs.ts';
import { type Algorithm, digestBytes, FS_VERITY_ALGORITHM_NUMBER, type ObjectId } from './ids.ts';
import { type OwnedBytes, release } from './owned-bytes.ts';
import {
  type ByteRange,
  type ContentFacts,
  decompressRange,
  requirePlausible,
  type SplitstreamChunk,
  serializeChunks,
} from './splitstream-content.ts';
import { MAX_NAME_TABLE_BYTES, parseNameTable, serializeNameTable } from './splitstream-names.ts';

export { type ByteRange, chunks, readInlineContent, type SplitstreamChunk } from './splitstream-content.ts';

/** composefs-rs 0.9: an ostree commit as a commit map (`commit-map.ts`). */
export const CONTENT_TYPE_OSTREE_COMMIT = 0xafe138c18c463ef1n;
/** Ours, `cfspartl`: a commit map that need not be complete. */
export const CONTENT_TYPE_PARTIAL = 0x6c74726170736663n;
/** Ours, `cfsdetch`: the detached metadata of a commit, as in a `.commitmeta` object. */
export const CONTENT_TYPE_COMMITMETA = 0x6863746564736663n;

const HEADER_BYTES = 32;
/** Info section: four ranges, content type, stream size; where each is in it. */
const STREAM_REFS_AT = 0;
const OBJECT_REFS_AT = 16;
const STREAM_AT = 32;
const NAMED_REFS_AT = 48;
const CONTENT_TYPE_AT = 64;
const STREAM_SIZE_AT = 72;
const INFO_BYTES = 80;
/** 80 bytes are used; more are ignored. Far above what later versions could need. */
const MAX_INFO_BYTES = 64 * 1024;
const LG_BLOCK_SIZE = 12;
/** ASCII `SplitStream`. */
const MAGIC = Uint8Array.from('SplitStream', (letter) => letter.charCodeAt(0));
/** Where composefs-rs 0.5 and 0.6 put the magic; info range and flags come first there. */
const LEGACY_MAGIC_OFFSET = 18;

/** Everything in front of the compressed content. The arrays are views of the file's bytes. */
export interface Splitstream extends ContentFacts {
  contentType: bigint;
  /** Concatenated digests of what named refs point at. */
  streamRefs: Uint8Array;
  /** In the order of their ids in `streamRefs`. */
  namedRefs: Map<string, ObjectId>;
  /** Written by composefs-rs before 0.7; otherwise the same. */
  legacyHeader: boolean;
}

export interface ParseSplitstreamOptions {
  algorithm: Algorithm;
  /** Refuse every other one. */
  contentType?: bigint;
  zstd: ZstdCodec;
  where?: Where;
}

/** Whether the first bytes of a file say that it is a splitstream, of either header layout. */
export const isSplitstream = (bytes: Uint8Array): boolean => hasMagic(bytes, 0) || hasMagic(bytes, LEGACY_MAGIC_OFFSET);

const hasMagic = (bytes: Uint8Array, offset: number): boolean => MAGIC.every((byte, i) => bytes[offset + i] === byte);

/**
 * Reads everything but the content. The file's own digest is the caller's business.
 * @throws FormatError, LimitError
 */
export async function parseSplitstream(bytes: Uint8Array, options: ParseSplitstreamOptions): Promise<Splitstream> {
  const reader = new ByteReader(bytes, { ...options.where, format: 'splitstream' });
  const { info, legacyHeader } = readHeader(reader, options.algorithm);
  reader.seek('info', info.start);
  const streamRefsRange = readRange(reader, 'stream_refs');
  const objectRefsRange = readRange(reader, 'object_refs');
  const streamRange = readRange(reader, 'stream');
  const namedRefsRange = readRange(reader, 'named_refs');
  const contentType = reader.u64leBig('content_type');
  if (options.contentType !== undefined && contentType !== options.contentType)
    reader.fail('content_type', `${hex64(contentType)} instead of ${hex64(options.contentType)}`);
  const streamSize = reader.u64le('stream_size');
  const streamRefs = readIds(reader, 'stream_refs', streamRefsRange, options.algorithm);
  const objectRefs = readIds(reader, 'object_refs', objectRefsRange, options.algorithm);
  const sum = [info, streamRefsRange, objectRefsRange, streamRange, namedRefsRange].reduce(
    (bytesSoFar, range) => bytesSoFar + range.end - range.start,
    HEADER_BYTES,
  );
  if (sum > bytes.length) reader.fail('info', `sections of ${sum} bytes in a file of ${bytes.length} overlap`);
  const where = { ...reader.where, field: 'named_refs', offset: namedRefsRange.start };
  const table = await decompressRange(options.zstd, bytes, namedRefsRange, MAX_NAME_TABLE_BYTES, where);
  const namedRefs = parseNameTable(table, streamRefs, options.algorithm, where);
  const algorithm = options.algorithm;
  return { algorithm, contentType, streamSize, streamRefs, objectRefs, namedRefs, legacyHeader, streamRange };
}

function readHeader(reader: ByteReader, algorithm: Algorithm): { info: ByteRange; legacyHeader: boolean } {
  const fileBytes = reader.bytes.length;
  if (fileBytes < HEADER_BYTES) reader.fail('header', `needs ${HEADER_BYTES} bytes, the file has ${fileBytes}`);
  if (!isSplitstream(reader.bytes)) reader.fail('magic', 'not a splitstream');
  const legacyHeader = !hasMagic(reader.bytes, 0);
  let info: ByteRange | undefined;
  if (legacyHeader) {
    info = readRange(reader, 'info');
    reader.u16le('flags'); // reserved: written as 0, ignored
  }
  reader.take('magic', MAGIC.length);
  const version = reader.u8('version');
  if (version !== 0) reader.fail('version', `${version} is not supported, only 0`);
  if (!legacyHeader) reader.u16le('flags');
  const number = reader.u8('algorithm');
  if (number !== FS_VERITY_ALGORITHM_NUMBER[algorithm])
    reader.fail('algorithm', `${number} is not that of ${algorithm}`);
  const lgBlockSize = reader.u8('lg_blocksize');
  if (lgBlockSize !== LG_BLOCK_SIZE)
    reader.fail('lg_blocksize', `${lgBlockSize} is not supported, only ${LG_BLOCK_SIZE}`);
  info ??= readRange(reader, 'info');
  const infoBytes = info.end - info.start;
  if (info.start < HEADER_BYTES) reader.fail('info', 'lies in the header');
  if (infoBytes < INFO_BYTES || infoBytes > MAX_INFO_BYTES)
    reader.fail('info', `has ${infoBytes} bytes, not ${INFO_BYTES} to ${MAX_INFO_BYTES}`);
  return { info, legacyHeader };
}

/** A range that lies in the file. */
function readRange(reader: ByteReader, field: string): ByteRange {
  const start = reader.u64le(`${field}.start`);
  const end = reader.u64le(`${field}.end`);
  const fileBytes = reader.bytes.length;
  if (end < start || end > fileBytes)
    reader.fail(field, `[${start}, ${end}) does not fit a file of ${fileBytes} bytes`);
  return { start, end };
}

function readIds(reader: ByteReader, field: string, { start, end }: ByteRange, algorithm: Algorithm): Uint8Array {
  reader.seek(field, start);
  if ((end - start) % digestBytes(algorithm) !== 0)
    reader.fail(field, `${end - start} bytes are not a whole number of ${algorithm} ids`);
  return reader.take(field, end - start);
}

const hex64 = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;

/** The compressed section of a stream that was read: for another stream with the same content and objects. */
export class CompressedContent {
  readonly bytes: Uint8Array;

  constructor(file: Uint8Array, { streamRange }: ContentFacts) {
    this.bytes = file.subarray(streamRange.start, streamRange.end);
  }
}

export interface SplitstreamContent {
  algorithm: Algorithm;
  contentType: bigint;
  streamSize: number;
  /** Concatenated raw digests, in the order of their indexes; chunks may only use these. */
  objectRefs: Uint8Array;
  /** Ids are numbered in the order of the map, equal ones once. */
  namedRefs: ReadonlyMap<string, ObjectId>;
  content: Uint8Array | Iterable<SplitstreamChunk> | CompressedContent;
  /** The content's buffer is nobody else's: it goes as soon as it is compressed. For a map of a million files that is 100 MB. */
  isOwned?: boolean;
  /** What it is the stream of, for errors. */
  where?: Where;
}

/**
 * The whole file, as composefs-rs writes it: sections in its order, no gaps; only the compressor may differ.
 * @throws LimitError for content in one piece that no reader would take back: it compresses as nothing honest does
 */
export async function serializeSplitstream(stream: SplitstreamContent, zstd: ZstdCodec): Promise<OwnedBytes> {
  const names = serializeNameTable(stream.namedRefs, stream.algorithm);
  const [namedRefs, content] = await Promise.all([zstd.compress(names.table), compressed(stream, zstd)]);
  if (stream.content instanceof Uint8Array)
    requirePlausible(stream.streamSize, content.length, {
      ...stream.where,
      format: 'splitstream',
      field: 'stream',
    });
  // in the order of the file; the info section lists the stream before the names
  const sections = [
    { range: STREAM_REFS_AT, bytes: names.streamRefs },
    { range: OBJECT_REFS_AT, bytes: stream.objectRefs },
    { range: NAMED_REFS_AT, bytes: namedRefs },
    { range: STREAM_AT, bytes: content },
  ];
  let end = HEADER_BYTES + INFO_BYTES;
  const out = new Uint8Array(sections.reduce((sum, { bytes }) => sum + bytes.length, end));
  const view = new DataView(out.buffer);
  const setRange = (at: number, start: number, rangeEnd: number): void => {
    view.setBigUint64(at, BigInt(start), true);
    view.setBigUint64(at + 8, BigInt(rangeEnd), true);
  };
  out.set(MAGIC); // version and flags stay 0
  view.setUint8(14, FS_VERITY_ALGORITHM_NUMBER[stream.algorithm]);
  view.setUint8(15, LG_BLOCK_SIZE);
  setRange(16, HEADER_BYTES, end);
  for (const { range, bytes } of sections) {
    setRange(HEADER_BYTES + range, end, end + bytes.length);
    out.set(bytes, end);
    end += bytes.length;
  }
  if (!(stream.content instanceof CompressedContent)) release(content as OwnedBytes);
  view.setBigUint64(HEADER_BYTES + CONTENT_TYPE_AT, stream.contentType, true);
  view.setBigUint64(HEADER_BYTES + STREAM_SIZE_AT, BigInt(stream.streamSize), true);
  return out;
}

async function compressed(
  { content, isOwned, objectRefs, algorithm }: SplitstreamContent,
  zstd: ZstdCodec,
): Promise<Uint8Array> {
  if (content instanceof CompressedContent) return content.bytes;
  const bytes = await zstd.compress(serializeChunks(content, objectRefs, algorithm));
  if (isOwned && content instanceof Uint8Array) release(content as OwnedBytes);
  return bytes;
}
