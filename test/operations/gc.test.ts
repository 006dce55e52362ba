/** Garbage collection where it goes further than cfsctl: images, history, our own streams, and what a crash leaves. */

import { lutimes, readdir, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ExitCode, LockedError } from '../../src/errors.ts';
import type { ByteString } from '../../src/formats/byte-string.ts';
import { CommitMap } from '../../src/formats/commit-map.ts';
import { CommitMapBuilder } from '../../src/formats/commit-map-builder.ts';
import { serializeErofs } from '../../src/formats/erofs/writer.ts';
import { type Checksum, idToBytes, type ObjectId, objectRelativePath, toHex } from '../../src/formats/ids.ts';
import { serializeCommit } from '../../src/formats/ostree/commit.ts';
import { serializeDirmeta } from '../../src/formats/ostree/dirmeta.ts';
import { serializeDirtree } from '../../src/formats/ostree/dirtree.ts';
import {
  CONTENT_TYPE_COMMITMETA,
  CONTENT_TYPE_OSTREE_COMMIT,
  CONTENT_TYPE_PARTIAL,
  serializeSplitstream,
} from '../../src/formats/splitstream.ts';
import type { Directory } from '../../src/formats/tree.ts';
import { nodeHashing, nodeZstd } from '../../src/native.ts';
import { checkRepository } from '../../src/operations/fsck.ts';
import { collectGarbage, PARTIAL_LIFETIME_MS } from '../../src/operations/gc.ts';
import { initRepository } from '../../src/store/init.ts';
import {
  commitmetaRefPath,
  commitmetaStreamName,
  commitStreamName,
  ostreeRefPath,
  partialRefPath,
  partialStreamName,
} from '../../src/store/ostree-refs.ts';
import { publish } from '../../src/store/publish.ts';
import { openRepository, type Repository } from '../../src/store/repository.ts';
import { appendToSideIndex } from '../../src/store/side-index.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

async function withRepository(use: (repo: Repository) => Promise<void>): Promise<void> {
  await using directory = await makeTemporaryDirectory('memory');
  const path = directory.join('repository');
  await initRepository(path, { algorithm: 'sha256', insecure: true });
  await using repo = await openRepository(path, { lock: 'exclusive', write: true });
  await use(repo);
}

interface StreamParts {
  contentType?: bigint;
  objects?: ObjectId[];
  named?: Record<string, ObjectId>;
  content?: Uint8Array;
}

async function storeStream(repo: Repository, parts: StreamParts): Promise<ObjectId> {
  const { contentType = 0n, objects = [], named = {}, content = new Uint8Array(0) } = parts;
  const bytes = await serializeSplitstream(
    {
      algorithm: repo.algorithm,
      contentType,
      streamSize: content.length,
      objectRefs: Buffer.concat(objects.map(idToBytes)),
      namedRefs: new Map(Object.entries(named)),
      content,
    },
    nodeZstd,
  );
  return (await repo.objects.store(bytes)).id;
}

const store = async (repo: Repository, text: string): Promise<ObjectId> =>
  (await repo.objects.store(Buffer.from(text))).id;

const METADATA = { permissions: 0o755, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0, xattrs: [] };

/** An image of one file, whose content is the object. */
async function storeImage(repo: Repository, object: ObjectId, sizeBytes: number): Promise<ObjectId> {
  const payload = objectRelativePath(object) as string as ByteString;
  const root: Directory = {
    kind: 'directory',
    ...METADATA,
    entries: new Map([['file' as ByteString, { kind: 'external', ...METADATA, sizeBytes, payload, digest: object }]]),
  };
  return (await repo.objects.store(serializeErofs(root, { version: 1, algorithm: repo.algorithm }))).id;
}

const checksumOf = (bytes: Uint8Array): Checksum => toHex(nodeHashing.sha256(bytes)) as Checksum;

/** A commit of an empty directory. */
async function storeCommit(repo: Repository, subject: string, parent?: Checksum): Promise<Checksum> {
  const dirtree = serializeDirtree({ files: [], directories: [] });
  const dirmeta = serializeDirmeta({ uid: 0, gid: 0, mode: 0o40755, xattrs: [] });
  const commit = serializeCommit({
    metadata: [],
    ...(parent === undefined ? {} : { parent }),
    subject,
    body: '',
    timestampSeconds: 0n,
    rootDirtree: checksumOf(dirtree),
    rootDirmeta: checksumOf(dirmeta),
  });
  const builder = new CommitMapBuilder(repo.algorithm);
  for (const bytes of [dirtree, dirmeta, commit]) builder.add(nodeHashing.sha256(bytes), bytes);
  const { content } = builder.build(nodeHashing.sha256(commit));
  const id = await storeStream(repo, { contentType: CONTENT_TYPE_OSTREE_COMMIT, content });
  const checksum = checksumOf(commit);
  await publish(repo, { streams: [{ name: commitStreamName(checksum), id }] });
  return checksum;
}

const streamNames = async (repo: Repository): Promise<string[]> =>
  (await Array.fromAsync(repo.streams.list())).map(({ name }) => name);

async function expectClean(repo: Repository): Promise<void> {
  expect((await checkRepository(repo)).findings).toEqual([]);
}

describe('what is reached', () => {
  test('an image that only a named ref leads to keeps its objects', () =>
    withRepository(async (repo) => {
      const object = await store(repo, 'only the image knows this object');
      const image = await storeImage(repo, object, 32);
      const id = await storeStream(repo, { named: { 'composefs.image': image } });
      await publish(repo, { images: [image], streams: [{ name: 's', id }], streamRefs: [{ ref: 'r', name: 's' }] });
      expect(await collectGarbage(repo)).toMatchObject({ objectsRemoved: 0, objectsKept: 3, imagesRemoved: 0 });
      await expectClean(repo);
    }));

  test('a very long chain of named refs is followed to its end', () =>
    withRepository(async (repo) => {
      const object = await store(repo, 'at the end');
      let id = await storeStream(repo, { objects: [object] });
      for (let length = 0; length < 1000; length++) id = await storeStream(repo, { named: { next: id } });
      await publish(repo, { streams: [{ name: 's', id }], streamRefs: [{ ref: 'r', name: 's' }] });
      expect(await collectGarbage(repo)).toMatchObject({ objectsRemoved: 0, objectsKept: 1002 });
    }));

  test('a name goes when its stream is kept as a file only', () =>
    withRepository(async (repo) => {
      const object = await store(repo, 'content of the inner repository');
      const inner = await storeStream(repo, { objects: [object] });
      const outer = await storeStream(repo, { objects: [inner] }); // say, a commit of a directory with a repository in it
      await publish(repo, {
        streams: [
          { name: 'inner', id: inner },
          { name: 'outer', id: outer },
        ],
        streamRefs: [{ ref: 'r', name: 'outer' }],
      });
      expect(await collectGarbage(repo)).toMatchObject({ objectsRemoved: 1, streamsRemoved: 1, objectsKept: 2 });
      expect(await streamNames(repo)).toEqual(['outer']);
    }));

  test.each(['stream', 'image', 'other'] as const)('a damaged %s behind a named ref ends the collection', (kind) =>
    withRepository(async (repo) => {
      const object = await store(repo, 'x'.repeat(5000));
      const named =
        kind === 'stream'
          ? await storeStream(repo, { objects: [object], content: Buffer.alloc(3000, 'incompressible?') })
          : kind === 'image'
            ? await storeImage(repo, object, 5000)
            : object;
      const id = await storeStream(repo, { named: { it: named } });
      await publish(repo, { streams: [{ name: 's', id }], streamRefs: [{ ref: 'r', name: 's' }] });
      const garbage = await store(repo, 'garbage');
      await truncate(repo.objects.path(named), 120);
      await expect(collectGarbage(repo)).rejects.toMatchObject({ exitCode: ExitCode.corrupt });
      await unlink(repo.objects.path(named));
      await expect(collectGarbage(repo)).rejects.toMatchObject({ exitCode: ExitCode.corrupt });
      expect(await repo.objects.has(garbage)).toBe(true);
    }),
  );

  test.each([
    ['image', 'stream'],
    ['stream', 'image'],
  ])(
    'an object of the kind %s under a name for another kind ends the collection, whatever else leads to it',
    (kind, other) =>
      withRepository(async (repo) => {
        const object = await store(repo, 'x'.repeat(5000));
        const id =
          kind === 'image' ? await storeImage(repo, object, 5000) : await storeStream(repo, { objects: [object] });
        // under streams/ and under images/ at once: one of the two is wrong
        await publish(repo, { streams: [{ name: 's', id }], images: [id], streamRefs: [{ ref: 'r', name: 's' }] });
        await publish(repo, { imageRefs: [{ ref: 'r', name: id }] });
        const links = await Array.fromAsync(repo[other === 'image' ? 'images' : 'streams'].entries());
        await expect(collectGarbage(repo)).rejects.toMatchObject({ exitCode: ExitCode.corrupt });
        expect(await Array.fromAsync(repo[other === 'image' ? 'images' : 'streams'].entries())).toEqual(links);
      }),
  );

  test('a file of a commit that a named ref leads to as well is verified', () =>
    withRepository(async (repo) => {
      const object = await store(repo, 'x'.repeat(5000));
      const id = await storeStream(repo, { objects: [object], named: { file: object } });
      await publish(repo, { streams: [{ name: 's', id }], streamRefs: [{ ref: 'r', name: 's' }] });
      await collectGarbage(repo);
      await truncate(repo.objects.path(object), 120);
      await expect(collectGarbage(repo)).rejects.toThrow(/streams\/refs\/r/);
    }));

  test('links that lead nowhere we know go, unless a ref needs them', () =>
    withRepository(async (repo) => {
      const id = await storeStream(repo, {});
      await publish(repo, { streams: [{ name: 's', id }], streamRefs: [{ ref: 'r', name: 's' }] });
      await symlink('../../elsewhere', join(repo.path, 'streams/odd'));
      expect(await collectGarbage(repo)).toMatchObject({ streamsRemoved: 1 });
      await symlink('../../elsewhere', join(repo.path, 'streams/odd'));
      await symlink('../odd', join(repo.path, 'streams/refs/odd'));
      await expect(collectGarbage(repo)).rejects.toMatchObject({ exitCode: ExitCode.corrupt });
      expect(await readdir(join(repo.path, 'streams'))).toContain('odd');
    }));

  test.each(['../../objects', '/etc', 's', '../s/'])('a ref to %s ends the collection', (target) =>
    withRepository(async (repo) => {
      const id = await storeStream(repo, {});
      await publish(repo, { streams: [{ name: 's', id }], streamRefs: [{ ref: 'r', name: 's' }] });
      await symlink(target, join(repo.path, 'streams/refs/odd'));
      await expect(collectGarbage(repo)).rejects.toMatchObject({ exitCode: ExitCode.corrupt });
    }),
  );

  test('a commit is a root by its checksum', () =>
    withRepository(async (repo) => {
      const commits = [await storeCommit(repo, 'one'), await storeCommit(repo, 'two')];
      await collectGarbage(repo, { roots: [commits[0]] });
      expect(await streamNames(repo)).toEqual([commitStreamName(commits[0])]);
    }));
});

describe('history', () => {
  test.each([
    [0, 1],
    [1, 2],
    [2, 3],
    [9, 5],
  ])('--keep-depth %i keeps %i of five commits', (keepDepth, kept) =>
    withRepository(async (repo) => {
      const commits: Checksum[] = [];
      for (const subject of ['first', 'second', 'third', 'fourth', 'fifth'])
        commits.push(await storeCommit(repo, subject, commits.at(-1)));
      const newest = commits[4];
      await publish(repo, { streamRefs: [{ ref: ostreeRefPath('os/main'), name: commitStreamName(newest) }] });
      expect(await collectGarbage(repo, { keepDepth })).toMatchObject({ streamsRemoved: 5 - kept });
      expect((await streamNames(repo)).sort()).toEqual(commits.slice(-kept).map(commitStreamName).sort());
      await expectClean(repo);
    }),
  );

  test('a ref to an ancestor counts from there, whichever is looked at first', () =>
    withRepository(async (repo) => {
      const commits: Checksum[] = [];
      for (let i = 0; i < 6; i++) commits.push(await storeCommit(repo, `${i}`, commits.at(-1)));
      const refs = [
        { ref: ostreeRefPath('a'), name: commitStreamName(commits[5]) },
        { ref: ostreeRefPath('b'), name: commitStreamName(commits[4]) },
        { ref: ostreeRefPath('c'), name: commitStreamName(commits[5]) },
      ];
      await publish(repo, { streamRefs: refs });
      await collectGarbage(repo, { keepDepth: 2 });
      expect((await streamNames(repo)).sort()).toEqual(commits.slice(2).map(commitStreamName).sort());
    }));

  test('may end at a commit that is not stored', () =>
    withRepository(async (repo) => {
      const commit = await storeCommit(repo, 'child', 'ab'.repeat(32) as Checksum);
      await publish(repo, { streamRefs: [{ ref: ostreeRefPath('os'), name: commitStreamName(commit) }] });
      expect(await collectGarbage(repo, { keepDepth: 3 })).toMatchObject({ streamsRemoved: 0 });
    }));
});

describe('streams of ours', () => {
  async function publishDetached(repo: Repository, commit: Checksum): Promise<void> {
    const id = await storeStream(repo, { contentType: CONTENT_TYPE_COMMITMETA, content: Buffer.from(commit) });
    const name = commitmetaStreamName(commit);
    await publish(repo, { streams: [{ name, id }], streamRefs: [{ ref: commitmetaRefPath(commit), name }] });
  }

  test('detached metadata goes with its commit, not before', () =>
    withRepository(async (repo) => {
      const [kept, dropped] = [await storeCommit(repo, 'kept'), await storeCommit(repo, 'dropped')];
      for (const commit of [kept, dropped]) await publishDetached(repo, commit);
      await publish(repo, { streamRefs: [{ ref: ostreeRefPath('os'), name: commitStreamName(kept) }] });
      expect(await collectGarbage(repo)).toMatchObject({ streamsRemoved: 2, objectsRemoved: 2 });
      expect((await streamNames(repo)).sort()).toEqual([commitmetaStreamName(kept), commitStreamName(kept)].sort());
      const refs = (await Array.fromAsync(repo.streams.listRefs())).map(({ ref }) => ref);
      expect(refs.sort()).toEqual([commitmetaRefPath(kept), ostreeRefPath('os')].sort());
    }));

  test('what an interrupted pull left stays for a day after its last checkpoint', () =>
    withRepository(async (repo) => {
      const commit = 'cd'.repeat(32) as Checksum;
      const name = partialStreamName(commit);
      const checkpoint = async (text: string): Promise<void> => {
        const object = await store(repo, text);
        const id = await storeStream(repo, { contentType: CONTENT_TYPE_PARTIAL, objects: [object] });
        await publish(repo, { streams: [{ name, id }], streamRefs: [{ ref: partialRefPath(commit), name }] });
      };
      const age = async (path: string): Promise<void> => {
        const then = new Date(Date.now() - PARTIAL_LIFETIME_MS - 1000);
        await lutimes(join(repo.path, 'streams', path), then, then);
      };
      await checkpoint('one');
      await publishDetached(repo, commit);
      expect(await collectGarbage(repo)).toMatchObject({ streamsRemoved: 0, objectsRemoved: 0 });
      await age(`refs/${partialRefPath(commit)}`);
      await age(name);
      await checkpoint('two');
      expect(await collectGarbage(repo)).toMatchObject({ streamsRemoved: 0, objectsRemoved: 2 });
      await age(name);
      expect(await collectGarbage(repo, { dryRun: true })).toMatchObject({ streamsRemoved: 2, objectsRemoved: 3 });
      expect(await collectGarbage(repo)).toMatchObject({ streamsRemoved: 2, objectsRemoved: 3, objectsKept: 0 });
      expect(await Array.fromAsync(repo.streams.refEntries())).toEqual([]);
    }));

  test('the side index forgets collected commits', () =>
    withRepository(async (repo) => {
      const index = join(repo.path, 'cfs-ostree/index');
      const commit = await storeCommit(repo, 'in the index');
      const builder = new CommitMapBuilder(repo.algorithm);
      builder.add(idToBytes(commit), Buffer.from('any object'));
      const { content, objectRefs } = builder.build(idToBytes(commit));
      const map = CommitMap.parse(content, objectRefs, repo.algorithm);
      await appendToSideIndex(repo, { commit, map, sha256Digests: new Map(), warn: expect.unreachable });
      await collectGarbage(repo, { roots: [commit] });
      expect(await readdir(index)).toHaveLength(1);
      await collectGarbage(repo);
      expect(await readdir(index)).toEqual([]);
    }));

  test('a ref of ours that leads nowhere is dropped', () =>
    withRepository(async (repo) => {
      const commit = 'cd'.repeat(32) as Checksum;
      const id = await storeStream(repo, { contentType: CONTENT_TYPE_PARTIAL });
      const name = partialStreamName(commit);
      await publish(repo, { streams: [{ name, id }], streamRefs: [{ ref: partialRefPath(commit), name }] });
      await repo.streams.remove(name);
      await collectGarbage(repo);
      expect(await Array.fromAsync(repo.streams.refEntries())).toEqual([]);
    }));
});

describe('the sweep', () => {
  test('removes every kind of leftover temporary, and nothing else that it does not know', () =>
    withRepository(async (repo) => {
      await store(repo, 'garbage');
      await writeFile(join(repo.objects.root, '.tmp-object-0123456789ab'), 'left');
      await symlink('../objects/00/11', join(repo.path, '.symlink-0123456789ab'));
      await writeFile(join(repo.path, '.tmp-meta-0123456789ab'), 'left');
      await writeFile(join(repo.path, 'notes.txt'), 'mine');
      expect(await collectGarbage(repo, { dryRun: true })).toMatchObject({ temporariesRemoved: 3, objectsRemoved: 1 });
      expect(await collectGarbage(repo)).toMatchObject({ temporariesRemoved: 3, objectsRemoved: 1, dryRun: false });
      expect((await readdir(repo.path)).sort()).toEqual(['meta.json', 'notes.txt', 'objects']);
    }));

  test('broken off anywhere, every name still leads to its objects, and the next one finishes', () =>
    withRepository(async (repo) => {
      const kept = await storeCommit(repo, 'kept');
      await publish(repo, { streamRefs: [{ ref: ostreeRefPath('os'), name: commitStreamName(kept) }] });
      for (let i = 0; i < 40; i++) await storeCommit(repo, `dropped ${i}`);
      for (let stopAfter = 1; ; stopAfter++) {
        const controller = new AbortController();
        let events = 0;
        const progress = {
          update() {
            if (++events === stopAfter) controller.abort();
          },
          warn() {},
        };
        const isDone = await collectGarbage(repo, { progress, signal: controller.signal }).then(
          () => true,
          (error: Error) => {
            expect(error.name).toBe('AbortError');
            return false;
          },
        );
        await expectClean(repo);
        if (isDone && events < stopAfter) break;
      }
      expect(await streamNames(repo)).toEqual([commitStreamName(kept)]);
    }));

  test('needs the exclusive lock; counting does not', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    await initRepository(directory.join('r'), { insecure: true });
    await using repo = await openRepository(directory.join('r'), { lock: 'shared' });
    await expect(collectGarbage(repo)).rejects.toThrow(LockedError);
    expect(await collectGarbage(repo, { dryRun: true })).toEqual({
      objectsRemoved: 0,
      bytesRemoved: 0,
      streamsRemoved: 0,
      imagesRemoved: 0,
      temporariesRemoved: 0,
      objectsKept: 0,
      dryRun: true,
    });
  });
});
