/** The order in which things get names, and what a failure in between leaves. */

import { beforeEach, describe, expect, test, vi } from 'vitest';

const calls: string[] = [];
/** The call that fails, counted from 1; 0: none. */
let failing = 0;

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:fs/promises')>();
  const watch =
    <Arguments extends unknown[], Result>(name: string, call: (...args: Arguments) => Promise<Result>) =>
    (...args: Arguments): Promise<Result> => {
      calls.push(`${name} ${args.at(-1)}`);
      if (calls.length === failing)
        return Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC', errno: -28 }));
      return call(...args);
    };
  const watched = {
    ...real,
    symlink: watch('symlink', real.symlink),
    rename: watch('rename', real.rename),
    link: watch('link', real.link),
  };
  return { ...watched, default: watched };
});

const { readdir } = await import('node:fs/promises');
const { NoSpaceError } = await import('../../src/errors.ts');
const { checkRepository } = await import('../../src/operations/fsck.ts');
const { serializeSplitstream } = await import('../../src/formats/splitstream.ts');
const { nodeZstd } = await import('../../src/native.ts');
const { initRepository } = await import('../../src/store/init.ts');
const { publish, unpublishStream } = await import('../../src/store/publish.ts');
const { openRepository, Repository } = await import('../../src/store/repository.ts');
const { makeTemporaryDirectory } = await import('../support/temporary-directory.ts');

type Repo = Awaited<ReturnType<typeof openRepository>>;

async function withRepository(use: (repo: Repo) => Promise<void>): Promise<void> {
  await using directory = await makeTemporaryDirectory('memory');
  const path = directory.join('repository');
  await initRepository(path, { algorithm: 'sha256', insecure: true });
  await using repo = await openRepository(path, { lock: 'shared' });
  await use(repo);
}

async function storeStream(repo: Repo, content: string) {
  const bytes = await serializeSplitstream(
    {
      algorithm: repo.algorithm,
      contentType: 0n,
      streamSize: content.length,
      objectRefs: new Uint8Array(0),
      namedRefs: new Map(),
      content: Buffer.from(content),
    },
    nodeZstd,
  );
  return (await repo.objects.store(bytes)).id;
}

beforeEach(() => {
  calls.length = 0;
  failing = 0;
});

test('one barrier, then first-level links, then refs', () =>
  withRepository(async (repo) => {
    const id = await storeStream(repo, 'one');
    const other = await storeStream(repo, 'two');
    const barrier = vi.spyOn(Repository.prototype, 'barrier').mockImplementation(async () => {
      calls.push('barrier');
    });
    calls.length = 0;
    await publish(repo, {
      streamRefs: [{ ref: 'ostree/r', name: 's' }],
      imageRefs: [{ ref: 'n', name: other }],
      streams: [{ name: 's', id }],
      images: [other],
    });
    const names = calls.map((call) => call.replace(repo.path, ''));
    expect(names).toEqual([
      'barrier',
      `symlink /images/${other}`,
      'symlink /streams/s',
      'symlink /images/refs/n',
      'symlink /streams/refs/ostree/r',
    ]);
    calls.length = 0;
    await publish(repo, { streams: [{ name: 's', id: other }] });
    expect(calls.map((call) => call.replace(repo.path, '').replace(/[a-zA-Z0-9]{12}$/, '…'))).toEqual([
      'barrier',
      'symlink /streams/s',
      'symlink /.symlink-…',
      'rename /streams/s',
    ]);
    barrier.mockRestore();
  }));

test('a stream is taken back ref first', () =>
  withRepository(async (repo) => {
    const id = await storeStream(repo, 'one');
    await publish(repo, { streams: [{ name: 's', id }], streamRefs: [{ ref: 'r', name: 's' }] });
    await unpublishStream(repo, 's', 'r');
    expect(await Array.fromAsync(repo.streams.entries())).toEqual([]);
    await unpublishStream(repo, 's', 'r');
  }));

describe('a failure at any link or rename', () => {
  test('leaves no temporary and no half state, and the next try succeeds', () =>
    withRepository(async (repo) => {
      const before = await storeStream(repo, 'before');
      const publication = async (content: string) => {
        const id = await storeStream(repo, content);
        const image = await storeStream(repo, `image of ${content}`);
        await publish(repo, {
          streams: [{ name: 's', id }],
          images: [image],
          streamRefs: [{ ref: 'a/r', name: 's' }],
          imageRefs: [{ ref: 'n', name: image }],
        });
        return id;
      };
      await publish(repo, { streams: [{ name: 's', id: before }], streamRefs: [{ ref: 'a/r', name: 's' }] });
      const checkNames = async (): Promise<void> => {
        const { findings } = await checkRepository(repo);
        // what stands for an image here is none; only names matter
        expect(findings.filter(({ kind }) => kind !== 'image-invalid')).toEqual([]);
        expect((await readdir(repo.path)).filter((name) => name.startsWith('.'))).toEqual([]);
      };
      let failures = 0;
      for (let at = 1; ; at++) {
        calls.length = 0;
        failing = at;
        const result = await publication(`attempt ${at}`).catch((error: unknown) => {
          expect(error).toBeInstanceOf(NoSpaceError);
          failures++;
        });
        failing = 0;
        await checkNames();
        const current = await repo.streams.resolve('s');
        if (result === undefined) expect(current).toBeDefined();
        else {
          expect(current).toBe(result);
          break;
        }
      }
      expect(failures).toBeGreaterThanOrEqual(6);
    }));
});
