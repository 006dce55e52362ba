/** Garbage collection of repositories that cfsctl wrote: the same paths go, wherever cfsctl is right. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CfsError, ExitCode } from '../../src/errors.ts';
import type { ObjectId } from '../../src/formats/ids.ts';
import { checkRepository } from '../../src/operations/fsck.ts';
import { collectGarbage, type GcOptions, type GcReport } from '../../src/operations/gc.ts';
import { openRepository } from '../../src/store/repository.ts';
import {
  applyOperations,
  compareSnapshots,
  readRepositoryVectors,
  snapshot,
  unpackRepository,
} from '../support/composefs-repositories.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const vectors = readRepositoryVectors();

async function gc(path: string, options: GcOptions = {}): Promise<GcReport> {
  await using repo = await openRepository(path, { lock: options.dryRun ? 'shared' : 'exclusive' });
  return await collectGarbage(repo, options);
}

async function expectClean(path: string): Promise<void> {
  await using repo = await openRepository(path, { lock: 'shared' });
  expect((await checkRepository(repo)).findings).toEqual([]);
}

const TEMPORARIES = ['.symlink-abcdefghijkl', 'objects/.tmp-object-abcdefghijkl'];
const rootsOf = (gcArguments: string[]): string[] => gcArguments.filter((argument) => argument !== '-r');
const countOf = (stdout: string, pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0);

describe.each(vectors.gc.filter(({ should }) => should.same))(
  '$repository: $id',
  ({ id, repository, operations, gc_arguments, run, vanished }) => {
    test('removes what cfsctl removes, and a dry run says so before', async () => {
      await using directory = await makeTemporaryDirectory('memory');
      const path = await unpackRepository(`repos/${repository}.tar.gz`, directory.path);
      await applyOperations(path, operations);
      const before = await snapshot(path);
      const warnings: string[] = [];
      const progress = { update() {}, warn: (message: string) => warnings.push(message) };
      const roots = rootsOf(gc_arguments);
      const announced = await gc(path, { roots, dryRun: true, progress });
      expect(await snapshot(path)).toEqual(before);
      const report = await gc(path, { roots, progress });
      expect(report).toEqual({ ...announced, dryRun: false });
      const temporaries = id === 'leftovers-2' ? TEMPORARIES : [];
      expect(compareSnapshots(before, await snapshot(path))).toEqual({
        vanished: [...vanished, ...temporaries].sort(),
        appeared: [],
        changed: [],
      });
      expect(report).toMatchObject({
        objectsRemoved: countOf(run.stdout, /Objects: (\d+) removed/),
        bytesRemoved: countOf(run.stdout, /removed \((\d+) bytes\)/),
        imagesRemoved: countOf(run.stdout, /symlinks: (\d+) images/),
        streamsRemoved: countOf(run.stdout, /images, (\d+) streams/),
        temporariesRemoved: temporaries.length,
      });
      const inObjects = [...before.keys()].filter(
        (path) => path.split('/').length === 3 && path.startsWith('objects/'),
      );
      expect(report.objectsKept).toBe(inObjects.length - report.objectsRemoved);
      const unknown = roots.filter((root) => root === 'nothing');
      expect(warnings).toEqual([...unknown, ...unknown].map((root) => expect.stringContaining(root)));
      await expectClean(path);
      expect(await gc(path, { roots })).toMatchObject({ objectsRemoved: 0, streamsRemoved: 0, imagesRemoved: 0 });
    });
  },
);

describe.each(vectors.gc.filter(({ should }) => !should.same))(
  '$repository: $id',
  ({ id, repository, operations, should }) => {
    const isRefused = should.must_fail || id === 'dangling-ref';
    test(isRefused ? 'is refused before anything is deleted' : 'deletes nothing that is needed', async () => {
      await using directory = await makeTemporaryDirectory('memory');
      const path = await unpackRepository(`repos/${repository}.tar.gz`, directory.path);
      await applyOperations(path, operations);
      const before = await snapshot(path);
      if (isRefused) {
        const failure = expect.objectContaining({ exitCode: ExitCode.corrupt });
        await expect(gc(path, { dryRun: true })).rejects.toThrow(failure);
        await expect(gc(path)).rejects.toThrow(failure);
        expect(await snapshot(path)).toEqual(before);
      } else {
        const noChange = vectors.gc.find((other) => other.id === 'no-change' && other.repository === repository);
        await gc(path);
        const strays = id === 'leftovers' ? TEMPORARIES : [];
        expect(compareSnapshots(before, await snapshot(path))).toEqual({
          vanished: [...(noChange?.vanished ?? []), ...strays].sort(),
          appeared: [],
          changed: [],
        });
      }
    });
  },
);

describe.each(Object.entries(vectors.oci.repositories))('%s', (_, { tarball, gc: cases }) => {
  test.each(cases)('$id', async ({ removed_first, vanished }) => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository(tarball, directory.path);
    for (const removed of removed_first) await rm(join(path, removed));
    const before = await snapshot(path);
    await gc(path);
    expect(compareSnapshots(before, await snapshot(path))).toEqual({
      vanished: vanished.sort(),
      appeared: [],
      changed: [],
    });
    await expectClean(path);
  });
});

describe.each(Object.keys(vectors.repositories).filter((name) => !name.endsWith('-bare')))('%s', (name) => {
  test('is clean, and collected without losing anything that a ref reaches', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository(`repos/${name}.tar.gz`, directory.path);
    await expectClean(path);
    expect(await gc(path)).toMatchObject({ objectsRemoved: 3, streamsRemoved: 0, imagesRemoved: 0 });
    await expectClean(path);
  });
});

describe('meta.json', () => {
  test.each(vectors.features.cases.filter(({ meta_json }) => typeof meta_json === 'string'))(
    '$id',
    async ({ meta_json, should }) => {
      await using directory = await makeTemporaryDirectory('memory');
      const path = await unpackRepository('features/base.tar.gz', directory.path);
      await applyOperations(path, [
        { op: 'write', path: 'meta.json', data_hex: Buffer.from(meta_json as string).toString('hex') },
      ]);
      const before = await snapshot(path);
      const collected = await gc(path).then(
        () => 'accept',
        (error: unknown) => {
          expect(error).toBeInstanceOf(CfsError);
          return 'reject';
        },
      );
      if (should.write !== 'may-reject') expect(collected).toBe(should.write);
      if (collected === 'reject') expect(await snapshot(path)).toEqual(before);
    },
  );
});

test.each(vectors.old_format)('$id gets its meta.json before it is collected', async ({ tarball }) => {
  await using directory = await makeTemporaryDirectory('memory');
  const path = await unpackRepository(tarball, directory.path);
  const before = await snapshot(path);
  expect(await gc(path, { dryRun: true })).toMatchObject({ objectsRemoved: 0 });
  expect(await snapshot(path)).toEqual(before);
  await gc(path);
  expect(compareSnapshots(before, await snapshot(path))).toEqual({
    vanished: [],
    appeared: ['meta.json'],
    changed: [],
  });
  await expectClean(path);
});

test.each(vectors.hostile_streams.streams)(
  'hostile stream $id: collected or refused, never more',
  async ({ object }) => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository(vectors.hostile_streams.tarball, directory.path);
    const before = await snapshot(path);
    await using repo = await openRepository(path, { lock: 'shared' });
    const [name] = (await Array.fromAsync(repo.streams.list())).filter(({ id }) => id === (object as ObjectId));
    try {
      await collectGarbage(repo, { dryRun: true, roots: [name.name] });
    } catch (error) {
      expect(error).toMatchObject({ exitCode: ExitCode.corrupt });
    }
    expect(await snapshot(path)).toEqual(before);
  },
);
