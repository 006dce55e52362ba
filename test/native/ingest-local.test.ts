/** Loose objects of local repositories of every mode. Owners and trusted attributes need root, as the repositories themselves do. */

import {
  chmod,
  chown,
  lchown,
  lstat,
  lutimes,
  mkdir,
  readdir,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RepositoryMode } from '../../src/formats/file-body.ts';
import { type Checksum, idToBytes } from '../../src/formats/ids.ts';
import { serializeContentHeader, serializeOstreemeta } from '../../src/formats/ostree/file-header.ts';
import { serializeFileXattrs } from '../../src/formats/ostree/xattrs.ts';
import type { LinkMode, LocalOptions } from '../../src/native.ts';
import { vectorRepository } from '../support/vector-repositories.ts';
import {
  concat,
  type FileObject,
  makeContent,
  makeObject,
  makeSymlink,
  objectPathOf,
  REGULAR,
  xattr,
} from './archive-object.ts';
import { addon, type Row, rowsOf } from './ingest-rows.ts';
import { makeStore, type TestStore } from './ingest-support.ts';

async function ingest(
  store: TestStore,
  paths: string[],
  checksums: Uint8Array[],
  options: LocalOptions,
): Promise<Row[]> {
  return rowsOf(await store.engine.local(paths, concat(...checksums), options), store.algorithm);
}
const ingestOne = async (
  store: TestStore,
  path: string,
  { checksum }: Pick<FileObject, 'checksum'>,
  options: LocalOptions,
): Promise<Row> => (await ingest(store, [path], [checksum], options))[0];

async function looseObjects(mode: RepositoryMode): Promise<Map<Checksum, string>> {
  const objects = join(await vectorRepository(mode), 'objects');
  const found = new Map<Checksum, string>();
  for (const path of await readdir(objects, { recursive: true })) {
    const [, first, rest] = /^([0-9a-f]{2})\/([0-9a-f]{62})\.filez?$/.exec(path) ?? [];
    if (rest !== undefined) found.set(`${first}${rest}` as Checksum, join(objects, path));
  }
  return found;
}

const MODES: RepositoryMode[] = ['archive', 'bare', 'bare-user', 'bare-user-only', 'bare-split-xattrs'];

describe('the vectors', () => {
  test.each(MODES)('%s gives what archive gives', async (mode) => {
    const objects = await looseObjects(mode);
    const archive = await looseObjects('archive');
    const checksums = [...objects.keys()];
    const bytes = checksums.map(idToBytes);
    await using store = await makeStore({ alsoSha256: true });
    await using reference = await makeStore({ alsoSha256: true });
    const rows = await ingest(store, [...objects.values()], bytes, {
      mode,
      xattrsPaths: [...objects.values()].map((path) => path.replace(/\.file$/, '.file-xattrs-link')),
    });
    const expected = await ingest(
      reference,
      checksums.map((checksum) => archive.get(checksum) as string),
      bytes,
      { mode: 'archive' },
    );
    // which of several equal contents was the first depends on the threads
    const withoutOrder = (all: Row[]): unknown[] =>
      all.map(({ status, how, ...rest }) => ({ ...rest, isInline: status === 'inline' }));
    expect(rows.filter(({ status }) => !['inline', 'new', 'present'].includes(status))).toEqual([]);
    expect(withoutOrder(rows)).toEqual(withoutOrder(expected));
    expect(await store.list()).toEqual(await reference.list());
    expect(rows.length).toBeGreaterThan(mode === 'bare-user-only' ? 90 : 120);
  });
});

describe('found by their checksums', () => {
  test.each(MODES)('%s', async (mode) => {
    const objects = await looseObjects(mode);
    const repository = await vectorRepository(mode);
    const missing = new Uint8Array(32);
    const checksums = [...[...objects.keys()].map(idToBytes), missing];
    await using store = await makeStore();
    const batch = await store.engine.loose(join(repository, 'objects'), concat(...checksums), { mode });
    const rows = rowsOf(batch, store.algorithm);
    const last = rows.pop();
    expect(last).toMatchObject({ status: 'systemCall' });
    expect(rows.filter(({ status }) => !['inline', 'new', 'present'].includes(status))).toEqual([]);
    const sizes = await Promise.all([...objects.values()].map(async (path) => (await lstat(path)).size));
    expect(batch.sourceBytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
  });

  test('whole checksums only', async () => {
    await using store = await makeStore();
    expect(() => store.engine.loose('/nowhere', new Uint8Array(33), { mode: 'bare' })).toThrow(TypeError);
  });
});

/** A store with a directory beside it for sources, on tmpfs. */
async function withSource(): Promise<{ store: TestStore; source: (name: string) => string } & AsyncDisposable> {
  const store = await makeStore();
  await mkdir(store.directory.join('source'));
  return {
    store,
    source: (name) => store.directory.join('source', name),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

describe('bare', () => {
  test.each([50, 5000, 400_000])('owner, mode and attributes come from the inode (%i bytes)', async (size) => {
    await using at = await withSource();
    const xattrs = [xattr('trusted.z', 'last'), xattr('user.a', '1'), xattr('user.b', new Uint8Array(1000))];
    const object = makeObject(makeContent(size), { uid: 12, gid: 34, mode: 0o104750, xattrs });
    const path = at.source('o.file');
    await writeFile(path, object.content);
    for (const { name, value } of xattrs.toReversed()) addon.setxattr(path, name, value);
    addon.setxattr(path, 'user.empty', new Uint8Array(0)); // does not count
    await chown(path, 12, 34);
    await chmod(path, 0o4750);
    const row = await ingestOne(at.store, path, object, { mode: 'bare' });
    expect(row).toMatchObject({ status: size <= 128 ? 'inline' : 'new', size });
    expect(row.data).toEqual(size <= 128 ? concat(object.archiveHeader, object.content) : object.archiveHeader);
  });

  test('core.disable-xattrs', async () => {
    await using at = await withSource();
    const object = makeObject(makeContent(10), { mode: 0o100600 });
    await writeFile(at.source('o.file'), object.content, { mode: 0o600 });
    addon.setxattr(at.source('o.file'), 'user.a', new Uint8Array(1));
    expect(await ingestOne(at.store, at.source('o.file'), object, { mode: 'bare' })).toMatchObject({
      status: 'checksumDiffers',
    });
    expect(await ingestOne(at.store, at.source('o.file'), object, { mode: 'bare', ignoreXattrs: true })).toMatchObject({
      status: 'inline',
    });
  });

  test('many attributes, more than fit a first buffer', async () => {
    await using at = await withSource();
    const xattrs = Array.from({ length: 60 }, (_, i) => xattr(`user.attribute-number-${100 + i}`, `${i}`));
    const object = makeObject(makeContent(10), { xattrs });
    await writeFile(at.source('o.file'), object.content, { mode: 0o644 });
    for (const { name, value } of xattrs) addon.setxattr(at.source('o.file'), name, value);
    expect((await ingestOne(at.store, at.source('o.file'), object, { mode: 'bare' })).data).toEqual(
      concat(object.archiveHeader, object.content),
    );
  });

  test('symlinks, with attributes of their own', async () => {
    await using at = await withSource();
    const object = makeSymlink('there/it is', { uid: 5, gid: 6, xattrs: [xattr('trusted.link', 'v')] });
    await symlink('there/it is', at.source('l.file'));
    addon.lsetxattr(at.source('l.file'), 'trusted.link', new TextEncoder().encode('v'));
    await lchown(at.source('l.file'), 5, 6);
    await lutimes(at.source('l.file'), 1, 1);
    expect(await ingestOne(at.store, at.source('l.file'), object, { mode: 'bare' })).toMatchObject({
      status: 'inline',
      data: object.archiveHeader,
    });
  });
});

describe('bare-user', () => {
  const put = async (path: string, object: FileObject, content = object.content): Promise<void> => {
    await writeFile(path, content);
    addon.setxattr(path, 'user.ostreemeta', serializeOstreemeta(object.header));
  };

  test.each([50, 5000, 400_000])('owner, mode and attributes come from user.ostreemeta (%i bytes)', async (size) => {
    await using at = await withSource();
    const object = makeObject(makeContent(size), {
      uid: 9,
      gid: 8,
      mode: 0o102711,
      xattrs: [xattr('security.x', 'y')],
    });
    await put(at.source('o'), object);
    addon.setxattr(at.source('o'), 'user.other', new Uint8Array(1)); // not part of the object
    const row = await ingestOne(at.store, at.source('o'), object, { mode: 'bare-user' });
    expect(row.data).toEqual(size <= 128 ? concat(object.archiveHeader, object.content) : object.archiveHeader);
  });

  test('attributes in any order: they were hashed in ascending order', async () => {
    await using at = await withSource();
    const object = makeObject(makeContent(10), { xattrs: [xattr('user.a', '1'), xattr('user.b', '2')] });
    await writeFile(at.source('o'), object.content);
    const numbers = serializeOstreemeta({ ...object.header, xattrs: [] });
    const [a, b] = object.header.xattrs.map((one) => serializeFileXattrs([one]).subarray(0, -1));
    const unsorted = concat(numbers, b, a, Uint8Array.of(b.length, b.length + a.length));
    addon.setxattr(at.source('o'), 'user.ostreemeta', unsorted);
    expect(await ingestOne(at.store, at.source('o'), object, { mode: 'bare-user' })).toMatchObject({
      status: 'inline',
      data: concat(object.archiveHeader, object.content),
    });
  });

  test('a symlink is a file with its target and one NUL', async () => {
    await using at = await withSource();
    const object = makeSymlink('x'.repeat(4095));
    await put(at.source('l'), object, Buffer.from(`${'x'.repeat(4095)}\0`));
    expect(await ingestOne(at.store, at.source('l'), object, { mode: 'bare-user' })).toMatchObject({
      status: 'inline',
      data: object.archiveHeader,
    });
  });

  const link = makeSymlink('target');
  test.each([
    ['localForm', 'has no NUL', 'target'],
    ['localForm', 'has two', 'target\0\0'],
    ['localForm', 'has one inside', 'tar\0get\0'],
    ['localForm', 'is empty', ''],
    ['target', 'is only a NUL', '\0'],
    ['target', 'is as long as PATH_MAX', `${'x'.repeat(4096)}\0`],
    ['localForm', 'is longer', `${'x'.repeat(5000)}\0`],
    ['checksumDiffers', 'is another', 'targes\0'],
  ])('%s: a symlink whose file %s', async (status, _name, content) => {
    await using at = await withSource();
    await put(at.source('l'), link, Buffer.from(content));
    expect(await ingestOne(at.store, at.source('l'), link, { mode: 'bare-user' })).toMatchObject({ status });
  });

  test.each([
    ['headerForm', 'of five bytes', Uint8Array.of(0, 0, 0, 0, 0)],
    ['headerForm', 'of no bytes', new Uint8Array(0)],
    ['fileType', 'of a directory', serializeOstreemeta({ uid: 0, gid: 0, mode: 0o040755, xattrs: [] })],
    ['modeBits', 'with extra bits', serializeOstreemeta({ uid: 0, gid: 0, mode: 0o300644, xattrs: [] })],
    [
      'xattrs',
      'with a name twice',
      serializeOstreemeta({ uid: 0, gid: 0, mode: REGULAR, xattrs: [xattr('a', '1'), xattr('a', '2')] }),
    ],
    [
      'headerForm',
      'with a byte behind it',
      concat(serializeOstreemeta({ uid: 0, gid: 0, mode: REGULAR, xattrs: [xattr('a', '1')] }), Uint8Array.of(9)),
    ],
    ['checksumDiffers', 'with another mode', serializeOstreemeta({ uid: 0, gid: 0, mode: 0o100755, xattrs: [] })],
  ])('%s: user.ostreemeta %s', async (status, _name, value) => {
    await using at = await withSource();
    const object = makeObject(makeContent(1000));
    await writeFile(at.source('o'), object.content);
    addon.setxattr(at.source('o'), 'user.ostreemeta', value);
    expect(await ingestOne(at.store, at.source('o'), object, { mode: 'bare-user' })).toMatchObject({ status });
    expect(await at.store.list()).toEqual([]);
  });

  test('without user.ostreemeta, a directory, a symlink: not the form of this mode', async () => {
    await using at = await withSource();
    const object = makeObject(makeContent(1000));
    await writeFile(at.source('o'), object.content);
    await mkdir(at.source('d'));
    await symlink('o', at.source('l'));
    for (const name of ['o', 'd', 'l'])
      expect(await ingestOne(at.store, at.source(name), object, { mode: 'bare-user' })).toMatchObject({
        status: 'localForm',
      });
  });
});

describe('bare-user-only', () => {
  test('only the mode is kept, owners count as 0', async () => {
    await using at = await withSource();
    const object = makeObject(makeContent(500), { mode: 0o100755 });
    const link = makeSymlink('t');
    await writeFile(at.source('o'), object.content);
    await chmod(at.source('o'), 0o755);
    await chown(at.source('o'), 77, 88);
    addon.setxattr(at.source('o'), 'user.a', new Uint8Array(1));
    await symlink('t', at.source('l'));
    const rows = await ingest(at.store, [at.source('o'), at.source('l')], [object.checksum, link.checksum], {
      mode: 'bare-user-only',
    });
    expect(rows).toMatchObject([
      { status: 'new', data: object.archiveHeader },
      { status: 'inline', data: link.archiveHeader },
    ]);
  });
});

describe('bare-split-xattrs', () => {
  const object = makeObject(makeContent(500), { xattrs: [xattr('user.a', '1'), xattr('user.b', '2')] });
  test.each([
    ['new', 'right', serializeFileXattrs(object.header.xattrs)],
    ['headerForm', 'cut short', serializeFileXattrs(object.header.xattrs).subarray(0, -1)],
    ['checksumDiffers', 'empty', new Uint8Array(0)],
    ['xattrs', 'larger than any header', new Uint8Array(1_048_577)],
  ])('%s: a link file that is %s', async (status, _name, bytes) => {
    await using at = await withSource();
    await writeFile(at.source('o'), object.content, { mode: 0o644 });
    await writeFile(at.source('x'), bytes);
    const options: LocalOptions = { mode: 'bare-split-xattrs', xattrsPaths: [at.source('x')] };
    expect(await ingestOne(at.store, at.source('o'), object, options)).toMatchObject({ status });
  });

  test('a link file that is missing', async () => {
    await using at = await withSource();
    await writeFile(at.source('o'), object.content, { mode: 0o644 });
    const options: LocalOptions = { mode: 'bare-split-xattrs', xattrsPaths: [at.source('x')] };
    expect(await ingestOne(at.store, at.source('o'), object, options)).toMatchObject({
      status: 'systemCall',
      errno: 2,
      step: 'read source attributes',
    });
  });
});

describe('any mode', () => {
  test.each(MODES.filter((mode) => mode !== 'bare-split-xattrs'))(
    '%s: an object that is missing, and one that is a directory',
    async (mode) => {
      await using at = await withSource();
      const object = makeObject(makeContent(500));
      await mkdir(at.source('d'));
      const rows = await ingest(at.store, [at.source('none'), at.source('d')], [object.checksum, object.checksum], {
        mode,
      });
      expect(rows).toMatchObject([{ status: 'systemCall', errno: 2, step: 'open source' }, { status: 'localForm' }]);
    },
  );

  test('a file that is longer than the file system says', async () => {
    await using at = await withSource();
    // proc: a size of 0, and content
    for (const mode of ['bare', 'archive', 'bare-user-only'] as const)
      expect(await ingestOne(at.store, '/proc/self/status', makeObject(makeContent(1)), { mode })).toMatchObject({
        status: 'localChanged',
      });
  });

  test.each([5000, 400_000])('content that does not fit the name (%i bytes)', async (size) => {
    await using at = await withSource();
    const object = makeObject(makeContent(size));
    const wrong = object.content.slice();
    wrong[size >> 1] ^= 1;
    await writeFile(at.source('o'), wrong, { mode: 0o644 });
    for (const link of ['none', 'reflink', 'hard'] as LinkMode[])
      expect(await ingestOne(at.store, at.source('o'), object, { mode: 'bare', link })).toMatchObject({
        status: 'checksumDiffers',
      });
    expect(await at.store.list()).toEqual([]);
  });

  test('a sparse file of 300 MB takes little memory', async () => {
    await using at = await withSource();
    await writeFile(at.source('o'), '', { mode: 0o644 });
    await truncate(at.source('o'), 300_000_000);
    const before = process.memoryUsage().rss;
    const wrong = { checksum: new Uint8Array(32) };
    expect(await ingestOne(at.store, at.source('o'), wrong, { mode: 'bare', link: 'hard' })).toMatchObject({
      status: 'checksumDiffers',
      size: 300_000_000,
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
  });
});

describe('adopt', () => {
  test.each([10, 5000, 400_000])('finds the checksum and stores (%i bytes)', async (size) => {
    await using at = await withSource();
    const object = makeObject(makeContent(size), { uid: 3, mode: 0o100711, xattrs: [xattr('user.x', 'y')] });
    await writeFile(at.source('any name'), object.content);
    const contentHeader = serializeContentHeader(object.header);
    const [row] = rowsOf(await at.store.engine.adopt([at.source('any name')], [contentHeader]), 'sha512');
    expect(row.checksum).toBe(Buffer.from(object.checksum).toString('hex'));
    expect(row.status).toBe(size <= 128 ? 'inline' : 'new');
    expect(row.data).toEqual(size <= 128 ? concat(object.archiveHeader, object.content) : object.archiveHeader);
    if (size > 128) expect(await at.store.list()).toEqual([objectPathOf('sha512', object.content)]);
  });

  test('refuses headers that are not those of regular files', async () => {
    await using at = await withSource();
    await writeFile(at.source('f'), 'x');
    const good = serializeContentHeader(makeObject(new Uint8Array(1)).header);
    const headers = [
      serializeContentHeader(makeSymlink('x').header),
      good.subarray(0, -1),
      concat(good, Uint8Array.of(0)),
      new Uint8Array(0),
    ];
    const rows = rowsOf(
      await at.store.engine.adopt(
        headers.map(() => at.source('f')),
        headers,
      ),
      'sha512',
    );
    expect(rows.map(({ status }) => status)).toEqual(['fileType', 'headerLength', 'headerLength', 'headerLength']);
  });
});

test('wrong arguments are TypeErrors', async () => {
  await using store = await makeStore();
  const local =
    (...args: unknown[]) =>
    () =>
      (store.engine.local as (...args: unknown[]) => unknown).apply(store.engine, args);
  const sum = new Uint8Array(32);
  expect(local(['x'], sum)).toThrow(TypeError);
  expect(local(['x'], sum, {})).toThrow('mode must be a string');
  expect(local(['x'], sum, { mode: 'bar' })).toThrow('repository mode');
  expect(local(['x'], sum, { mode: 'bare', link: 'soft' })).toThrow('none, reflink, hard or hard-sealed');
  expect(local(['x\0y'], sum, { mode: 'bare' })).toThrow('NUL');
  expect(local(['x'], sum, { mode: 'bare-split-xattrs' })).toThrow('array');
  expect(local(['x'], sum, { mode: 'bare-split-xattrs', xattrsPaths: [] })).toThrow('as many');
  expect(local([7], sum, { mode: 'bare' })).toThrow(TypeError);
  await expect(stat(store.objects)).resolves.toBeDefined();
});
