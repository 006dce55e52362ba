/** The store as it is where the addon could not be built: insecure repositories, every file synced, other ways to lock. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { AddonNeededError, DigestMismatchError } from '../../src/errors.ts';
import { fsVerityDigest } from '../../src/formats/fs-verity.ts';
import { objectIdFromBytes } from '../../src/formats/ids.ts';
import { native } from '../../src/native.ts';
import { checkRepository } from '../../src/operations/fsck.ts';
import { collectGarbage } from '../../src/operations/gc.ts';
import { initRepository } from '../../src/store/init.ts';
import { publish } from '../../src/store/publish.ts';
import { openRepository } from '../../src/store/repository.ts';
import {
  applyOperations,
  compareSnapshots,
  readRepositoryVectors,
  snapshot,
  unpackRepository,
} from '../support/composefs-repositories.ts';
import { runCommand } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

// before anything is imported that may ask for the addon
vi.hoisted(() => {
  process.env.CFS_OSTREE_NO_ADDON = '1';
});
afterAll(() => {
  delete process.env.CFS_OSTREE_NO_ADDON;
});

const vectors = readRepositoryVectors();

test('there is none here', () => {
  expect(native).toBeUndefined();
});

test.each(['sha256', 'sha512'] as const)('objects, links and refs of %s are written and read', async (algorithm) => {
  await using directory = await makeTemporaryDirectory();
  const path = directory.join('repository');
  await initRepository(path, { algorithm, insecure: true });
  await using repo = await openRepository(path, { lock: 'exclusive', write: true });
  const bytes = Buffer.alloc(300_001, 'without the addon');
  const { id, isNew } = await repo.objects.store(bytes);
  expect([id, isNew]).toEqual([objectIdFromBytes(fsVerityDigest(algorithm, bytes)), true]);
  await publish(repo, { images: [id], imageRefs: [{ ref: 'name', name: id }] });
  expect(Buffer.from(await repo.objects.read(id, { maxBytes: bytes.length }))).toEqual(bytes);
  expect(await repo.objects.store(bytes)).toEqual({ id, isNew: false });
  await truncate(repo.objects.path(id), 5);
  await expect(repo.objects.verify(id)).rejects.toThrow(DigestMismatchError);
  expect(await repo.objects.store(bytes)).toEqual({ id, isNew: true });
  await repo.objects.verify(id);
  const paths = [...(await snapshot(path)).keys()];
  expect(paths.filter((name) => name.includes('.tmp') || name.includes('.symlink'))).toEqual([]);
});

test('a secure repository is not made, and one that seems to be secure is not opened', async () => {
  await using directory = await makeTemporaryDirectory();
  const path = directory.join('repository');
  await expect(initRepository(path, {})).rejects.toThrow(AddonNeededError);
  await initRepository(path, { insecure: true });
  await using _repo = await openRepository(path, { lock: 'shared' });
});

describe('repositories of cfsctl', () => {
  test.each(vectors.fsck)('damage is found: $id', async ({ repository, operations, should }) => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository(`repos/${repository}.tar.gz`, directory.path, 'fk');
    await applyOperations(path, operations);
    await using repo = await openRepository(path, { lock: 'shared', tolerant: true });
    const { ok, findings } = await checkRepository(repo);
    expect(ok).toBe(should.exit === 0);
    for (const { kind } of should.findings) expect(findings.map((finding) => finding.kind)).toContain(kind);
  });

  test.each(vectors.gc.filter(({ should }) => should.same))('garbage of $repository goes: $id', async (item) => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository(`repos/${item.repository}.tar.gz`, directory.path);
    await applyOperations(path, item.operations);
    const before = await snapshot(path);
    await using repo = await openRepository(path, { lock: 'exclusive', write: true });
    const roots = item.gc_arguments.filter((argument) => argument !== '-r');
    const { temporariesRemoved } = await collectGarbage(repo, { roots });
    const { vanished, appeared, changed } = compareSnapshots(before, await snapshot(path));
    expect(vanished.length).toBe(item.vanished.length + temporariesRemoved);
    expect(vanished).toEqual(expect.arrayContaining(item.vanished));
    expect([appeared, changed]).toEqual([[], []]);
  });
});

describe('locks', () => {
  /** Tries for the lock in a process of its own, with the fs-ext package or without. */
  async function tryLock(path: string, mode: string, hideFsExt: boolean): Promise<string> {
    const script = `
      import { open } from 'node:fs/promises';
      import Module from 'node:module';
      const load = Module._load;
      if (${hideFsExt}) Module._load = (name, ...rest) => { if (name === 'fs-ext') throw new Error('hidden'); return load(name, ...rest); };
      const { RepositoryLock } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/store/lock.ts'))});
      const directory = await open(process.argv[1], 'r');
      try {
        const lock = await RepositoryLock.acquire(directory, process.argv[1], process.argv[2], { timeoutMs: 0 });
        console.log(lock.effective ? 'held' : 'no way to lock');
        await new Promise((resolve) => process.stdin.on('end', resolve).resume());
      } catch (error) {
        console.log(error.code);
      }
      await directory.close();`;
    const result = await runCommand(process.execPath, ['--input-type=module', '-e', script, path, mode], {
      env: { ...process.env, CFS_OSTREE_NO_ADDON: '1' },
    });
    return (result.stdout + result.stderr).trim();
  }

  test.each([
    ['fs-ext', false],
    ['the flock program', true],
  ] as const)('by %s', async (_, hideFsExt) => {
    await using directory = await makeTemporaryDirectory('memory');
    expect(await tryLock(directory.path, 'exclusive', hideFsExt)).toBe('held');
    const holder = spawn('flock', ['-s', directory.path, 'sh', '-c', 'echo held; cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    expect(await tryLock(directory.path, 'shared', hideFsExt)).toBe('held');
    expect(await tryLock(directory.path, 'exclusive', hideFsExt)).toBe('CFS_LOCKED');
    holder.stdin.end();
    await once(holder, 'close');
    expect(await tryLock(directory.path, 'exclusive', hideFsExt)).toBe('held');
  });
});
