/**
 * create-image and gc, killed anywhere: every name still leads to complete objects (invariants I1, I3), the next run finishes the work,
 * and whatever it makes has the ids that an undisturbed run gives.
 */

import { cp, lutimes, rm, symlink, writeFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { findCommit } from '../../src/operations/commit-reader.ts';
import { storeCommitMap } from '../../src/operations/commit-stream.ts';
import { PARTIAL_LIFETIME_MS } from '../../src/operations/gc.ts';
import { pull } from '../../src/operations/pull.ts';
import { openSource } from '../../src/sources/open-source.ts';
import { partialRefPath, partialStreamName } from '../../src/store/ostree-refs.ts';
import { publish } from '../../src/store/publish.ts';
import { openRepository } from '../../src/store/repository.ts';
import { runCliJson } from '../cli/run-cli.ts';
import { describeWithPeers } from '../support/peers.ts';
import { drawDisturbance, type KillPoints, traceKillPoints } from './kill-points.ts';
import { published } from './published.ts';
import { Random, SEED } from './random.ts';
import { collected, findingsBesideTemporaries, type RepositoryState } from './repository-state.ts';
import { type Disturbance, type Job, runDriver } from './run-driver.ts';
import { useScene } from './scene.ts';

const IMAGE_KILLS = 50;
const GC_KILLS = 60;
const MAX_KILLS_IN_A_ROW = 3;

const scene = useScene(published);
beforeAll(() => console.log(`kills of create-image and gc: CFS_OSTREE_SEED=${SEED}`));

/** @param location whatever is not there is pulled from here */
async function pullHere(repoPath: string, location: string, refs: string[]): Promise<void> {
  await using repo = await openRepository(repoPath, { lock: 'shared', write: true });
  await using from = await openSource(location);
  await pull(repo, from, refs);
}

interface Campaign {
  start: string;
  job(repo: string): Job;
  /** Brings a repository, whatever was done in it, to where all of them have to be the same. */
  finish(repo: string): Promise<RepositoryState>;
}

async function runCampaign({ start, job, finish }: Campaign, wantedKills: number): Promise<void> {
  let lives = 0;
  const newRepository = async (): Promise<string> => {
    const repo = `${start}-${lives++}`;
    await cp(start, repo, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    await agePartial(repo);
    return repo;
  };
  const random = new Random(SEED);
  const undisturbed = await newRepository();
  const { workMs, exitCode, stderr } = await runDriver(job(undisturbed));
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  const expected = await finish(undisturbed);
  const points: KillPoints = { ...(await traceKillPoints(job(await newRepository()))), workMs };
  let kills = 0;
  while (kills < wantedKills) {
    const repo = await newRepository();
    for (let killsHere = 0; ; killsHere++) {
      const disturbance: Disturbance =
        killsHere < MAX_KILLS_IN_A_ROW ? drawDisturbance(random, points) : { kind: 'none' };
      const outcome = await runDriver(job(repo), disturbance);
      const story = `seed ${SEED}, ${repo}: ${JSON.stringify(disturbance)}\n${outcome.stderr}`;
      if (!outcome.killed) {
        expect(outcome.exitCode, story).toBe(0);
        break;
      }
      expect(await findingsBesideTemporaries(repo), story).toEqual([]);
      kills++;
      if (random.next() < 0.3) break; // whatever was begun is left as it is
    }
    expect(await finish(repo), `seed ${SEED}, ${repo}`).toEqual(expected);
    await rm(repo, { recursive: true });
  }
  console.log(`${kills} kills in ${lives} repositories`);
}

/** The partial stream of `start`, where it has one, is too old to be kept. */
async function agePartial(repo: string): Promise<void> {
  const then = new Date(Date.now() - PARTIAL_LIFETIME_MS - 60_000);
  for (const path of [partialStreamName(scene.source.first), `refs/${partialRefPath(scene.source.first)}`])
    await lutimes(`${repo}/streams/${path}`, then, then).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
}

/** Two commits with an image each, the first without a ref any more; an old partial stream; temporaries of every kind. */
async function makeGarbage(start: string): Promise<void> {
  await runCliJson(['init', '--insecure', start]);
  await pullHere(start, scene.source.archive, ['os/first', 'os/main']);
  for (const ref of ['os/first', 'os/main']) await runCliJson(['create-image', ref, '--repo', start]);
  await runCliJson(['untag', 'os/first', '--repo', start]);
  {
    await using repo = await openRepository(start, { lock: 'shared', write: true });
    const first = await findCommit(repo, scene.source.first);
    if (first === undefined) throw new Error('the first commit is not there');
    const name = partialStreamName(scene.source.first);
    const id = await storeCommitMap(repo, first.map, 'partial');
    await publish(repo, { streams: [{ name, id }], streamRefs: [{ ref: partialRefPath(scene.source.first), name }] });
  }
  await writeFile(`${start}/objects/.tmp-object-0123456789ab`, 'left');
  await writeFile(`${start}/cfs-ostree/index/.tmp-segment-0123456789ab`, 'left');
  await symlink('../objects/00/11', `${start}/.symlink-0123456789ab`);
}

describeWithPeers('killed', ['strace'], () => {
  test(`create-image: ${IMAGE_KILLS} kills`, { timeout: 300_000 }, async () => {
    const start = scene.directory.join('image');
    await runCliJson(['init', '--insecure', start]);
    await pullHere(start, scene.source.archive, ['os/main']);
    const finish = async (repo: string): Promise<RepositoryState> => {
      await runCliJson(['create-image', 'os/main', '--name', 'os-main', '--erofs-version', '2', '--repo', repo]);
      return collected(repo);
    };
    const options = { name: 'os-main', erofsVersion: 2 } as const;
    const job = (repo: string): Job => ({ operation: 'createImage', repo, commit: 'os/main', options });
    await runCampaign({ start, job, finish }, IMAGE_KILLS);
  });

  test(`gc: ${GC_KILLS} kills`, { timeout: 300_000 }, async () => {
    const start = scene.directory.join('gc');
    await makeGarbage(start);
    const finish = async (repo: string): Promise<RepositoryState> => {
      // what was being removed is wanted again: nothing that is half gone may be taken for whole
      await pullHere(repo, scene.source.bare, ['os/first']);
      await runCliJson(['create-image', 'os/first', '--repo', repo]);
      expect(await findingsBesideTemporaries(repo)).toEqual([]);
      return collected(repo);
    };
    await runCampaign({ start, job: (repo) => ({ operation: 'gc', repo }), finish }, GC_KILLS);
  });
});
