import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CfsError, FormatError } from '../../src/errors.ts';
import { portableHashing } from '../../src/formats/hashing.ts';
import { type Algorithm, digestBytes, toHex } from '../../src/formats/ids.ts';
import {
  peekSegmentCommits,
  SideIndexBuilder,
  SideIndexSegment,
  UnknownSegmentVersionError,
} from '../../src/formats/side-index.ts';

const { sha256 } = portableHashing;

interface Entry {
  checksum: Uint8Array;
  commit: Uint8Array;
  sizeBytes: number;
  object?: Uint8Array;
  sha256Digest?: Uint8Array;
}

const checksum = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

const entries = (algorithm: Algorithm): fc.Arbitrary<Entry[]> =>
  fc.uniqueArray(
    fc.record(
      {
        checksum: fc
          .tuple(fc.constantFrom(0, 3, 255), fc.uint8Array({ minLength: 31, maxLength: 31 }))
          .map(([first, rest]) => Uint8Array.of(first, ...rest)),
        commit: fc.nat({ max: 5 }).map(checksum),
        sizeBytes: fc.maxSafeNat(),
        object: fc.nat({ max: 20 }).map((byte) => new Uint8Array(digestBytes(algorithm)).fill(byte)),
        sha256Digest: fc.nat({ max: 20 }).map(checksum),
      },
      { requiredKeys: ['checksum', 'commit', 'sizeBytes'] },
    ),
    { maxLength: 700, selector: (entry) => toHex(entry.checksum) },
  );

function build(algorithm: Algorithm, list: readonly Entry[]): Uint8Array {
  const builder = new SideIndexBuilder(algorithm);
  for (const { checksum, commit, sizeBytes, object, sha256Digest } of list)
    expect(builder.add(checksum, commit, sizeBytes, object, sha256Digest)).toBe(true);
  expect(builder.count).toBe(list.length);
  return builder.build(sha256);
}

describe.each(['sha256', 'sha512'] as const)('%s', (algorithm) => {
  test('what is built is found again, nothing else', () => {
    fc.assert(
      fc.property(entries(algorithm), (list) => {
        const segment = SideIndexSegment.parse(build(algorithm, list), algorithm, sha256);
        expect(segment.count).toBe(list.length);
        expect(new Set(segment.commits)).toEqual(new Set(list.map(({ commit }) => toHex(commit))));
        for (const { checksum, commit, sizeBytes, object, sha256Digest } of list) {
          const index = segment.find(checksum);
          expect(segment.checksumBytesAt(index)).toEqual(checksum);
          expect(segment.entryAt(index)).toEqual({ commit: toHex(commit), sizeBytes, object, sha256Digest });
        }
        expect(segment.find(new Uint8Array(32).fill(128))).toBe(-1);
      }),
      { numRuns: 60 },
    );
  });

  test('the same entries in any order search the same', () => {
    const list = Array.from({ length: 20 }, (_, i) => ({ checksum: checksum(i), commit: checksum(99), sizeBytes: i }));
    const [a, b] = [list, [...list].reverse()].map((order) => build(algorithm, order));
    expect(a).toEqual(b);
  });
});

test('the first entry of an object stays; a digest of the same content is taken over', () => {
  const [object, other] = [new Uint8Array(64).fill(1), new Uint8Array(64).fill(2)];
  const builder = new SideIndexBuilder('sha512');
  builder.add(checksum(1), checksum(10), 5, object);
  builder.add(checksum(2), checksum(10), 6, object);
  builder.add(checksum(3), checksum(10), 7);
  expect(builder.add(checksum(1), checksum(11), 5, object, checksum(77))).toBe(false);
  expect(builder.add(checksum(2), checksum(11), 6, other, checksum(78))).toBe(false);
  expect(builder.add(checksum(3), checksum(11), 7, undefined, checksum(79))).toBe(false);
  const segment = SideIndexSegment.parse(builder.build(sha256), 'sha512', sha256);
  const entry = (byte: number) => segment.entryAt(segment.find(checksum(byte)));
  expect(entry(1)).toMatchObject({ commit: toHex(checksum(10)), sha256Digest: checksum(77) });
  expect(entry(2)).toMatchObject({ object, sha256Digest: undefined });
  expect(entry(3)).toMatchObject({ object: undefined, sha256Digest: undefined });
});

test('the head says whose entries there are', () => {
  const commits = Array.from({ length: 50 }, (_, i) => checksum(i));
  const list = commits.map((commit, i) => ({ checksum: checksum(100 + i), commit, sizeBytes: 1 }));
  const bytes = build('sha512', list);
  const headBytes = 32 + 1024 + 32 * commits.length;
  expect(peekSegmentCommits(bytes.subarray(0, headBytes), 'sha512')).toEqual(commits.map(toHex));
  for (let length = 0; length < headBytes; length++)
    expect(peekSegmentCommits(bytes.subarray(0, length), 'sha512')).toBeUndefined();
  expect(peekSegmentCommits(bytes, 'sha256')).toBeUndefined();
  expect(peekSegmentCommits(bytes.with(8, 2), 'sha512')).toBeUndefined();
  const claim = bytes.slice();
  new DataView(claim.buffer).setUint32(20, 0xffffffff, true);
  expect(peekSegmentCommits(claim, 'sha512')).toBeUndefined();
});

describe('damage', () => {
  const list = [
    { checksum: checksum(1), commit: checksum(8), sizeBytes: 3, object: checksum(4), sha256Digest: checksum(5) },
    { checksum: checksum(2), commit: checksum(9), sizeBytes: 2 ** 40 },
  ];
  const bytes = build('sha256', list);

  test('any flipped bit is noticed', () => {
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at] ^= 1 << (at % 8);
      expect(() => SideIndexSegment.parse(damaged, 'sha256', sha256), `offset ${at}`).toThrow(FormatError);
    }
  });

  test('so is any cut', () => {
    for (let length = 0; length < bytes.length; length++)
      expect(() => SideIndexSegment.parse(bytes.subarray(0, length), 'sha256', sha256)).toThrow(FormatError);
  });

  test('another version is told apart, before anything else is looked at', () => {
    const newer = bytes.slice(0, 40);
    newer[8] = 2;
    expect(() => SideIndexSegment.parse(newer, 'sha256', sha256)).toThrow(UnknownSegmentVersionError);
    expect(() => SideIndexSegment.parse(bytes, 'sha512', sha256)).toThrow(FormatError);
  });

  /** With a right checksum: damage that somebody made. */
  const forge = (at: number, value: number): Uint8Array => {
    const forged = bytes.slice();
    new DataView(forged.buffer).setUint32(at, value, true);
    forged.set(sha256(forged.subarray(0, -32)), forged.length - 32);
    return forged;
  };
  const recordsAt = bytes.length - 32 - 2 * 20;
  test.each([
    ['entries that do not fit', forge(16, 0xffffffff), 'entries'],
    ['objects that do not fit', forge(24, 0xffffffff), 'entries'],
    ['bucket ends that decrease', forge(32 + 4 * 100, 0), 'bucket'],
    ['another number of entries in the buckets', forge(32 + 4 * 255, 3), 'bucket'],
    ['an entry in the wrong bucket', forge(32 + 4 * 1, 2), 'ids'],
    ['a commit that is not there', forge(recordsAt, 2), 'record'],
    ['an object that is not there', forge(recordsAt + 4, 1), 'record'],
    ['a digest that is not there', forge(recordsAt + 8, 1), 'record'],
  ])('%s', (_, forged, field) => {
    expect(() => SideIndexSegment.parse(forged, 'sha256', sha256, { file: 'x.segment' })).toThrow(
      expect.objectContaining({ where: expect.objectContaining({ file: 'x.segment', field }) }),
    );
  });

  test('random bytes behind a right head throw nothing but typed errors', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 3000 }), (tail) => {
        const forged = new Uint8Array(16 + tail.length + 32);
        forged.set(bytes.subarray(0, 16));
        forged.set(tail, 16);
        forged.set(sha256(forged.subarray(0, -32)), forged.length - 32);
        try {
          SideIndexSegment.parse(forged, 'sha256', sha256);
        } catch (error) {
          expect(error).toBeInstanceOf(CfsError);
        }
      }),
      { numRuns: 300 },
    );
  });
});
