/**
 * What a fuzz run feeds: every parser of our own repository's bytes. Anything but a CfsError thrown is a failure, and so is a
 * result that differs from what another reader of the same bytes makes of them.
 */

import { constants, zstdCompressSync } from 'node:zlib';
import { CfsError } from '../../src/errors.ts';
import { CommitMap } from '../../src/formats/commit-map.ts';
import { CommitMapBuilder } from '../../src/formats/commit-map-builder.ts';
import { portableHashing } from '../../src/formats/hashing.ts';
import { type Algorithm, fromHex, idToBytes } from '../../src/formats/ids.ts';
import { checkFeatures, parseRepositoryMeta } from '../../src/formats/repository-meta.ts';
import { SideIndexBuilder, SideIndexSegment } from '../../src/formats/side-index.ts';
import { chunks, parseSplitstream, readInlineContent, type Splitstream } from '../../src/formats/splitstream.ts';
import { parseNameTable, serializeNameTable } from '../../src/formats/splitstream-names.ts';
import { parseStrictJson } from '../../src/formats/strict-json.ts';
import { decompressZstd, portableZstd, storeZstd, zstdPieces } from '../../src/formats/zstd.ts';
import { nodeZstd } from '../../src/native.ts';
import { readComposefsVectors, readObjects } from '../support/composefs-vectors.ts';
import { readVector } from '../support/vectors.ts';
import type { FuzzTarget } from './target.ts';

const MAX_OUTPUT_BYTES = 1 << 20;
const MAX_SEED_BYTES = 8192;
const vectors = readComposefsVectors();
const hostileStreams = readObjects(vectors.hostile_streams.tarball);
const small = (seeds: Iterable<Uint8Array>): Uint8Array[] =>
  [...seeds].filter(({ length }) => length <= MAX_SEED_BYTES);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const isEqual = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

function requireSame(name: string, a: Uint8Array, b: Uint8Array | undefined): void {
  if (b === undefined || !isEqual(a, b)) throw new Error(`${name}: two readers of the same bytes disagree`);
}

/** Undefined for a refusal; anything that is not one goes on. */
async function accepted<T>(read: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof CfsError) return undefined;
    throw error;
  }
}

const content = readVector('composefs/expected.json').subarray(0, 4000);
const mixed = Uint8Array.from(content, (byte, i) => (i % 100 < 50 ? byte : Math.imul(i, 2654435761) >>> 24));
const frames = [1, 3, 9, 19].flatMap((level) =>
  [content, mixed, new Uint8Array(3000)].map(
    (bytes) =>
      new Uint8Array(
        zstdCompressSync(bytes, {
          params: {
            [constants.ZSTD_c_compressionLevel]: level,
            [constants.ZSTD_c_checksumFlag]: level & 1,
            [constants.ZSTD_c_contentSizeFlag]: level & 2,
          },
        }),
      ),
  ),
);

/** A file whose stream range is all of it. */
const streamOf = (bytes: Uint8Array, streamSize: number, objectRefs: Uint8Array): Splitstream => ({
  algorithm: 'sha256',
  contentType: 0n,
  streamSize,
  streamRefs: new Uint8Array(0),
  objectRefs,
  namedRefs: new Map(),
  legacyHeader: false,
  streamRange: { start: 0, end: bytes.length },
});

async function mergedInline(bytes: Uint8Array, stream: Splitstream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks(bytes, stream)) if ('inline' in chunk) parts.push(chunk.inline.slice());
  return Buffer.concat(parts);
}

const instruction = (value: number): Uint8Array => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return bytes;
};

const maps = await Promise.all(
  [...readObjects(vectors.hostile_commits.tarball).values()].map((bytes) =>
    accepted(async () => {
      const stream = await parseSplitstream(bytes, { algorithm: 'sha256', zstd: portableZstd });
      return readInlineContent(bytes, stream, { zstd: portableZstd, maxBytes: MAX_SEED_BYTES });
    }),
  ),
);

const segment = ((): Uint8Array => {
  const builder = new SideIndexBuilder('sha256');
  for (let i = 0; i < 6; i++) {
    const digest = new Uint8Array(32).fill(i * 40);
    builder.add(
      digest,
      new Uint8Array(32).fill(i & 1),
      i,
      i % 2 === 0 ? digest : undefined,
      i % 3 === 0 ? digest : undefined,
    );
  }
  return builder.build(portableHashing.sha256);
})();

/** Rebuilding from what was read must give a map that reads the same. */
function rebuild(map: CommitMap, algorithm: Algorithm): void {
  const builder = new CommitMapBuilder(algorithm);
  for (let index = 0; index < map.count; index++) {
    const checksum = map.checksumBytesAt(index);
    if (map.findBytes(checksum) !== index) throw new Error('commit-map: an entry is not found');
    builder.add(checksum, map.dataAt(index), map.externalBytesAt(index));
  }
  const built = builder.build(idToBytes(map.commit));
  const again = CommitMap.parse(built.content, built.objectRefs, algorithm);
  for (let index = 0; index < map.count; index++) {
    requireSame('commit-map', map.dataAt(index), again.dataAt(index));
    if (map.externalAt(index) !== again.externalAt(index)) throw new Error('commit-map: another object');
  }
}

export const targets: FuzzTarget[] = [
  {
    name: 'zstd',
    async parse(bytes) {
      const whole = await accepted(() => decompressZstd(bytes, MAX_OUTPUT_BYTES));
      const pieces = await accepted(() =>
        Buffer.concat(Array.from(zstdPieces(bytes, MAX_OUTPUT_BYTES), (piece) => piece.slice())),
      );
      if (whole === undefined && pieces === undefined) return;
      requireSame('zstd in pieces', whole ?? new Uint8Array(0), pieces);
      requireSame('zstd', pieces as Uint8Array, await accepted(() => nodeZstd.decompress(bytes, MAX_OUTPUT_BYTES)));
    },
    seeds: [...frames, fromHex('502a4d1803000000aabbcc'), storeZstd(text('hello'))],
  },
  {
    name: 'splitstream',
    async parse(bytes) {
      const stream = await parseSplitstream(bytes, { algorithm: 'sha256', zstd: portableZstd });
      if (stream.streamSize > MAX_OUTPUT_BYTES) return;
      const merged = await mergedInline(bytes, stream);
      const options = { zstd: portableZstd, maxBytes: MAX_OUTPUT_BYTES };
      const inline = await accepted(() => readInlineContent(bytes, stream, options));
      if (inline !== undefined) requireSame('splitstream', inline, merged);
    },
    seeds: small(hostileStreams.values()),
  },
  {
    name: 'splitstream-chunks',
    async parse(bytes) {
      // The first byte is the stream size, in units of 16; what follows is the chunk sequence, uncompressed.
      const file = storeZstd(bytes.subarray(1));
      const stream = streamOf(file, 16 * (bytes[0] ?? 0), new Uint8Array(64));
      const inline = await accepted(() =>
        readInlineContent(file, stream, { zstd: portableZstd, maxBytes: MAX_OUTPUT_BYTES }),
      );
      const merged = await accepted(() => mergedInline(file, stream));
      if (inline !== undefined) requireSame('splitstream-chunks', inline, merged);
    },
    seeds: [
      Buffer.concat([Uint8Array.of(1), instruction(-16), new Uint8Array(16)]),
      Buffer.concat([Uint8Array.of(2), instruction(-16), new Uint8Array(16), instruction(-16), new Uint8Array(16)]),
      Buffer.concat([Uint8Array.of(1), instruction(0), instruction(-8), new Uint8Array(8), instruction(1)]),
    ].map((seed) => new Uint8Array(seed)),
  },
  {
    name: 'splitstream-names',
    parse(bytes) {
      const ids = new Uint8Array(96);
      for (let i = 0; i < 3; i++) ids.fill(i, 32 * i, 32 * i + 32);
      const names = parseNameTable(bytes, ids, 'sha256', {});
      const { streamRefs, table } = serializeNameTable(names, 'sha256');
      const again = parseNameTable(table, streamRefs, 'sha256', {});
      for (const [name, id] of names) if (again.get(name) !== id) throw new Error('splitstream-names: a name is lost');
    },
    seeds: [text('0:composefs.image\0'), text('2:a:b\0' + '0:é\0' + '1:\u{1f600}\0'), new Uint8Array(0)],
  },
  {
    name: 'commit-map',
    parse(bytes) {
      rebuild(CommitMap.parse(bytes, new Uint8Array(4 * 32), 'sha256'), 'sha256');
    },
    seeds: small(maps.filter((map) => map !== undefined)),
  },
  {
    name: 'side-index',
    parse(bytes) {
      const forged = bytes.slice(); // with a right checksum, or nothing would ever be read
      if (forged.length >= 32) forged.set(portableHashing.sha256(forged.subarray(0, -32)), forged.length - 32);
      const read = SideIndexSegment.parse(forged, 'sha256', portableHashing.sha256);
      for (let index = 0; index < read.count; index++) {
        if (read.find(read.checksumBytesAt(index)) !== index) throw new Error('side-index: an entry is not found');
        const { object, sha256Digest, commit } = read.entryAt(index);
        if (commit.length !== 64 || (object ?? sha256Digest ?? { length: 32 }).length !== 32)
          throw new Error('side-index: a digest is cut off');
      }
    },
    seeds: [segment, new SideIndexBuilder('sha256').build(portableHashing.sha256)],
  },
  {
    name: 'meta.json',
    parse(bytes) {
      checkFeatures(parseRepositoryMeta(bytes));
    },
    seeds: small(vectors.features.cases.flatMap(({ meta_json }) => (meta_json ? [text(meta_json)] : []))),
  },
  {
    name: 'strict-json',
    parse(bytes) {
      parseStrictJson(bytes, {});
      JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)); // what we accept, everybody does
    },
    seeds: ['{"a":[1,-2.5e+3,"\\u00e9\\n",true,false,null,{"b":{}}],"c":""}', '[]', ' 0 '].map(text),
  },
];
