/** Sharing data with a local source: reflinks, hard links, and when it must be a copy. Needs root, to mount and to chown. */

import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Ingest, IngestOptions, LinkMode, LocalMode } from '../../src/native.ts';
import { runChecked } from '../support/run-command.ts';
import { type FileObject, makeContent, makeObject, objectPathOf } from './archive-object.ts';
import { addon, type Row, rowsOf } from './ingest-rows.ts';
import { makeStore } from './ingest-support.ts';
import { mountBtrfs, mountTmpfs } from './small-file-systems.ts';

const SIZES = [1000, 400_000]; // small objects and those that pass through a window

/** Source and store side by side in one directory. */
class Pair implements AsyncDisposable {
  readonly objects: string;
  readonly source: string;
  readonly engine: Ingest;
  constructor(directory: string, options: Partial<IngestOptions> = {}) {
    this.objects = join(directory, 'objects');
    this.source = join(directory, 'source.file');
    this.engine = new addon.Ingest({ objectsPath: this.objects, algorithm: 'sha512', secure: false, ...options });
  }
  static async make(directory: string, options: Partial<IngestOptions> = {}): Promise<Pair> {
    await mkdir(join(directory, 'objects'), { recursive: true });
    return new Pair(directory, options);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.engine.close();
  }
  async ingest({ checksum }: FileObject, link: LinkMode, mode: LocalMode = 'bare'): Promise<Row> {
    return rowsOf(await this.engine.local([this.source], checksum, { mode, link }), 'sha512')[0];
  }
  stored({ content }: FileObject): string {
    return join(this.objects, objectPathOf('sha512', content));
  }
}

describe.each(SIZES)('hard links (%i bytes)', (size) => {
  const object = makeObject(makeContent(size));

  test('one inode, two names', async () => {
    await using store = await makeStore();
    await using pair = await Pair.make(store.directory.path);
    await writeFile(pair.source, object.content, { mode: 0o644 });
    expect(await pair.ingest(object, 'hard')).toMatchObject({ status: 'new', how: 'hardLinked' });
    expect((await stat(pair.stored(object))).ino).toBe((await stat(pair.source)).ino);
    expect(await pair.ingest(object, 'hard')).toMatchObject({ status: 'present', how: 'nothing' });
    expect((await stat(pair.source)).nlink).toBe(2);
  });

  test('a damaged object is replaced by the link', async () => {
    await using store = await makeStore();
    await using pair = await Pair.make(store.directory.path);
    await writeFile(pair.source, object.content, { mode: 0o644 });
    await mkdir(dirname(pair.stored(object)));
    await writeFile(pair.stored(object), '');
    expect(await pair.ingest(object, 'hard')).toMatchObject({ status: 'new', how: 'hardLinked' });
    expect((await stat(pair.stored(object))).ino).toBe((await stat(pair.source)).ino);
    expect(await store.list()).toHaveLength(1);
  });

  test.each(['none', 'reflink'] as LinkMode[])('not for link: %s', async (link) => {
    await using store = await makeStore();
    await using pair = await Pair.make(store.directory.path);
    await writeFile(pair.source, object.content, { mode: 0o644 });
    expect(await pair.ingest(object, link)).toMatchObject({ status: 'new', how: 'written' });
    expect((await stat(pair.source)).nlink).toBe(1);
  });

  const unfit: [name: string, mode: number, uid: number][] = [
    ['somebody else owns', 0o644, 1234],
    ['its group may write', 0o664, 0],
    ['everybody may write', 0o646, 0],
    ['is set-user-id', 0o4755, 0],
    ['is set-group-id', 0o2755, 0],
  ];
  test.each(unfit)('not of a file that %s', async (_name, mode, uid) => {
    await using store = await makeStore();
    await using pair = await Pair.make(store.directory.path);
    const owned = makeObject(object.content, { uid, mode: 0o100000 + mode });
    await writeFile(pair.source, owned.content);
    await chown(pair.source, uid, 0);
    await chmod(pair.source, mode);
    expect(await pair.ingest(owned, 'hard')).toMatchObject({ status: 'new', how: 'written' });
    expect((await stat(pair.source)).nlink).toBe(1);
  });

  test('not from a source of another mode', async () => {
    await using store = await makeStore();
    await using pair = await Pair.make(store.directory.path);
    await writeFile(pair.source, object.content, { mode: 0o644 });
    expect(await pair.ingest(object, 'hard', 'bare-user-only')).toMatchObject({ status: 'new', how: 'written' });
  });

  test('not into a secure store', async () => {
    await using store = await makeStore();
    await using pair = await Pair.make(store.directory.path, { secure: true });
    await writeFile(pair.source, object.content, { mode: 0o644 });
    expect(await pair.ingest(object, 'hard')).toMatchObject({ status: 'systemCall', step: 'enable fs-verity' });
    expect((await stat(pair.source)).nlink).toBe(1);
  });

  test('not from another file system', async () => {
    await using other = await mountTmpfs('2m');
    await using store = await makeStore();
    await using pair = await Pair.make(store.directory.path);
    const source = join(other.path, 'o.file');
    await writeFile(source, object.content, { mode: 0o644 });
    const batch = await pair.engine.local([source], object.checksum, { mode: 'bare', link: 'hard' });
    expect(rowsOf(batch, 'sha512')).toMatchObject([{ status: 'new', how: 'written' }]);
  });

  test('a source that cannot have another name is copied', async () => {
    await using store = await makeStore();
    await using pair = await Pair.make(store.directory.path);
    await writeFile(pair.source, object.content, { mode: 0o644 });
    await runChecked('chattr', ['+i', pair.source]); // immutable: EPERM
    try {
      expect(await pair.ingest(object, 'hard')).toMatchObject({ status: 'new', how: 'written' });
    } finally {
      await runChecked('chattr', ['-i', pair.source]);
    }
  });
});

describe.each(SIZES)('reflinks (%i bytes)', (size) => {
  const object = makeObject(makeContent(size));

  test.each(['reflink', 'hard'] as LinkMode[])('link: %s shares data where the file system can', async (link) => {
    await using disk = await mountBtrfs();
    await using pair = await Pair.make(disk.path);
    await writeFile(pair.source, object.content, { mode: 0o644 });
    expect(await pair.ingest(object, link)).toMatchObject({ status: 'new', how: 'reflinked' });
    expect((await stat(pair.source)).nlink).toBe(1);
    // what happens to the source is no concern of the object
    await writeFile(pair.source, 'changed');
    expect(await addon.fsVerityFile(pair.stored(object), 'sha512')).toEqual(addon.fsVerity('sha512', object.content));
    expect((await stat(pair.stored(object))).mode & 0o777).toBe(0o644);
  });

  test('link: none does not', async () => {
    await using disk = await mountBtrfs();
    await using pair = await Pair.make(disk.path);
    await writeFile(pair.source, object.content, { mode: 0o644 });
    expect(await pair.ingest(object, 'none')).toMatchObject({ status: 'new', how: 'written' });
  });

  test('with named temporaries', async () => {
    await using disk = await mountBtrfs();
    await using pair = await Pair.make(disk.path, { namedTemporaries: true });
    await writeFile(pair.source, object.content, { mode: 0o644 });
    expect(await pair.ingest(object, 'reflink')).toMatchObject({ status: 'new', how: 'reflinked' });
    const wrong = { ...object, checksum: new Uint8Array(32) };
    expect(await pair.ingest(wrong, 'reflink')).toMatchObject({ status: 'checksumDiffers' });
    expect(await pair.ingest(object, 'reflink')).toMatchObject({ status: 'present' });
  });
});

describe('a full file system', () => {
  test.each([
    ['unnamed', false, 60_000],
    ['named', true, 60_000],
    ['unnamed', false, 400_000],
    ['named', true, 400_000],
  ])('%s temporaries: ENOSPC for those that do not fit, nothing left of them', async (_, namedTemporaries, size) => {
    await using disk = await mountTmpfs('200k');
    await using pair = await Pair.make(disk.path, { namedTemporaries });
    const objects = [100_000, size * 2, 1000].map((bytes) => makeObject(makeContent(bytes, bytes)));
    const rows: Row[] = [];
    for (const { body, checksum } of objects)
      rows.push(...rowsOf(await pair.engine.archive([body], checksum), 'sha512'));
    expect(rows).toMatchObject([
      { status: 'new' },
      { status: 'systemCall', errno: 28, step: 'write' },
      { status: 'new' },
    ]);
    expect(addon.fileSystem(disk.path).freeBytes).toBeGreaterThan(80_000);
  });
});
