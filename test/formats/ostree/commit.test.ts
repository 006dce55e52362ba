import { sha256 } from '@noble/hashes/sha2.js';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.ts';
import { type GvValue, parseType, serializeVariant } from '../../../src/formats/gvariant.ts';
import { type Checksum, fromHex, toHex } from '../../../src/formats/ids.ts';
import {
  type Commit,
  collectionBinding,
  commitMetadata,
  composefsDigest,
  parseCommit,
  refBindings,
  serializeCommit,
} from '../../../src/formats/ostree/commit.ts';
import { parseDetachedMetadata, serializeDetachedMetadata } from '../../../src/formats/ostree/detached-metadata.ts';
import { parseSizeEntry, readVarint, sizesOf } from '../../../src/formats/ostree/sizes.ts';

const DIRMETA = '446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488' as Checksum;
const PLAIN: Commit = {
  metadata: [],
  subject: 'subj',
  body: '',
  timestampSeconds: 1_700_000_000n,
  rootDirtree: '49e2ab98656e0caf2bdd8624a01982356fe1e08cbdd1ecaa6e1be6f1d068c7e2' as Checksum,
  rootDirmeta: DIRMETA,
};
const PLAIN_HEX = `7375626a00 00 0000 000000006553f100 ${PLAIN.rootDirtree} ${DIRMETA} 300605000000`.replaceAll(
  ' ',
  '',
);

/** Made by ostree 2026.4, with metadata of every way to give it and `--generate-sizes`. */
const RICH_HEX = `
76657273696f6e00312e3000007308006b0000000000000007000000007502006f73747265652e7265662d62
696e64696e670000000000006f732f737461626c65000a00617313006f73747265652e636f6c6c656374696f
6e2d62696e64696e67000000000000006f72672e6578616d706c652e4f730000731a0000000000006f737472
65652e73697a657300000000446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488
0c0c0344f778e59f0a4748d6b0c90a47347212a231c4ad1e8f7ea5c5dffc7749153a6b2a060173baaba0102e
9154b8522687d33eedb8ed1bc78eadb82428b2616144ec502934270501815aad83f4be3c9713c7be978703ec
8875bb3d89d5ca511440561a175d96f55e5050022346698c006161790d0f001f0047007a0025015300420000
00000000000000006553f100815aad83f4be3c9713c7be978703ec8875bb3d89d5ca511440561a175d96f55e
446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c54886001330131012f012f012f01`;
const rich = fromHex(RICH_HEX.replaceAll('\n', ''));

describe('commits that ostree 2026.4 made', () => {
  test('plain', () => {
    expect(toHex(serializeCommit(PLAIN))).toBe(PLAIN_HEX);
    expect(toHex(sha256(fromHex(PLAIN_HEX)))).toBe('f1b41dab51aae5fb613d07106b9f179b75c69a3bdcc553db86f05b5c33b642a3');
    expect(parseCommit(fromHex(PLAIN_HEX))).toEqual(PLAIN);
  });

  test('with metadata', () => {
    expect(toHex(sha256(rich))).toBe('6e720171fd77f29cc46bde5c3deae709810b5e6d52c9f51cecbda0d4c1cd2048');
    const commit = parseCommit(rich);
    expect(serializeCommit(commit)).toEqual(rich);
    expect(commit.metadata.map(([key]) => key)).toEqual([
      'version',
      'k',
      'ostree.ref-binding',
      'ostree.collection-binding',
      'ostree.sizes',
    ]);
    expect(commitMetadata(commit, 'version')).toEqual({ type: 's', value: '1.0' });
    expect(commitMetadata(commit, 'k')).toEqual({ type: 'u', value: 7 });
    expect(commitMetadata(commit, 'absent')).toBeUndefined();
    expect(refBindings(commit)).toEqual(['os/stable']);
    expect(collectionBinding(commit)).toBe('org.example.Os');
    expect([commit.subject, commit.body]).toEqual(['S', 'B']);
    expect(
      sizesOf(commit)?.map(({ type, archivedBytes, unpackedBytes }) => [type, archivedBytes, unpackedBytes]),
    ).toEqual([
      ['dirmeta', 12n, 12n],
      ['file', 42n, 6n],
      ['file', 39n, 5n],
      ['dirtree', 80n, 80n],
    ]);
  });

  test('every truncation is a FormatError', () => {
    for (let end = 0; end < rich.length; end++) expect(() => parseCommit(rich.subarray(0, end))).toThrow(FormatError);
  });
});

const TYPE = parseType('(a{sv}aya(say)sstayay)');
const digest = new Uint8Array(32);
const none = new Uint8Array(0);
const commitOf = (changes: { [member: number]: GvValue }) =>
  serializeVariant(TYPE, Object.assign([[], none, [], '', '', 0n, digest, digest], changes));

test('related objects are accepted, and dropped', () => {
  const parsed = parseCommit(commitOf({ 2: [['name', digest]] }));
  expect(parsed).toEqual(parseCommit(commitOf({})));
});

test('a parent, the largest timestamp', () => {
  const commit = parseCommit(commitOf({ 1: digest.with(0, 0xab), 5: 2n ** 64n - 1n }));
  expect(commit.parent).toBe(`ab${'00'.repeat(31)}`);
  expect(commit.timestampSeconds).toBe(2n ** 64n - 1n);
  expect(parseCommit(serializeCommit(commit))).toEqual(commit);
});

test.each<[what: string, bytes: Uint8Array, field: string]>([
  ['no bytes', none, 'value'],
  ['empty metadata key', commitOf({ 0: [['', { type: 'y', value: 1 }]] }), 'metadata'],
  ['parent of 5 bytes', commitOf({ 1: digest.subarray(27) }), 'parent'],
  ['root dirtree of 31 bytes', commitOf({ 6: digest.subarray(1) }), 'root dirtree'],
  ['no root dirtree', commitOf({ 6: none }), 'root dirtree'],
  ['root dirmeta of 33 bytes', commitOf({ 7: new Uint8Array(33) }), 'root dirmeta'],
])('%s is refused', (_, bytes, field) => {
  expect(() => parseCommit(bytes, { object: 'x.commit' })).toThrow(
    expect.objectContaining({
      code: 'CFS_FORMAT',
      where: { object: 'x.commit', format: 'commit', field, offset: expect.any(Number) },
    }),
  );
});

describe('what a commit states', () => {
  const stating = (key: string, type: string, value: GvValue): Commit => ({
    ...PLAIN,
    metadata: [[key, { type, value }]],
  });
  test('composefs digest', () => {
    const key = 'ostree.composefs.digest.v0';
    expect(composefsDigest(PLAIN)).toBeUndefined();
    expect(composefsDigest(stating(key, 'ay', digest))).toEqual(digest);
    expect(() => composefsDigest(stating(key, 'ay', digest.subarray(1)))).toThrow(FormatError);
    expect(() => composefsDigest(stating(key, 's', 'x'))).toThrow(FormatError);
  });
  test('bindings of another type bind nothing', () => {
    expect(refBindings(stating('ostree.ref-binding', 's', 'x'))).toBeUndefined();
    expect(refBindings(stating('ostree.ref-binding', 'as', []))).toEqual([]);
    expect(collectionBinding(stating('ostree.collection-binding', 'as', ['x']))).toBeUndefined();
    expect(collectionBinding(PLAIN)).toBeUndefined();
  });
  test('sizes of another type are refused', () => {
    expect(sizesOf(PLAIN)).toBeUndefined();
    expect(() => sizesOf(stating('ostree.sizes', 'as', []))).toThrow(FormatError);
  });
});

describe('an entry of ostree.sizes', () => {
  const entry = (tail: string) => fromHex('ab'.repeat(32) + tail);
  test.each([
    ['00', 0n],
    ['7f', 127n],
    ['8001', 128n],
    ['ac02', 300n],
    ['a09c01', 20_000n],
    ['8080808010', 2n ** 32n],
    [`${'ff'.repeat(9)}01`, 2n ** 64n - 1n],
  ])('varint %s', (data, value) => {
    expect(readVarint(fromHex(data), 0)).toEqual({ value, end: data.length / 2 });
    expect(parseSizeEntry(entry(`${data}0003`))).toMatchObject({
      archivedBytes: value,
      unpackedBytes: 0n,
      type: 'dirmeta',
    });
  });
  test('without type it is a file', () => {
    expect(parseSizeEntry(entry('0102'))).toEqual({
      checksum: 'ab'.repeat(32),
      archivedBytes: 1n,
      unpackedBytes: 2n,
      type: 'file',
    });
  });
  test.each(['', '01', '0180', '01020000', '010200', '01020a', '80', `${'ff'.repeat(9)}0201`, `${'80'.repeat(10)}01`])(
    '%j is refused',
    (tail) => {
      expect(() => parseSizeEntry(entry(tail))).toThrow(FormatError);
    },
  );
  test('shorter than a checksum is refused', () => {
    expect(() => parseSizeEntry(new Uint8Array(31))).toThrow(FormatError);
  });
});

describe('detached metadata', () => {
  test('both ways', () => {
    const bytes = fromHex('666f6f000000000062617200007304 0f'.replace(' ', ''));
    expect(parseDetachedMetadata(bytes)).toEqual([['foo', { type: 's', value: 'bar' }]]);
    expect(serializeDetachedMetadata([['foo', { type: 's', value: 'bar' }]])).toEqual(bytes);
  });
  test('no bytes are an empty dictionary', () => {
    expect(parseDetachedMetadata(none)).toEqual([]);
    expect(serializeDetachedMetadata([])).toEqual(none);
  });
  test('anything else is refused', () => {
    expect(() => parseDetachedMetadata(Uint8Array.of(0))).toThrow(FormatError);
  });
});
