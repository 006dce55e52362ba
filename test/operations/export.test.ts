/** Export in batches: what the addon does not do is done or explained one by one, and what it writes is what was hashed. */

import { chmod, lstat, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commitTree } from '../../src/operations/commit.ts';
import { type ExportMode, exportCommits } from '../../src/operations/export.ts';
import { pull } from '../../src/operations/pull.ts';
import { openSource } from '../../src/sources/open-source.ts';
import { initRepository } from '../../src/store/init.ts';
import { openRepository, type Repository } from '../../src/store/repository.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';

/** A little, one that passes in one piece, and one that passes in windows (more than 8 MiB). */
const FILES = { tiny: 10, small: 5000, large: 3 << 20, huge: (9 << 20) + 12345 };

let directory: TemporaryDirectory;
let repo: Repository;
beforeAll(async () => {
  directory = await makeTemporaryDirectory('memory');
  await mkdir(directory.join('tree/sub'), { recursive: true });
  for (const [name, size] of Object.entries(FILES))
    await writeFile(
      directory.join('tree/sub', name),
      Buffer.from(Uint32Array.from({ length: size }, (_, i) => (i * i) >>> 5)),
    );
  repo = await newRepository('repo');
  await commitTree(repo, { directory: directory.join('tree') }, { branch: 'b', noXattrs: true });
});
afterAll(async () => {
  await repo[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

async function newRepository(name: string): Promise<Repository> {
  await initRepository(directory.join(name), { algorithm: 'sha512', insecure: true });
  return openRepository(directory.join(name), { lock: 'shared' });
}

const MODES: ExportMode[] = ['archive', 'bare', 'bare-user'];

describe.each(MODES)('%s', (mode) => {
  test('a pull takes it back', async () => {
    const out = directory.join(`whole-${mode}`);
    const report = await exportCommits(repo, ['b'], out, { mode });
    expect(report).toMatchObject({ written: 8, present: 0 }); // four files, two dirtrees, their dirmeta, the commit
    expect(await exportCommits(repo, ['b'], out)).toMatchObject({ written: 0, present: 8 });
    await using back = await newRepository(`back-${mode}`);
    await using source = await openSource(out);
    const { results } = await pull(back, source, ['b']);
    expect(results[0]).toMatchObject({ commit: report.refs[0].commit, fetched: { files: 4 } });
    expect(await readdir(join(out, 'tmp'))).toEqual(['cache']);
  });

  test('objects of the repository stay, and new ones come beside them', async () => {
    const out = directory.join(`beside-${mode}`);
    await exportCommits(repo, ['b'], out, { mode });
    const objects = await allFiles(join(out, 'objects'));
    const inodes = async () => Promise.all(objects.map(async (path) => (await lstat(path)).ino));
    const before = await inodes();
    const [lost] = objects;
    await rm(lost);
    await writeFile(`${lost}-beside`, 'theirs'); // the directory stays, so that nothing can be moved as a whole there
    expect(await exportCommits(repo, ['b'], out)).toMatchObject({ written: 1, present: 7 });
    expect((await inodes()).slice(1)).toEqual(before.slice(1));
    expect(await readFile(`${lost}-beside`, 'utf8')).toBe('theirs');
    expect(await readdir(join(out, 'tmp'))).toEqual(['cache']);
  });

  test('directories of a repository that belongs to a group inherit from it', async () => {
    const out = directory.join(`group-${mode}`);
    await exportCommits(repo, ['b'], out, { mode });
    await rm(join(out, 'objects'), { recursive: true });
    await mkdir(join(out, 'objects'));
    await chmod(join(out, 'objects'), 0o2775);
    expect(await exportCommits(repo, ['b'], out)).toMatchObject({ written: 8 });
    for (const name of await readdir(join(out, 'objects')))
      expect((await lstat(join(out, 'objects', name))).mode & 0o2000, name).toBe(0o2000);
  });

  const damages: Array<[string, (path: string) => Promise<void>, string]> = [
    ['is missing', (path) => rm(path), 'CFS_MISSING_OBJECT'],
    ['is shorter', (path) => truncate(path, 100), 'CFS_DIGEST_MISMATCH'],
    ['is another', (path) => flipLast(path), 'CFS_DIGEST_MISMATCH'],
  ];
  test.each(damages)('content that %s is told, and nothing of it stays', async (story, damage, code) => {
    for (const name of ['small', 'large', 'huge'] as const) {
      await using damaged = await newRepository(`${story}-${mode}-${name}`);
      const { commit } = await commitTree(
        damaged,
        { directory: directory.join('tree') },
        { branch: 'b', noXattrs: true },
      );
      await damage(await objectOfSize(damaged, FILES[name]));
      const out = directory.join(`out-${story}-${mode}-${name}`);
      await expect(exportCommits(damaged, [commit], out, { mode })).rejects.toMatchObject({ code });
      expect(await readdir(join(out, 'tmp'))).toEqual(['cache']);
      expect(await readdir(join(out, 'objects'))).toEqual([]);
    }
  });
});

/** Sorted. */
async function allFiles(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ name, parentPath }) => join(parentPath, name))
    .sort();
}

async function flipLast(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length - 1] ^= 1;
  await writeFile(path, bytes);
}

async function objectOfSize({ objects }: Repository, sizeBytes: number): Promise<string> {
  for (const name of await readdir(objects.root, { recursive: true })) {
    const path = join(objects.root, name);
    const bytes = await readFile(path).catch(() => Buffer.alloc(0));
    if (bytes.length === sizeBytes) return path;
  }
  throw new Error(`there is no object of ${sizeBytes} bytes`);
}
