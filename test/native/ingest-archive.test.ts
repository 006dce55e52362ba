/** Whole `.filez` bodies into the store: what is stored, under which names, and what comes back. */

import { chmod, lstat, mkdir, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { type Algorithm, idToBytes, inlineContentMax, parseChecksum, toHex } from '../../src/formats/ids.ts';
import { parseArchiveHeader } from '../../src/formats/ostree/file-header.ts';
import { readVectorTar } from '../support/vectors.ts';
import {
  checksumText,
  concat,
  type FileObject,
  makeContent,
  makeObject,
  makeSymlink,
  objectPathOf,
  verityDigest,
  xattr,
} from './archive-object.ts';
import { type Row, rowsOf } from './ingest-rows.ts';
import { makeStore, type TestStore } from './ingest-support.ts';

const ALGORITHMS: Algorithm[] = ['sha256', 'sha512'];

async function ingest(store: TestStore, objects: Pick<FileObject, 'body' | 'checksum'>[]): Promise<Row[]> {
  const batch = await store.engine.archive(
    objects.map(({ body }) => body),
    concat(...objects.map(({ checksum }) => checksum)),
  );
  return rowsOf(batch, store.algorithm);
}

describe.each(ALGORITHMS)('%s', (algorithm) => {
  const inlineMax = inlineContentMax(algorithm);
  // around the inline limit, blocks, lanes (8, 16), levels of the tree, the arena and the window
  const sizes = [
    0,
    1,
    inlineMax - 1,
    inlineMax,
    inlineMax + 1,
    4095,
    4096,
    4097,
    8 * 4096,
    16 * 4096 + 1,
    64 * 4096,
    64 * 4096 + 1,
  ];
  const larger = [128 * 4096, 128 * 4096 + 1, 300_000, 1_048_576, 3_000_001];

  test('contents of all sizes get the names that the portable code computes', async () => {
    await using store = await makeStore({ algorithm, alsoSha256: true });
    const objects = [...sizes, ...larger].map((size) => makeObject(makeContent(size, size)));
    const rows = await ingest(store, objects);
    for (const [i, { content, archiveHeader, checksum }] of objects.entries()) {
      const isInline = content.length <= inlineMax;
      expect(rows[i]).toEqual({
        status: isInline ? 'inline' : 'new',
        errno: 0,
        step: '',
        how: isInline ? 'nothing' : 'written',
        id: isInline ? '0'.repeat(rows[i].id.length) : toHex(verityDigest(algorithm, content)),
        size: content.length,
        sha256Id: toHex(verityDigest('sha256', content)),
        checksum: checksumText(checksum),
        data: isInline ? concat(archiveHeader, content) : archiveHeader,
      });
      if (!isInline) expect(await store.read(objectPathOf(algorithm, content))).toEqual(Buffer.from(content));
    }
    const external = objects.filter(({ content }) => content.length > inlineMax);
    expect(await store.list()).toEqual(external.map(({ content }) => objectPathOf(algorithm, content)).sort());
  });

  test('every file object of the vectors, in one batch', async () => {
    await using store = await makeStore({ algorithm });
    const loose = [...readVectorTar('repos/archive.tar.gz').values()].filter(({ path }) => path.endsWith('.filez'));
    const objects = loose.map(({ path, content }) => {
      const checksum = idToBytes(parseChecksum(path.slice('objects/'.length, -'.filez'.length).replace('/', '')));
      return { body: content, checksum };
    });
    expect(objects.length).toBeGreaterThan(100);
    const rows = await ingest(store, objects);
    for (const [i, { body }] of objects.entries()) {
      const { sizeBytes, headerBytes } = parseArchiveHeader(body);
      expect(['inline', 'new', 'present']).toContain(rows[i].status);
      expect(rows[i].status === 'inline').toBe(sizeBytes <= inlineMax);
      expect(rows[i].data.subarray(0, headerBytes)).toEqual(body.slice(0, headerBytes));
      expect(rows[i].data.length).toBe(headerBytes + (rows[i].status === 'inline' ? sizeBytes : 0));
    }
  });
});

test('symlinks, attributes and odd owners are kept as they came', async () => {
  await using store = await makeStore({ alsoSha256: true });
  const objects = [
    makeSymlink('target'),
    makeSymlink(
      'é'
        .normalize('NFC')
        .split('')
        .map((c) => String.fromCharCode(...new TextEncoder().encode(c)))
        .join(''),
    ),
    makeSymlink('x'.repeat(4095), { uid: 0xfffffffe, gid: 7 }),
    makeObject(makeContent(10), { mode: 0o104755, xattrs: [xattr('user.a', ''), xattr('user.b', 'x'.repeat(300))] }),
    makeObject(makeContent(5000), { mode: 0o107777, xattrs: [xattr('trusted.\xff', new Uint8Array(65535))] }),
  ];
  const rows = await ingest(store, objects);
  expect(rows.map(({ status }) => status)).toEqual(['inline', 'inline', 'inline', 'inline', 'new']);
  for (const [i, { archiveHeader, content }] of objects.entries())
    expect(rows[i].data).toEqual(i < 4 ? concat(archiveHeader, content) : archiveHeader);
  expect(rows.map(({ sha256Id }) => sha256Id === '0'.repeat(64))).toEqual([true, true, true, false, false]);
});

test('the same content under several headers is one object', async () => {
  await using store = await makeStore();
  for (const size of [1000, 400_000]) {
    const content = makeContent(size, 3);
    const rows = await ingest(
      store,
      [0, 1, 2].map((uid) => makeObject(content, { uid })),
    );
    expect(rows.filter(({ status }) => status === 'new')).toHaveLength(1);
    expect(rows.filter(({ status, how }) => status === 'present' && how === 'nothing')).toHaveLength(2);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(1);
  }
  expect(await store.list()).toHaveLength(2);
});

describe.each([
  ['small', 1000],
  ['large', 400_000],
])('a %s object that is there already', (_, size) => {
  const object = makeObject(makeContent(size, 9));
  const path = objectPathOf('sha512', object.content);

  test('is accepted when its bytes are right', async () => {
    await using store = await makeStore();
    await mkdir(`${store.objects}/${path.slice(0, 2)}`);
    await writeFile(`${store.objects}/${path}`, object.content);
    expect(await ingest(store, [object])).toMatchObject([{ status: 'present', how: 'nothing' }]);
    expect(await store.list()).toEqual([path]);
  });

  const flipped = object.content.slice();
  flipped[size - 1] ^= 1;
  const damages: [string, (file: string) => Promise<void>][] = [
    ['has one other bit', (file) => writeFile(file, flipped)],
    ['is shorter', (file) => writeFile(file, object.content.subarray(1))],
    ['is empty', (file) => writeFile(file, '')],
    [
      'is a symlink to the right bytes',
      async (file) => {
        await writeFile(`${file}.other`, object.content);
        await symlink(`${file}.other`, file);
      },
    ],
  ];
  test.each(
    damages.flatMap(([name, damage]) => [false, true].map((namedTemporaries) => ({ name, damage, namedTemporaries }))),
  )('is replaced when it $name (named temporaries: $namedTemporaries)', async ({ damage, namedTemporaries }) => {
    await using store = await makeStore({ namedTemporaries });
    await mkdir(`${store.objects}/${path.slice(0, 2)}`);
    await damage(`${store.objects}/${path}`);
    const before = await store.list();
    expect(await ingest(store, [object, object])).toMatchObject([
      { status: 'new', how: 'written' },
      { status: 'present' },
    ]);
    expect((await lstat(`${store.objects}/${path}`)).isFile()).toBe(true);
    expect(new Uint8Array(await store.read(path))).toEqual(object.content);
    expect(await store.list()).toEqual(before);
  });

  test('is left alone, and reported, when it is a directory', async () => {
    await using store = await makeStore();
    await mkdir(`${store.objects}/${path}`, { recursive: true });
    expect(await ingest(store, [object])).toMatchObject([{ status: 'damagedObject', data: new Uint8Array(0) }]);
    expect(await store.list()).toEqual([]);
  });
});

test.each([1000, 400_000])('named temporaries: the same result, nothing left over (%i bytes)', async (size) => {
  await using store = await makeStore({ namedTemporaries: true });
  const object = makeObject(makeContent(size));
  expect(await ingest(store, [object, object])).toMatchObject([{ how: 'written' }, { status: 'present' }]);
  const wrong = { ...makeObject(makeContent(size, 2)), checksum: object.checksum };
  expect(await ingest(store, [wrong])).toMatchObject([{ status: 'checksumDiffers' }]);
  expect(await store.list()).toEqual([objectPathOf('sha512', object.content)]);
});

test('a store without fs-verity cannot be secure: the step is named, nothing is stored', async () => {
  await using store = await makeStore({ secure: true }); // tmpfs has none
  const rows = await ingest(store, [
    makeObject(makeContent(1000)),
    makeObject(makeContent(400_000)),
    makeObject(makeContent(5)),
  ]);
  expect(rows).toMatchObject([
    { status: 'systemCall', step: 'enable fs-verity' },
    { status: 'systemCall', step: 'enable fs-verity' },
    { status: 'inline' },
  ]);
  expect(await store.list()).toEqual([]);
});

test('an existing object without fs-verity does not do for a secure store', async () => {
  await using insecure = await makeStore();
  const object = makeObject(makeContent(1000));
  await ingest(insecure, [object]);
  await using secure = await makeStore({ secure: true, objectsPath: insecure.objects });
  // it would be replaced by one that has it, which this file system does not offer
  expect(await ingest(secure, [object])).toMatchObject([{ status: 'systemCall', step: 'enable fs-verity' }]);
  expect(new Uint8Array(await insecure.read(objectPathOf('sha512', object.content)))).toEqual(object.content);
});

test('failing system calls come with their number and step, and spare the other objects', async () => {
  await using store = await makeStore();
  const objects = [makeObject(makeContent(1000)), makeObject(makeContent(5)), makeObject(makeContent(400_000))];
  await rmdir(store.objects); // the engine holds it open
  expect(await ingest(store, objects)).toMatchObject([
    { status: 'systemCall', errno: 2, step: 'make directory' },
    { status: 'inline', errno: 0, step: '' },
    { status: 'systemCall', errno: 2, step: 'make directory' },
  ]);
});

test('a subdirectory that is a file', async () => {
  await using store = await makeStore();
  const object = makeObject(makeContent(1000));
  const path = objectPathOf('sha512', object.content);
  await writeFile(`${store.objects}/${path.slice(0, 2)}`, '');
  expect(await ingest(store, [object])).toMatchObject([
    { status: 'systemCall', errno: 20, step: 'open existing object' },
  ]);
  await rm(`${store.objects}/${path.slice(0, 2)}`);
  expect(await ingest(store, [object])).toMatchObject([{ status: 'new' }]);
  await chmod(store.objects, 0o700);
});

test('thousands of objects in many batches at once', async () => {
  await using store = await makeStore({ threads: 4 });
  const objects = Array.from({ length: 3000 }, (_, i) => makeObject(makeContent(i % 700, i)));
  const batches = [];
  for (let i = 0; i < objects.length; i += 50) batches.push(ingest(store, objects.slice(i, i + 50)));
  const rows = (await Promise.all(batches)).flat();
  for (const [i, { content, checksum }] of objects.entries()) {
    expect(rows[i].checksum).toBe(checksumText(checksum));
    expect(rows[i].status === 'inline').toBe(content.length <= 128);
  }
  const external = objects
    .filter(({ content }) => content.length > 128)
    .map(({ content }) => objectPathOf('sha512', content));
  expect(await store.list()).toEqual([...new Set(external)].sort());
});

test('an empty batch', async () => {
  await using store = await makeStore({ alsoSha256: true });
  const batch = await store.engine.archive([], new Uint8Array(0));
  expect(rowsOf(batch, 'sha512')).toEqual([]);
  expect(batch.dataOffsets).toEqual(Uint32Array.of(0));
});

test('wrong arguments are TypeErrors', async () => {
  await using store = await makeStore();
  const call = (...args: unknown[]) =>
    (store.engine.archive as (...args: unknown[]) => unknown).bind(store.engine, ...args);
  expect(call()).toThrow(TypeError);
  expect(call([new Uint8Array(1)], new Uint8Array(31))).toThrow('32 bytes per object');
  expect(call([1], new Uint8Array(32))).toThrow(TypeError);
  expect(call([new Float64Array(1)], new Uint8Array(32))).toThrow('Uint8Array');
  expect(call(new Array(4001).fill(new Uint8Array(0)), new Uint8Array(32 * 4001))).toThrow('4000');
  expect(() => store.engine.archive.call({} as never, [], new Uint8Array(0))).toThrow(TypeError);
});
