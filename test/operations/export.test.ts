/** Export in batches: what the addon does not do is done or explained one by one, and what it writes is what was hashed. */

import { mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
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
