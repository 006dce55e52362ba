/** gc beside pulls, pulls beside each other, and what a collector that was killed leaves to the next pull. */

import { cp, readdir, rm, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type ObjectId, objectRelativePath } from '../../src/formats/ids.ts';
import { findCommit } from '../../src/operations/commit-reader.ts';
import { commitStreamName, partialRefPath, partialStreamName } from '../../src/store/ostree-refs.ts';
import { unpublishStream } from '../../src/store/publish.ts';
import { openRepository } from '../../src/store/repository.ts';
import { runCli, runCliJson } from '../cli/run-cli.ts';
import { describeWithPeers } from '../support/peers.ts';
import { startStaticServer } from '../support/static-server.ts';
import { published, publishedTiny } from './published.ts';
import { Random, SEED } from './random.ts';
import { collected, findingsBesideTemporaries, readState } from './repository-state.ts';
import { type Disturbance, type Outcome, runDriver } from './run-driver.ts';
import { useScene } from './scene.ts';

const STRESS_ROUNDS = 12;

const scene = useScene(publishedTiny);

let repositories = 0;
/** With the named commits, and their images; those of `dropped` refs are garbage then. */
async function newRepository(refs: string[], dropped: string[] = []): Promise<string> {
  const repo = scene.directory.join(`repo-${repositories++}`);
  await runCliJson(['init', '--insecure', repo]);
  if (refs.length > 0) await runCliJson(['pull', '--create-image', scene.source.archive, ...refs, '--repo', repo]);
  for (const ref of dropped) await runCliJson(['untag', ref, '--repo', repo]);
  return repo;
}

const pulling = (repo: string, location: string, wanted: string, disturbance?: Disturbance): Promise<Outcome> =>
  runDriver(
    { operation: 'pull', repo, location, wanted: [wanted], options: { checkpoint: { objects: 2 }, createImage: true } },
    disturbance,
  );
const collecting = (repo: string, disturbance?: Disturbance): Promise<Outcome> =>
  runDriver({ operation: 'gc', repo }, disturbance);
const succeeded = { exitCode: 0, stderr: '' };

/** What undisturbed pulls of these refs end with. */
async function stateOf(refs: string[]): Promise<object> {
  return collected(await newRepository(refs));
}

test('gc waits for a running pull, and keeps all that it brings', async () => {
  const repo = await newRepository(['os/first'], ['os/first']);
  const isHeld = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  await using server = await startStaticServer(scene.source.archive, {
    intercept: (request, response) => {
      if (!request.url?.endsWith('.filez') || response.writableEnded) return false;
      isHeld.resolve();
      // every file after the first few has to wait: the pull has a checkpoint by then
      void release.promise.then(async () => {
        const { readFile } = await import('node:fs/promises');
        response.end(await readFile(`${scene.source.archive}${request.url}`));
      });
      return true;
    },
  });
  const pull = pulling(repo, server.url, 'os/main');
  await isHeld.promise;
  const before = await readState(repo);
  let isCollected = false;
  const gc = collecting(repo).finally(() => {
    isCollected = true;
  });
  await sleep(700);
  expect(isCollected).toBe(false);
  const during = await readState(repo);
  expect(during.objects).toEqual(expect.arrayContaining(before.objects));
  expect(Object.keys(during.links)).toEqual(expect.arrayContaining(Object.keys(before.links)));
  release.resolve();
  expect(await pull).toMatchObject(succeeded);
  expect(await gc).toMatchObject(succeeded);
  expect(await findingsBesideTemporaries(repo)).toEqual([]);
  expect(await collected(repo)).toEqual(await stateOf(['os/main']));
});

describeWithPeers('in each other’s way', ['strace'], () => {
  test('a pull of what gc is removing waits for it, and brings it again', async () => {
    const repo = await newRepository(['os/first', 'os/main'], ['os/first']);
    const gc = collecting(repo, { kind: 'delay', call: { name: 'unlink', nth: 3 }, ms: 1000 });
    await sleep(500);
    const pull = await pulling(repo, scene.source.archive, 'os/first');
    expect(await gc).toMatchObject(succeeded);
    expect(pull).toMatchObject(succeeded);
    expect(await findingsBesideTemporaries(repo)).toEqual([]);
    expect(await collected(repo)).toEqual(await stateOf(['os/first', 'os/main']));
  });

  test('others forget the partial stream of a commit, again and again, while a pull writes it', async () => {
    const { archive, second } = await published(); // enough files for many checkpoints
    const name = partialStreamName(second);
    // long between the making of a link and that of its ref, which looks at the link first
    const disturbance: Disturbance = { kind: 'delay', call: { name: 'readlink', nth: '1+' }, ms: 20 };
    let forgotten = 0;
    for (let pulls = 0; pulls < 3 || forgotten === 0; pulls++) {
      const path = await newRepository([]);
      let isDone = false;
      const pull = pulling(path, archive, 'os/main', disturbance).finally(() => {
        isDone = true;
      });
      {
        await using repo = await openRepository(path, { lock: 'shared', write: true });
        for (; !isDone; await sleep(1)) if (await unpublishStream(repo, name, partialRefPath(second))) forgotten++;
      }
      expect(await pull).toMatchObject(succeeded);
      expect(await findingsBesideTemporaries(path)).toEqual([]);
    }
  });

  test('gc killed at each name and object that it removes: the next pull believes nothing that is half gone', async () => {
    const start = await newRepository(['os/first', 'os/main'], ['os/first']);
    const expected = await stateOf(['os/first', 'os/main']);
    for (const name of ['unlink', 'syncfs', 'rename'])
      for (let nth = 1; ; nth++) {
        const repo = scene.directory.join('killed');
        await cp(start, repo, { recursive: true, verbatimSymlinks: true });
        const outcome = await collecting(repo, { kind: 'kill at', call: { name, nth } });
        const story = `${name} ${nth}`;
        expect(await findingsBesideTemporaries(repo), story).toEqual([]);
        expect(await pulling(repo, scene.source.bare, 'os/first'), story).toMatchObject(succeeded);
        expect(await findingsBesideTemporaries(repo), story).toEqual([]);
        expect(await collected(repo), story).toEqual(expected);
        await rm(repo, { recursive: true });
        if (!outcome.killed) break;
      }
  });
});

test(`two pulls of one commit, one of another, and gc, all at once, ${STRESS_ROUNDS} times`, {
  timeout: 300_000,
}, async () => {
  const random = new Random(SEED);
  const expected = await stateOf(['os/first', 'os/main']);
  await using server = await startStaticServer(scene.source.archive);
  for (let round = 0; round < STRESS_ROUNDS; round++) {
    const repo = await newRepository([]);
    const later = async (work: () => Promise<Outcome>): Promise<Outcome> => {
      await sleep(random.next() * 400);
      return work();
    };
    const outcomes = await Promise.all([
      later(() => pulling(repo, server.url, 'os/main')),
      later(() => pulling(repo, scene.source.bare, 'os/main')),
      later(() => pulling(repo, scene.source.archive, 'os/first')),
      later(() => collecting(repo)),
    ]);
    for (const outcome of outcomes) expect(outcome, `seed ${SEED}, round ${round}`).toMatchObject(succeeded);
    expect(await findingsBesideTemporaries(repo)).toEqual([]);
    expect(await collected(repo), `seed ${SEED}, round ${round}`).toEqual(expected);
    await rm(repo, { recursive: true });
  }
});

/** As cfsctl 0.9 leaves it when its gc is killed: objects go first, in no order, and the names after them. */
describe('a stream without a ref, whose objects another collector has begun to remove', () => {
  /** The first commit has no ref; `remove` gets its stream and the content of its files. */
  async function halfCollected(
    remove: (parts: { stream: ObjectId; files: ObjectId[]; image: ObjectId }) => ObjectId[],
  ): Promise<string> {
    const repo = await newRepository(['os/first'], ['os/first']);
    await using opened = await openRepository(repo, { lock: 'shared' });
    const commit = await findCommit(opened, scene.source.first);
    const image = commit?.namedRefs.get('composefs.image');
    if (commit === undefined || image === undefined) throw new Error('not as it should be');
    const files = Array.from({ length: commit.map.count }, (_, i) => commit.map.externalAt(i)).filter(
      (id) => id !== undefined,
    );
    expect(files.length).toBeGreaterThan(1);
    for (const id of remove({ stream: commit.streamId, files, image }))
      await unlink(`${repo}/objects/${objectRelativePath(id)}`);
    return repo;
  }

  const CASES = [
    ['its stream', ({ stream }) => [stream]],
    ['one file', ({ files }) => [files[0]]],
    ['all files', ({ files }) => files],
    ['its image', ({ image }) => [image]],
  ] as const satisfies Array<[string, Parameters<typeof halfCollected>[0]]>;

  test.each(CASES)('%s: a pull of it brings what is missing', async (_what, remove) => {
    const repo = await halfCollected(remove);
    expect(await pulling(repo, scene.source.archive, 'os/first')).toMatchObject(succeeded);
    expect(await findingsBesideTemporaries(repo)).toEqual([]);
    expect(await collected(repo)).toEqual(await stateOf(['os/first']));
  });

  test.each(CASES)('%s: a pull of its child does not build on it', async (_what, remove) => {
    const repo = await halfCollected(remove);
    expect(await pulling(repo, scene.source.archive, 'os/main')).toMatchObject(succeeded);
    expect(await collected(repo)).toEqual(await stateOf(['os/main']));
  });

  test.each(CASES.slice(1))('%s: it gets no ref', async (_what, remove) => {
    const repo = await halfCollected(remove);
    const { exitCode, stderr } = await runCli(['tag', scene.source.first, 'again', '--repo', repo]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 5, stderr: expect.stringContaining('pull it again') });
    expect(await readdir(`${repo}/streams`)).toContain(commitStreamName(scene.source.first));
  });
});
