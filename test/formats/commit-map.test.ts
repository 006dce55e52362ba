import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CfsError, FormatError, LimitError } from '../../src/errors.ts';
import { CommitMap } from '../../src/formats/commit-map.ts';
import { CommitMapBuilder, type WriteEntries } from '../../src/formats/commit-map-builder.ts';
import { type Algorithm, type Checksum, digestBytes, idToBytes, toHex } from '../../src/formats/ids.ts';
import { CONTENT_TYPE_OSTREE_COMMIT, parseSplitstream, readInlineContent } from '../../src/formats/splitstream.ts';
import { portableZstd } from '../../src/formats/zstd.ts';
import { native } from '../../src/native.ts';
import { ZSTD_CODECS } from '../support/codecs.ts';
import { type ExpectedCommitMap, readComposefsVectors, readObjects } from '../support/composefs-vectors.ts';
import { readVector } from '../support/vectors.ts';

const vectors = readComposefsVectors();

const WRITERS: Array<[string, WriteEntries | undefined]> = [
  ['here', undefined],
  ['by the addon', native?.writeCommitMap],
];

interface StoredMap {
  name: string;
  algorithm: Algorithm;
  commit: Checksum;
  content: Uint8Array;
  objectRefs: Uint8Array;
  expected: ExpectedCommitMap;
}

const maps: StoredMap[] = [];
for (const [key, stream] of Object.entries(vectors.streams)) {
  const expected =
    'same_as' in stream.commit_map ? vectors.streams[stream.commit_map.same_as].commit_map : stream.commit_map;
  if ('same_as' in expected) throw new Error('a reference to a reference');
  const algorithm = key.startsWith('sha256') ? 'sha256' : 'sha512';
  const bytes = readObjects(`repos/${Object.keys(stream.repositories)[0]}.tar.gz`).get(stream.id) as Uint8Array;
  const parsed = await parseSplitstream(bytes, {
    algorithm,
    contentType: CONTENT_TYPE_OSTREE_COMMIT,
    zstd: portableZstd,
  });
  const content = await readInlineContent(bytes, parsed, { zstd: portableZstd, maxBytes: 1 << 20 });
  const { objectRefs } = parsed;
  maps.push({ name: key.slice(0, 15), algorithm, commit: stream.commit as Checksum, content, objectRefs, expected });
}

describe.each(maps)('$name', ({ algorithm, commit, content, objectRefs, expected }) => {
  const map = CommitMap.parse(content, objectRefs, algorithm);

  test('has the objects of the vector', () => {
    expect(map.commit).toBe(commit);
    expect(map.count).toBe(expected.count);
    expected.objects.forEach((object, index) => {
      expect(map.checksumAt(index)).toBe(object.checksum);
      expect(toHex(map.checksumBytesAt(index))).toBe(object.checksum);
      expect(map.find(object.checksum as Checksum)).toBe(index);
      expect(map.externalAt(index)).toBe(object.storage === 'external' ? object.object : undefined);
      const start = expected.content_area + 8 * object.position;
      expect(map.dataAt(index)).toEqual(content.subarray(start, start + object.length));
      if (object.type !== 'file')
        expect(createHash('sha256').update(map.dataAt(index)).digest('hex')).toBe(object.checksum);
    });
  });

  test('does not find what is not there', () => {
    for (const byte of [0, 1, 127, 254, 255])
      expect(map.find(toHex(new Uint8Array(32).fill(byte)) as Checksum)).toBe(-1);
    for (const { checksum } of expected.objects) {
      const almost = idToBytes(checksum as Checksum);
      almost[31] ^= 1;
      expect(map.findBytes(almost)).toBe(-1);
    }
  });

  test.each(WRITERS)('built from its objects in any order it has the same bytes, written %s', (_how, writeEntries) => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...expected.objects.keys()], { minLength: expected.count }), (order) => {
        const builder = new CommitMapBuilder(algorithm, undefined, writeEntries);
        for (const index of order) {
          const add = () => builder.add(map.checksumBytesAt(index), map.dataAt(index), map.externalBytesAt(index));
          expect([add(), add()]).toEqual([true, false]);
        }
        const built = builder.build(idToBytes(commit));
        expect(Buffer.compare(built.content, content)).toBe(0);
        expect(Buffer.compare(built.objectRefs, objectRefs)).toBe(0);
      }),
      { numRuns: 5 },
    );
  });
});

test('the content files are the maps', () => {
  const files = Object.entries(vectors.streams).flatMap(([key, { file }]) =>
    file === undefined ? [] : [{ key, file }],
  );
  expect(files.length).toBe(12);
  for (const { key, file } of files) {
    const name = file.replace('.before-image', '').replace('.splitstream', '.content.gz');
    const content = new Uint8Array(gunzipSync(readVector(`composefs/${name}`)));
    expect(maps.find((map) => map.name === key.slice(0, 15))?.content).toEqual(content);
  }
});

describe.each(ZSTD_CODECS)('hostile commit maps, $codec', ({ zstd }) => {
  const objects = readObjects(vectors.hostile_commits.tarball);
  /** Needs the data to be hashed, the tree to be walked or objects to be looked at; the map itself is in order. */
  const NOT_OF_THE_MAP = [
    ...['commit-index-dirtree', 'data-length-short', 'data-length-long', 'index-on-dirtree'],
    ...['index-on-symlink', 'index-dropped', 'flip-commit', 'flip-dirtree', 'flip-dirmeta', 'flip-file-content'],
    ...['flip-file-mode', 'size-external-larger', 'size-external-zero', 'size-external-max', 'size-inline-larger'],
    ...[
      'size-inline-smaller',
      'inline-trailing',
      'header-length',
      'header-length-zero',
      'header-cut',
      'header-padding',
    ],
    ...['missing-dirtree-0', 'missing-dirtree-3', 'missing-dirtree-5', 'missing-dirtree-9', 'missing-dirmeta'],
    ...['missing-file', 'other-object', 'data-overlap'],
  ];

  test.each(vectors.hostile_commits.streams)('$id ($description): $should', async ({ id, object, should }) => {
    const bytes = objects.get(object) as Uint8Array;
    let verdict = 'accept';
    try {
      const contentType = CONTENT_TYPE_OSTREE_COMMIT;
      const parsed = await parseSplitstream(bytes, { algorithm: 'sha256', contentType, zstd });
      const content = await readInlineContent(bytes, parsed, { zstd, maxBytes: 1 << 20 });
      const map = CommitMap.parse(content, parsed.objectRefs, 'sha256');
      for (let index = 0; index < map.count; index++) {
        map.dataAt(index);
        map.externalAt(index);
      }
      if (!id.startsWith('commit-index')) expect(map.commit).toBe(vectors.hostile_commits.commit);
    } catch (error) {
      if (!(error instanceof CfsError)) throw error;
      verdict = 'reject';
    }
    if (NOT_OF_THE_MAP.includes(id)) expect(verdict).toBe('accept');
    else if (should !== 'may-reject') expect(verdict).toBe(should);
  });
});

interface RandomObject {
  checksum: Uint8Array;
  data: Uint8Array;
  external?: Uint8Array;
}

/** Few different first bytes, so that some buckets are crowded and others empty; few different objects, so that some are shared. */
const randomObjects = (algorithm: Algorithm): fc.Arbitrary<RandomObject[]> =>
  fc.uniqueArray(
    fc.record(
      {
        checksum: fc
          .tuple(fc.constantFrom(0, 1, 7, 255), fc.uint8Array({ minLength: 31, maxLength: 31 }))
          .map(([first, rest]) => Uint8Array.of(first, ...rest)),
        data: fc.uint8Array({ maxLength: 40 }),
        external: fc.nat({ max: 20 }).map((number) => new Uint8Array(digestBytes(algorithm)).fill(number)),
      },
      { requiredKeys: ['checksum', 'data'] },
    ),
    { minLength: 1, maxLength: 600, selector: ({ checksum }) => toHex(checksum) },
  );

describe.each(['sha256', 'sha512'] as const)('random maps, %s', (algorithm) => {
  test('build → parse → lookup gives everything back', () => {
    fc.assert(
      fc.property(randomObjects(algorithm), fc.nat(), (objects, pick) => {
        const commit = objects[pick % objects.length];
        delete commit.external;
        const builder = new CommitMapBuilder(algorithm);
        for (const { checksum, data, external } of objects) builder.add(checksum, data, external);
        expect(builder.count).toBe(objects.length);
        const { content, objectRefs } = builder.build(commit.checksum);
        expect(content.length).toBe(builder.contentBytes);
        const map = CommitMap.parse(content, objectRefs, algorithm);
        expect(map.commit).toBe(toHex(commit.checksum));
        expect(map.count).toBe(objects.length);
        objects.forEach(({ checksum, data, external }) => {
          const index = map.findBytes(checksum);
          expect(map.dataAt(index)).toEqual(data);
          expect(map.externalBytesAt(index)).toEqual(external);
          expect(builder.has(checksum)).toBe(true);
        });
        const used = objects.flatMap(({ external }) => (external === undefined ? [] : [toHex(external)]));
        expect(objectRefs.length / digestBytes(algorithm)).toBe(new Set(used).size);
      }),
      { numRuns: 100 },
    );
  });
});

describe.each(['sha256', 'sha512'] as const)('entries taken over from a base, %s', (algorithm) => {
  const build = (objects: RandomObject[], commit: Uint8Array) => {
    const builder = new CommitMapBuilder(algorithm);
    for (const { checksum, data, external } of objects) builder.add(checksum, data, external);
    return builder.build(commit);
  };

  test.each(WRITERS)('give the same bytes as adding all of them, written %s', (_how, writeEntries) => {
    fc.assert(
      fc.property(randomObjects(algorithm), fc.infiniteStream(fc.integer({ min: 0, max: 3 })), (objects, choices) => {
        const roles = objects.map(() => choices.next().value as number); // 0: of the base alone, 1 and 2: of both, 3: new
        roles[0] = 1;
        const [commit] = objects;
        delete commit.external;
        const stored = build(
          objects.filter((_, i) => roles[i] < 3),
          commit.checksum,
        );
        const base = CommitMap.parse(stored.content, stored.objectRefs, algorithm);
        const builder = new CommitMapBuilder(algorithm, base, writeEntries);
        const wanted = objects.filter((_, i) => roles[i] > 0);
        objects.forEach(({ checksum, data, external }, i) => {
          if (roles[i] === 0) return;
          const put = () =>
            roles[i] === 3 ? builder.add(checksum, data, external) : builder.take(base.findBytes(checksum));
          expect(builder.has(checksum)).toBe(false);
          expect(put()).toBe(true);
          expect(builder.has(checksum)).toBe(true);
          expect([put(), builder.add(checksum, data, external)]).toEqual([false, false]);
        });
        expect(builder.count).toBe(wanted.length);
        const expected = build(wanted, commit.checksum);
        for (const built of [builder.build(commit.checksum), builder.buildLast(commit.checksum)]) {
          expect(Buffer.compare(built.content, expected.content)).toBe(0);
          expect(Buffer.compare(built.objectRefs, expected.objectRefs)).toBe(0);
          expect(built.content.length).toBe(builder.contentBytes);
        }
        builder.release();
      }),
      { numRuns: 200 },
    );
  });

  test('are not taken when they were added before, and not without a base', () => {
    const checksum = new Uint8Array(32).fill(5);
    const { content, objectRefs } = build([{ checksum, data: Uint8Array.of(1) }], checksum);
    const builder = new CommitMapBuilder(algorithm, CommitMap.parse(content, objectRefs, algorithm));
    builder.add(checksum, Uint8Array.of(2));
    expect(builder.take(0)).toBe(false);
    expect(() => new CommitMapBuilder(algorithm).take(0)).toThrow(TypeError);
  });
});

test('checkpoints: what is built does not change when more is added', () => {
  const object = (byte: number) => ({
    checksum: new Uint8Array(32).fill(byte),
    data: new Uint8Array(byte + 1).fill(byte),
  });
  const builder = new CommitMapBuilder('sha256');
  builder.add(object(200).checksum, object(200).data);
  const first = builder.build(object(200).checksum);
  const copy = first.content.slice();
  for (let byte = 0; byte < 200; byte++) builder.add(object(byte).checksum, object(byte).data, object(byte).checksum);
  const second = builder.build(object(200).checksum);
  expect(first.content).toEqual(copy);
  expect(CommitMap.parse(second.content, second.objectRefs, 'sha256').count).toBe(201);
});

test('the commit must be there, and an object is not taken twice', () => {
  const builder = new CommitMapBuilder('sha256');
  const checksum = new Uint8Array(32).fill(3);
  expect(() => builder.build(checksum)).toThrow(TypeError);
  expect(builder.add(checksum, Uint8Array.of(1))).toBe(true);
  expect(builder.add(checksum, Uint8Array.of(2, 2))).toBe(false);
  const { content, objectRefs } = builder.build(checksum);
  expect(CommitMap.parse(content, objectRefs, 'sha256').dataAt(0)).toEqual(Uint8Array.of(1));
});

describe('refused before anything is allocated or looked up', () => {
  const builder = new CommitMapBuilder('sha256');
  for (const byte of [1, 1, 2, 9])
    builder.add(
      new Uint8Array(32).fill(byte),
      new Uint8Array(20).fill(byte),
      byte > 1 ? new Uint8Array(32) : undefined,
    );
  const { content, objectRefs } = builder.build(new Uint8Array(32).fill(1));
  const refsAt = 1032 + 32 * 3;
  const change = (at: number, value: number): Uint8Array => {
    const bytes = content.slice();
    new DataView(bytes.buffer).setUint32(at, value, true);
    return bytes;
  };
  test.each([
    ['no objects', new Uint8Array(1032), 'commit index'],
    ['2^32 − 1 objects', change(8 + 4 * 255, 0xffffffff), 'bucket'],
    ['bucket ends that decrease', change(8 + 4 * 5, 0), 'bucket'],
    ['an object in the bucket of another first byte', change(8 + 4 * 1, 2), 'ids'],
    ['a commit behind the end', change(0, 3), 'commit index'],
    ['a commit with an external object', change(0, 1), 'data ref'],
    ['data behind the content area', change(refsAt, 10), 'data ref'],
    ['data at 32 GiB', change(refsAt, 0xffffffff), 'data ref'],
    ['data of 4 GiB', change(refsAt + 4, 0xffffffff), 'data ref'],
    ['data that overlaps so that its sum is more than there is', change(refsAt + 4, 60), 'data ref'],
    ['an object that is not in the array', change(refsAt + 12 + 8, 1), 'data ref'],
  ])('%s', (_, bytes, field) => {
    expect(() => CommitMap.parse(bytes, objectRefs, 'sha256', { file: 'streams/x' })).toThrow(
      expect.objectContaining({
        code: 'CFS_FORMAT',
        where: expect.objectContaining({ file: 'streams/x', format: 'commit map', field }),
      }),
    );
  });

  test('ids that are not ascending', () => {
    const bytes = content.slice();
    bytes.copyWithin(1032, 1032 + 32, 1032 + 64);
    bytes[1032] = 1;
    bytes[1032 + 32] = 1;
    expect(() => CommitMap.parse(bytes, objectRefs, 'sha256')).toThrow(FormatError);
  });

  test.each([0, 7, 1031, 1032, content.length - 5, refsAt, refsAt + 35])('cut to %i bytes', (length) => {
    expect(() => CommitMap.parse(content.subarray(0, length), objectRefs, 'sha256')).toThrow(FormatError);
  });
});

test('adversarial checksums do not make it slow', () => {
  const builder = new CommitMapBuilder('sha256');
  const checksum = new Uint8Array(32);
  const view = new DataView(checksum.buffer);
  const count = 100_000;
  const started = process.cpuUsage();
  for (let i = 0; i < count; i++) {
    view.setUint32(4, i, true); // the same first four bytes, as somebody could make them
    builder.add(checksum, checksum.subarray(0, 8));
  }
  const { content, objectRefs } = builder.build(new Uint8Array(32));
  expect(CommitMap.parse(content, objectRefs, 'sha256').count).toBe(count);
  expect(process.cpuUsage(started).user / 1e6).toBeLessThan(5);
});

test('a million objects', () => {
  const count = 1_000_000;
  const builder = new CommitMapBuilder('sha512');
  const checksum = new Uint8Array(32);
  const words = new Uint32Array(checksum.buffer);
  const data = new Uint8Array(90);
  const external = new Uint8Array(64);
  const externalWords = new Uint32Array(external.buffer);
  const fill = (i: number) => {
    for (let word = 0; word < 8; word++) words[word] = Math.imul(i + 1, 0x9e3779b1 + 2 * word);
    externalWords[1] = i >> 1;
  };
  const started = process.cpuUsage(); // not the clock: the machine may be busy
  for (let i = 0; i < count; i++) {
    fill(i);
    builder.add(checksum, data, i % 3 === 0 ? undefined : external);
  }
  fill(0);
  const { content, objectRefs } = builder.build(checksum);
  const map = CommitMap.parse(content, objectRefs, 'sha512');
  const cpuSeconds = process.cpuUsage(started).user / 1e6;
  expect(map.count).toBe(count);
  for (let i = 0; i < count; i += 997) {
    fill(i);
    expect(map.findBytes(checksum)).toBeGreaterThanOrEqual(0);
  }
  expect(cpuSeconds).toBeLessThan(20); // about 2 on an idle machine; a quadratic step would take hours
});

test('what was built stays when the builder is released', () => {
  const builder = new CommitMapBuilder('sha256');
  const checksum = new Uint8Array(32).fill(7);
  builder.add(checksum, Uint8Array.of(1, 2, 3));
  const { content, objectRefs } = builder.build(checksum);
  builder.release();
  const map = CommitMap.parse(content, objectRefs, 'sha256');
  expect(map.dataAt(map.findBytes(checksum))).toEqual(Uint8Array.of(1, 2, 3));
});

test('a map that could not be stored is refused while it grows', () => {
  const builder = new CommitMapBuilder('sha256');
  const big = { length: 5 * 1024 ** 3 } as unknown as Uint8Array; // only its length is looked at
  expect(() => builder.add(new Uint8Array(32), big)).toThrow(LimitError);
  expect(builder.count).toBe(0);
});
