/** Everything that is refused: the same verdict for bodies in memory, local files and streams, and nothing stored. */

import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zlibSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { serializeVariant } from '../../src/formats/gvariant.ts';
import { parseType } from '../../src/formats/gvariant-type.ts';
import { checksumOf, concat, makeContent, makeObject, makeSymlink, REGULAR, SYMLINK } from './archive-object.ts';
import { type Row, rowsOf } from './ingest-rows.ts';
import { makeStore, type TestStore } from './ingest-support.ts';

interface Given {
  body: Uint8Array;
  checksum: Uint8Array;
}

/** The three ways in. */
const FORMS: Record<string, (store: TestStore, given: Given) => Promise<Row>> = {
  async 'in memory'(store, { body, checksum }) {
    return rowsOf(await store.engine.archive([body], checksum), store.algorithm)[0];
  },
  async 'as a local file'(store, { body, checksum }) {
    const path = join(await mkdtemp(store.directory.join('source-')), 'object.filez');
    await writeFile(path, body);
    return rowsOf(await store.engine.local([path], checksum, { mode: 'archive' }), store.algorithm)[0];
  },
  async 'as a stream of bytes'(store, { body, checksum }) {
    const stream = store.engine.stream(checksum);
    // single bytes where it matters, then larger pieces
    for (let at = 0; at < body.length; ) {
      const piece = at < 100 ? 1 : 10_000;
      if (!(await stream.write(body.subarray(at, at + piece)))) break;
      at += piece;
    }
    return rowsOf(await stream.end(), store.algorithm)[0];
  },
  async 'as a stream in one piece'(store, { body, checksum }) {
    const stream = store.engine.stream(checksum);
    await stream.write(body);
    return rowsOf(await stream.end(), store.algorithm)[0];
  },
};

const u32be = (value: number): number[] => [
  (value >>> 24) & 255,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
const swap32 = (value: number): number => new DataView(Uint8Array.from(u32be(value)).buffer).getUint32(0, true);

interface RawHeader {
  size?: bigint;
  mode?: number;
  rdev?: number;
  target?: string;
  /** Names with their NUL, if they are to have one. */
  xattrs?: [name: string, value: Uint8Array][];
}

/** A header with values that our own writer would not write. */
function rawHeader({ size = 0n, mode = REGULAR, rdev = 0, target = '', xattrs = [] }: RawHeader): Uint8Array {
  const swap64 = new DataView(new ArrayBuffer(8));
  swap64.setBigUint64(0, size);
  const bytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
  const variant = serializeVariant(parseType('(tuuuusa(ayay))'), [
    swap64.getBigUint64(0, true),
    0,
    0,
    swap32(mode),
    swap32(rdev),
    target,
    xattrs.map(([name, value]) => [bytes(name), value]),
  ] as never);
  return prefixed(variant);
}
const prefixed = (variant: Uint8Array): Uint8Array =>
  concat(Uint8Array.from([...u32be(variant.length), 0, 0, 0, 0]), variant);

const EMPTY_DEFLATE = Uint8Array.of(3, 0);
const anyChecksum = new Uint8Array(32);
const headerOnly = (header: RawHeader): Given => ({
  body: concat(rawHeader(header), EMPTY_DEFLATE),
  checksum: anyChecksum,
});
const symlinkOnly = (header: RawHeader): Given => ({
  body: rawHeader({ mode: SYMLINK, ...header }),
  checksum: anyChecksum,
});
const bytesOnly = (...bytes: number[]): Given => ({ body: Uint8Array.from(bytes), checksum: anyChecksum });

/** A good body of an empty regular file; its variant starts at 8 and its last byte is the framing offset. */
const good = makeObject(new Uint8Array(0));
const changed = (change: (body: Uint8Array) => void): Given => {
  const body = good.body.slice();
  change(body);
  return { body, checksum: good.checksum };
};
const variantOf = (variant: number[]): Given => ({ body: prefixed(Uint8Array.from(variant)), checksum: anyChecksum });
const goodVariant = Array.from(good.archiveHeader.subarray(8));
const one = new Uint8Array(1);

const HEADERS: [expected: string, name: string, given: Given][] = [
  ['headerLength', 'no byte at all', bytesOnly()],
  ['headerLength', 'seven bytes', bytesOnly(0, 0, 0, 26, 0, 0, 0)],
  ['headerLength', 'a header of no bytes', changed((body) => body.set(u32be(0)))],
  ['headerLength', 'a header that is longer than the object', changed((body) => body.set(u32be(29)))],
  ['headerLength', 'a header of 4 GiB', changed((body) => body.set(u32be(0xffffffff)))],
  ['headerLength', 'a header of more than 1 MiB', { body: prefixed(new Uint8Array(1_048_577)), checksum: anyChecksum }],
  ['headerPadding', 'padding that is not zero', changed((body) => body.set([1], 7))],
  ['headerForm', 'a variant of one byte', variantOf([0])],
  ['headerForm', 'a variant of seven bytes', variantOf([0, 0, 0, 0, 0, 0, 0])],
  ['headerForm', 'a variant of zero bytes only', variantOf(new Array(26).fill(0))],
  ['headerForm', 'a framing offset beyond the end', variantOf([...goodVariant.slice(0, -1), 26])],
  ['headerForm', 'a framing offset before the target', variantOf([...goodVariant.slice(0, -1), 24])],
  ['headerForm', 'a byte between target and offset', variantOf([...goodVariant.slice(0, -1), 0, 25])],
  ['headerForm', 'a target without NUL', variantOf([...goodVariant.slice(0, -2), 65, 25])],
  ['headerForm', 'a target with two NULs', variantOf([...goodVariant.slice(0, -2), 0, 0, 26])],
  [
    'headerForm',
    'a framing offset of two bytes where one does',
    variantOf([...goodVariant.slice(0, -2), ...new Array(229).fill(65), 0, 254, 0]),
  ],
  ['headerForm', 'a target that is not UTF-8', symlinkOnly({ target: '' })],
  ['sizeRange', 'a size of 2^64 - 1', headerOnly({ size: 2n ** 64n - 1n })],
  ['sizeRange', 'a size of 2^53', headerOnly({ size: 2n ** 53n })],
  ...[0, 0o644, 0o010644, 0o020644, 0o040755, 0o060644, 0o140644, 0o170644, 0o110644].map(
    (mode): [string, string, Given] => ['fileType', `mode ${mode.toString(8)}`, headerOnly({ mode })],
  ),
  ['modeBits', 'a bit above the type', headerOnly({ mode: 0o300644 })],
  ['modeBits', 'the top bit', headerOnly({ mode: 0x80000000 + REGULAR })],
  ['rdev', 'a device number', headerOnly({ rdev: 1 })],
  ['target', 'a regular file with a target', headerOnly({ target: 'x' })],
  ['target', 'a symlink without one', symlinkOnly({})],
  ['target', 'a target of 4096 bytes', symlinkOnly({ target: 'x'.repeat(4096) })],
  ['symlinkSize', 'a symlink with a size', symlinkOnly({ target: 'x', size: 1n })],
  [
    'xattrs',
    'descending names',
    headerOnly({
      xattrs: [
        ['b\0', one],
        ['a\0', one],
      ],
    }),
  ],
  [
    'xattrs',
    'a name before its own beginning',
    headerOnly({
      xattrs: [
        ['ab\0', one],
        ['a\0', one],
      ],
    }),
  ],
  [
    'xattrs',
    'names in the order of signed bytes',
    headerOnly({
      xattrs: [
        ['\xff\0', one],
        ['a\0', one],
      ],
    }),
  ],
  [
    'xattrs',
    'a name twice',
    headerOnly({
      xattrs: [
        ['a\0', one],
        ['a\0', one],
      ],
    }),
  ],
  ['xattrs', 'an empty name', headerOnly({ xattrs: [['\0', one]] })],
  ['xattrs', 'a name of no bytes', headerOnly({ xattrs: [['', one]] })],
  ['xattrs', 'a name without NUL', headerOnly({ xattrs: [['a', one]] })],
  ['xattrs', 'a name with NUL inside', headerOnly({ xattrs: [['a\0b\0', one]] })],
  ['xattrs', 'a name with two NULs', headerOnly({ xattrs: [['a\0\0', one]] })],
  ['xattrs', 'a name of 256 bytes', headerOnly({ xattrs: [[`${'a'.repeat(256)}\0`, one]] })],
  ['xattrs', 'a value of 65536 bytes', headerOnly({ xattrs: [['a\0', new Uint8Array(65536)]] })],
  [
    'trailingBytes',
    'a byte after a symlink',
    { body: concat(makeSymlink('x').body, one), checksum: makeSymlink('x').checksum },
  ],
  [
    'checksumDiffers',
    'a symlink under the name of another',
    { body: makeSymlink('x').body, checksum: makeSymlink('y').checksum },
  ],
];
// not UTF-8: overlong forms, surrogates, beyond U+10FFFF, lone and missing continuation bytes
for (const bytes of [
  [0xc0, 0x80],
  [0xc1, 0xbf],
  [0xe0, 0x80, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf0, 0x80, 0x80, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xf5, 0x80, 0x80, 0x80],
  [0xff],
  [0x80],
  [0xc3],
  [0xe2, 0x82],
  [0xf0, 0x9f, 0x92],
  [0xc3, 0x41],
]) {
  const numbers = Array.from(makeSymlink('x').archiveHeader.subarray(8, 32));
  HEADERS.push([
    'headerForm',
    `a target of the bytes ${bytes}`,
    variantOf([...numbers, ...bytes, 0, 24 + bytes.length + 1]),
  ]);
}
HEADERS.splice(
  HEADERS.findIndex(([, name]) => name === 'a target that is not UTF-8'),
  1,
);

/** With content: each in the size of the small and of the windowed path. */
function bodies(size: number): [expected: string, name: string, given: Given][] {
  const content = makeContent(size);
  const object = makeObject(content);
  const { archiveHeader, checksum, header } = object;
  const deflated = object.body.subarray(archiveHeader.length);
  const announced = (bytes: number): Uint8Array => rawHeader({ size: BigInt(bytes) });
  const withBody = (...parts: Uint8Array[]): Given => ({ body: concat(...parts), checksum });
  return [
    ['deflate', 'garbage', withBody(archiveHeader, new Uint8Array(deflated.length).fill(0xff))],
    ['deflate', 'the wrapping of zlib', withBody(archiveHeader, zlibSync(content))],
    [
      'deflate',
      'damage inside',
      withBody(
        archiveHeader,
        deflated.map((byte, i) => (i === deflated.length >> 1 ? 0 : byte ^ 0x55)),
      ),
    ],
    ['truncated', 'no content', withBody(archiveHeader)],
    ['truncated', 'half of it', withBody(archiveHeader, deflated.subarray(0, deflated.length >> 1))],
    ['truncated', 'all but the last byte', withBody(archiveHeader, deflated.subarray(0, -1))],
    [
      'sizeDiffers',
      'one byte less announced',
      { body: concat(announced(size - 1), deflated), checksum: checksumOf(header, content.subarray(0, -1)) },
    ],
    ['sizeDiffers', 'one byte more announced', withBody(announced(size + 1), deflated)],
    [
      'sizeDiffers',
      'nothing announced',
      { body: concat(announced(0), deflated), checksum: checksumOf(header, new Uint8Array(0)) },
    ],
    ['trailingBytes', 'a byte behind it', withBody(object.body, one)],
    ['trailingBytes', 'a second stream behind it', withBody(object.body, deflated)],
    ['checksumDiffers', 'the name of another', { body: object.body, checksum: anyChecksum }],
    ['checksumDiffers', 'another owner', { body: object.body, checksum: checksumOf({ ...header, uid: 1 }, content) }],
    [
      'checksumDiffers',
      'another mode',
      { body: object.body, checksum: checksumOf({ ...header, mode: REGULAR + 0o111 }, content) },
    ],
    ['checksumDiffers', 'other bytes of the same size', { body: makeObject(makeContent(size, 2)).body, checksum }],
  ];
}

describe.each(Object.keys(FORMS))('%s', (form) => {
  test.each(HEADERS)('%s: %s', async (expected, _name, given) => {
    await using store = await makeStore();
    const row = await FORMS[form](store, given);
    expect(row).toMatchObject({ status: expected, data: new Uint8Array(0), id: '0'.repeat(128) });
    expect(await readdir(store.objects)).toEqual([]);
  });

  describe.each([100, 2000, 300_000])('%i bytes', (size) => {
    test.each(bodies(size))('%s: %s', async (expected, name, given) => {
      await using store = await makeStore();
      const row = await FORMS[form](store, given);
      // damage can also look like a longer or shorter stream
      if (name === 'damage inside')
        expect(['deflate', 'sizeDiffers', 'truncated', 'trailingBytes']).toContain(row.status);
      else expect(row.status).toBe(expected);
      expect(row.data).toEqual(new Uint8Array(0));
      expect(await readdir(store.objects)).toEqual([]);
    });
  });

  test('a terabyte announced, little there: no memory, no file', async () => {
    await using store = await makeStore();
    const { body, checksum, archiveHeader } = makeObject(makeContent(180));
    const before = process.memoryUsage().rss;
    const row = await FORMS[form](store, {
      body: concat(rawHeader({ size: 2n ** 40n }), body.subarray(archiveHeader.length)),
      checksum,
    });
    expect(['truncated', 'sizeDiffers']).toContain(row.status);
    expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
    expect(await readdir(store.objects)).toEqual([]);
  });
});

test('a wrong checksum comes back with the right one', async () => {
  await using store = await makeStore();
  const { body, checksum } = makeObject(makeContent(1000));
  const batch = await store.engine.archive([body], anyChecksum);
  expect(batch.checksums).toEqual(checksum);
});
