/** Repositories that ostree wrote → our pull → our image: the bytes of mkcomposefs, and mounted the tree that ostree checks out. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { RepositoryMode } from '../../src/formats/file-body.ts';
import { runMkcomposefs, runOstree } from '../support/chroot.ts';
import { AWKWARD_REF, CANONICAL_REF, osTree } from '../support/os-tree.ts';
import { describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { asCommitted, compareTrees } from '../support/tree-compare.ts';
import { readVectorFacts, vectorRepository } from '../support/vector-repositories.ts';
import { AWKWARD_STORE_PEERS, awkwardStore } from './awkward-store.ts';
import { Store } from './store.ts';

vi.setConfig({ testTimeout: 180_000 }); // many programs one after the other

describeWithPeers('pull and image', [...AWKWARD_STORE_PEERS, 'mkcomposefs'], () => {
  let directory: TemporaryDirectory;
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    await awkwardStore();
  });
  afterAll(() => directory[Symbol.asyncDispose]());

  /** Image, id and dumpfile of a commit, ours and what mkcomposefs makes of the dumpfile. */
  async function expectImageOfMkcomposefs(store: Store, tree: string, version: number | 'auto'): Promise<void> {
    const [dump, ours, theirs] = ['dump', 'ours', 'theirs'].map((name) => directory.join(name));
    await writeFile(dump, await store.dump(tree));
    const { image } = await store.image(tree, ours, version);
    const wanted = version === 'auto' ? [] : [`--min-version=${version}`, `--max-version=${version}`];
    await runMkcomposefs(['--from-file', ...wanted, dump, theirs]);
    expect((await readFile(ours)).equals(await readFile(theirs))).toBe(true);
    const { stdout } = await runMkcomposefs(['--from-file', '--print-digest-only', ...wanted, dump]);
    expect(stdout.trim()).toBe(image);
  }

  /** Differences between the mounted image and `expected`, a checkout. */
  async function compareMounted(store: Store, tree: string, expected: string): Promise<string[]> {
    const mountpoint = directory.join('mounted');
    await mkdir(mountpoint, { recursive: true });
    await store.json('mount', tree, mountpoint);
    try {
      return await compareTrees(expected, mountpoint, asCommitted);
    } finally {
      await store.json('umount', mountpoint);
    }
  }

  async function checkOut(repository: string, commit: string, name: string): Promise<string> {
    await runOstree(['checkout', `--repo=${repository}`, commit, directory.join(name)]);
    return directory.join(name);
  }

  describe('of the awkward tree', () => {
    test('over HTTP: everything once, and from then on only what is new', async () => {
      const { first, awkward } = await osTree();
      const pulled = await awkwardStore();
      expect(pulled.first).toMatchObject({
        commit: first,
        upToDate: false,
        base: [],
        reused: { metadata: 0, files: 0 },
      });
      expect(pulled.awkward).toMatchObject({ commit: awkward, base: [first], fetched: { files: 5 } });
      expect(await new Store(pulled.path).problems()).toEqual([]);
    });

    test('thousands of files that the side index knows are found in the time of one', async () => {
      const { canonical } = await awkwardStore();
      expect(canonical.reused.files).toBeGreaterThan(4000);
      expect(canonical.elapsedMs).toBeLessThan(20_000); // two minutes if each file opens the commit again
    });

    test.each([
      [AWKWARD_REF, 0],
      [AWKWARD_REF, 1],
      [AWKWARD_REF, 'auto'],
      [`${AWKWARD_REF}^`, 0],
      [`${AWKWARD_REF}^`, 1],
      [CANONICAL_REF, 0],
      [CANONICAL_REF, 1],
    ] as const)('%s is the image of mkcomposefs, version %s', async (tree, version) => {
      await expectImageOfMkcomposefs(new Store((await awkwardStore()).path), tree, version);
    });

    test.each(['archive', 'bare', 'bare-user'] as const)('is the same from %s on disk', async (mode) => {
      const { repositories } = await osTree();
      const { first, awkward } = await awkwardStore();
      const store = await Store.init(directory.join(mode));
      const direct = await store.pull(repositories[mode], AWKWARD_REF, '--create-image');
      expect(direct).toMatchObject({ commit: awkward.commit, image: awkward.image, base: [] });
      const { image } = await store.pull(repositories[mode], first.commit, '--create-image');
      const { image: expected } = await store.json<{ image: string }>('compute-id', first.commit);
      expect(image).toBe(expected);
      expect(direct.streamId).toBe(awkward.streamId);
      expect(await store.problems()).toEqual([]);
    });

    test('is the same from bare-user-only on disk, where it is canonical', async () => {
      const { repositories } = await osTree();
      const { canonical } = await awkwardStore();
      const store = await Store.init(directory.join('bare-user-only'));
      expect(await store.pull(repositories['bare-user-only'], CANONICAL_REF, '--create-image')).toMatchObject({
        commit: canonical.commit,
        image: canonical.image,
        streamId: canonical.streamId,
      });
      expect(await store.problems()).toEqual([]);
    });

    test('mounted, it is what ostree checks out', async () => {
      const { repositories } = await osTree();
      const own = await Store.init(directory.join('mounts'));
      await own.pull(repositories.bare, AWKWARD_REF);
      const expected = await checkOut(repositories.bare, AWKWARD_REF, 'checkout');
      for (const version of ['0', '1']) {
        await own.json('create-image', AWKWARD_REF, '--erofs-version', version, '--name', `version-${version}`);
        expect(await compareMounted(own, `version-${version}`, expected)).toEqual([]);
      }
    });

    test('mounted, the canonical one is what ostree checks out', async () => {
      const { repositories } = await osTree();
      // A checkout of bare-user-only makes every file readable for its owner, whatever its mode.
      const expected = await checkOut(repositories.archive, CANONICAL_REF, 'canonical');
      expect(await compareMounted(new Store((await awkwardStore()).path), CANONICAL_REF, expected)).toEqual([]);
    });
  });

  describe('of the vectors', () => {
    const { commits } = readVectorFacts();
    const pullVectors = async (mode: RepositoryMode, names: string[]): Promise<Map<string, string | undefined>> => {
      const store = await Store.init(directory.join(`vectors-${mode}`));
      const images = new Map<string, string | undefined>();
      for (const name of names)
        images.set(
          name,
          (await store.pull(await vectorRepository(mode), commits[name].checksum, '--create-image')).image,
        );
      expect(await store.problems()).toEqual([]);
      return images;
    };
    let reference: Map<string, string | undefined>;
    beforeAll(async () => {
      reference = await pullVectors('archive', Object.keys(commits));
    });

    test.each(Object.keys(commits))('%s is the image of mkcomposefs', async (name) => {
      const store = new Store(directory.join('vectors-archive'));
      for (const version of [0, 1]) await expectImageOfMkcomposefs(store, commits[name].checksum, version);
    });

    test.each(['bare', 'bare-user', 'bare-split-xattrs'] as const)('are the same from %s', async (mode) => {
      expect(await pullVectors(mode, Object.keys(commits))).toEqual(reference);
    });

    test('are the same from bare-user-only, as far as it holds them', async () => {
      const names = Object.keys(commits).filter((name) => name.startsWith('canonical'));
      const images = await pullVectors('bare-user-only', names);
      for (const name of names) expect(images.get(name)).toBe(reference.get(name));
    });

    test.each(['bare', 'bare-split-xattrs'] as const)(
      'mounted, they are what ostree checks out of %s',
      async (mode) => {
        const store = new Store(directory.join(`vectors-archive`));
        const repository = await vectorRepository(mode);
        for (const name of Object.keys(commits)) {
          const expected = await checkOut(repository, commits[name].checksum, `${mode}-${name}`);
          expect(await compareMounted(store, commits[name].checksum, expected)).toEqual([]);
        }
      },
    );
  });
});
