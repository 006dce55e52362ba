/** Objects: what is read was verified, what is stored is complete. */

import { mkdir, readdir, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DigestMismatchError, FormatError, LimitError, MissingObjectError } from '../../src/errors.ts';
import { fsVerityDigest } from '../../src/formats/fs-verity.ts';
import { type Algorithm, idToBytes, type ObjectId, objectIdFromBytes } from '../../src/formats/ids.ts';
import { initRepository } from '../../src/store/init.ts';
import { openRepository, type Repository } from '../../src/store/repository.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

async function withRepository(use: (repo: Repository) => Promise<void>, algorithm: Algorithm = 'sha256') {
  await using directory = await makeTemporaryDirectory();
  const path = directory.join('repository');
  await initRepository(path, { algorithm, insecure: true });
  await using repo = await openRepository(path, { lock: 'shared' });
  await use(repo);
}

const CONTENT = Buffer.from('hello world');
const IDS = {
  sha256: '1e2eaa4202d750a41174ee454970b92c1bc2f925b1e35076d8c7d5f56362ba64',
  sha512:
    '18430270729d162d4e469daca123ae61893db4b0583d8f7081e3bf4f92b88ba514e7982f10733fb6aa895195c5ae8fd2eb2c47a8be05513ce5a0c51a6f570409',
} as Record<Algorithm, ObjectId>;
const LARGE = Buffer.alloc(1_000_003, 'fs-verity digests of more than one level\n');
const anySize = { maxBytes: 1 << 24 };

describe.each(['sha256', 'sha512'] as const)('%s', (algorithm) => {
  test('a stored object lies under its fs-verity digest and is read back', () =>
    withRepository(async (repo) => {
      expect(await repo.objects.store(CONTENT)).toEqual({ id: IDS[algorithm], isNew: true });
      expect(await repo.objects.store(CONTENT)).toEqual({ id: IDS[algorithm], isNew: false });
      expect(Buffer.from(await repo.objects.read(IDS[algorithm], anySize))).toEqual(CONTENT);
      expect(await repo.objects.sizeOf(IDS[algorithm])).toBe(CONTENT.length);
      expect(await repo.objects.verify(IDS[algorithm])).toEqual({ sizeBytes: CONTENT.length });
      expect(await Array.fromAsync(repo.objects.list())).toEqual([
        { path: `objects/${IDS[algorithm].slice(0, 2)}/${IDS[algorithm].slice(2)}`, id: IDS[algorithm], kind: 'file' },
      ]);
    }, algorithm));

  test('an object written in pieces is published under its digest', () =>
    withRepository(async (repo) => {
      const id = objectIdFromBytes(fsVerityDigest(algorithm, LARGE));
      await using temporary = await repo.objects.createTemporary();
      for (let at = 0; at < LARGE.length; at += 100_000) await temporary.write(LARGE.subarray(at, at + 100_000));
      expect(await temporary.publish(id)).toBe(true);
      expect(await repo.objects.verify(id)).toEqual({ sizeBytes: LARGE.length });
      expect(await repo.objects.store(LARGE)).toEqual({ id, isNew: false });
    }, algorithm));
});

test('a temporary that is given up leaves nothing behind', () =>
  withRepository(async (repo) => {
    {
      await using temporary = await repo.objects.createTemporary();
      await temporary.write(CONTENT);
    }
    expect(await readdir(repo.objects.root)).toEqual([]);
  }));

test('a damaged object is not read, and storing its content again repairs it', () =>
  withRepository(async (repo) => {
    const { id } = await repo.objects.store(LARGE);
    await truncate(repo.objects.path(id), 4096);
    await expect(repo.objects.read(id, anySize)).rejects.toThrow(DigestMismatchError);
    await expect(repo.objects.verify(id)).rejects.toThrow(DigestMismatchError);
    expect(await repo.objects.store(LARGE)).toEqual({ id, isNew: true });
    expect(Buffer.from(await repo.objects.read(id, anySize))).toEqual(LARGE);
    expect((await readdir(repo.objects.root)).filter((name) => name.startsWith('.'))).toEqual([]);
  }));

test('a larger object than expected is refused before it is read', () =>
  withRepository(async (repo) => {
    const { id } = await repo.objects.store(CONTENT);
    await expect(repo.objects.read(id, { maxBytes: CONTENT.length - 1 })).rejects.toThrow(LimitError);
  }));

test('what is missing is missing', () =>
  withRepository(async (repo) => {
    await expect(repo.objects.read(IDS.sha256, anySize)).rejects.toThrow(MissingObjectError);
    expect(await repo.objects.has(IDS.sha256)).toBe(false);
    expect(await repo.objects.sizeOf(IDS.sha256)).toBeUndefined();
    expect(repo.objects.sizeOfSync(IDS.sha256)).toBeUndefined();
    await repo.objects.remove(IDS.sha256);
  }));

test('sizes of many at once: what is missing or no file has none', () =>
  withRepository(async (repo) => {
    const [large, small] = [await repo.objects.store(LARGE), await repo.objects.store(CONTENT)];
    const directory = repo.objects.path('ab'.repeat(32) as ObjectId);
    await mkdir(directory, { recursive: true });
    const ids = [large.id, 'ff'.repeat(32), small.id, 'ab'.repeat(32), large.id].map((id) => idToBytes(id as ObjectId));
    const sizes = [LARGE.length, -1, CONTENT.length, -1, LARGE.length];
    expect([...(await repo.objects.sizesOf(Buffer.concat(ids)))]).toEqual(sizes);
    expect([...(await repo.objects.sizesOf(new Uint8Array(0)))]).toEqual([]);
  }));

describe('in place of an object', () => {
  const occupy = async (repo: Repository, make: (path: string) => Promise<unknown>): Promise<void> => {
    const path = repo.objects.path(IDS.sha256);
    await mkdir(dirname(path), { recursive: true });
    await make(path);
    await expect(repo.objects.read(IDS.sha256, anySize)).rejects.toThrow(FormatError);
    expect(await repo.objects.has(IDS.sha256)).toBe(false);
  };
  test('a directory is refused', () => withRepository((repo) => occupy(repo, (path) => mkdir(path))));
  test('a fifo is refused without waiting for a writer', () =>
    withRepository((repo) => occupy(repo, (path) => runChecked('mkfifo', [path]))));
  test('a symlink is refused, even to the right content', () =>
    withRepository((repo) =>
      occupy(repo, async (path) => {
        await writeFile(join(repo.objects.root, 'copy'), CONTENT);
        await symlink('../copy', path);
      }),
    ));
});

test('a two-digit directory that is a link to elsewhere is neither read nor written', () =>
  withRepository(async (repo) => {
    const { id } = await repo.objects.store(CONTENT);
    const fanout = join(repo.objects.root, id.slice(0, 2));
    await rename(fanout, join(repo.path, 'elsewhere'));
    await symlink('../elsewhere', fanout);
    await using again = await openRepository(repo.path, { lock: 'shared' });
    await expect(again.objects.read(id, anySize)).rejects.toThrow(FormatError);
    await expect(again.objects.sizeOf(id)).rejects.toThrow(FormatError);
  }));

test('names that are no objects are listed without an id', () =>
  withRepository(async (repo) => {
    await mkdir(join(repo.objects.root, 'ab'), { recursive: true });
    await mkdir(join(repo.objects.root, 'AB'));
    await writeFile(join(repo.objects.root, 'ab/short'), '');
    await writeFile(join(repo.objects.root, '.tmp-object-abcdefghijkl'), '');
    expect(await Array.fromAsync(repo.objects.list())).toEqual([
      { path: 'objects/ab/short', kind: 'file' },
      { path: 'objects/.tmp-object-abcdefghijkl', kind: 'file' },
      { path: 'objects/AB', kind: 'directory' },
    ]);
  }));
