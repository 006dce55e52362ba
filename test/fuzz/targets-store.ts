/** What a fuzz run feeds: streams and images that lie in a repository under their right ids, to everything that reads them there. */

import { rmSync } from 'node:fs';
import { CfsError } from '../../src/errors.ts';
import type { Checksum } from '../../src/formats/ids.ts';
import { createImage } from '../../src/operations/create-image.ts';
import { checkRepository } from '../../src/operations/fsck.ts';
import { collectGarbage } from '../../src/operations/gc.ts';
import { openTree } from '../../src/operations/resolve-tree.ts';
import { initRepository } from '../../src/store/init.ts';
import { commitStreamName, ostreeRefPath } from '../../src/store/ostree-refs.ts';
import { openRepository, type Repository } from '../../src/store/repository.ts';
import { readRepositoryVectors } from '../support/composefs-repositories.ts';
import { readComposefsVectors, readObjects } from '../support/composefs-vectors.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import type { FuzzTarget } from './target.ts';

const MAX_SEED_BYTES = 16_384;
const MAX_SEEDS = 60;
const REF = 'os/fuzz';
const pick = (seeds: Iterable<Uint8Array>): Uint8Array[] =>
  [...seeds].filter(({ length }) => length <= MAX_SEED_BYTES).slice(0, MAX_SEEDS);

let opened: Promise<Repository> | undefined;
async function openStore(): Promise<Repository> {
  const directory = await makeTemporaryDirectory('memory');
  process.once('exit', () => rmSync(directory.path, { recursive: true, force: true }));
  await initRepository(directory.path, { algorithm: 'sha256', insecure: true, ensure: true });
  return openRepository(directory.path, { lock: 'exclusive', write: true });
}

async function tolerate(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof CfsError)) throw error;
  }
}

/** fsck reports whatever is wrong; only what reads for its own use may refuse. */
async function readBack(repo: Repository, tree: string): Promise<void> {
  await checkRepository(repo);
  await tolerate(() => collectGarbage(repo, { dryRun: true }));
  await tolerate(() => openTree(async () => repo, tree));
}

const vectors = readComposefsVectors();
const { hostile_commits } = readRepositoryVectors();

export const targets: FuzzTarget[] = [
  {
    name: 'stored-stream',
    async parse(bytes) {
      opened ??= openStore();
      const repo = await opened;
      const name = commitStreamName(hostile_commits.commit);
      const { id } = await repo.objects.store(bytes);
      await repo.streams.publish(name, id);
      await repo.streams.setRef(ostreeRefPath(REF), name);
      try {
        await readBack(repo, REF);
        await tolerate(() => createImage(repo, { commit: hostile_commits.commit as Checksum }, { dryRun: true }));
      } finally {
        await repo.streams.removeRef(ostreeRefPath(REF));
        await repo.streams.remove(name);
        await repo.objects.remove(id);
      }
    },
    seeds: pick([
      ...readObjects(hostile_commits.tarball).values(),
      ...readObjects(vectors.hostile_streams.tarball).values(),
    ]),
  },
  {
    name: 'stored-image',
    async parse(bytes) {
      opened ??= openStore();
      const repo = await opened;
      const { id } = await repo.objects.store(bytes);
      await repo.images.publish(id, id);
      await repo.images.setRef(REF, id);
      try {
        await readBack(repo, REF);
      } finally {
        await repo.images.removeRef(REF);
        await repo.images.remove(id);
        await repo.objects.remove(id);
      }
    },
    seeds: pick(
      [...readObjects('repos/sha256-v2.tar.gz').values(), ...readObjects('repos/sha256-v1.tar.gz').values()].filter(
        (bytes) => bytes.length > 1100 && bytes[1024] === 0xe2,
      ),
    ),
  },
];
