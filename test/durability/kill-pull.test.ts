/**
 * Invariant I6: a pull that is killed, anywhere, leaves a repository that `fsck` calls clean, and the next one asks for nothing that
 * the last checkpoint holds and ends with what an undisturbed pull ends with.
 */

import { cp, rm, truncate } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Checksum } from '../../src/formats/ids.ts';
import type { PullReport } from '../../src/operations/pull.ts';
import { runCliJson } from '../cli/run-cli.ts';
import { describeWithPeers } from '../support/peers.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { drawDisturbance, type KillPoints, traceKillPoints } from './kill-points.ts';
import { published } from './published.ts';
import { Random, SEED } from './random.ts';
import {
  collected,
  findingsBesideTemporaries,
  heldByCheckpoint,
  type RepositoryState,
  readAsked,
} from './repository-state.ts';
import { type Disturbance, type Job, type Outcome, runDriver } from './run-driver.ts';
import { useScene } from './scene.ts';

interface Scenario {
  title: string;
  location: 'http' | 'archive' | 'bare';
  hasBase: boolean;
  createImage: boolean;
  kills: number;
}

const SCENARIOS: Scenario[] = [
  { title: 'over HTTP', location: 'http', hasBase: false, createImage: false, kills: 70 },
  { title: 'over HTTP, with a base', location: 'http', hasBase: true, createImage: false, kills: 40 },
  { title: 'over HTTP, and the image', location: 'http', hasBase: false, createImage: true, kills: 40 },
  { title: 'of an archive repository', location: 'archive', hasBase: false, createImage: false, kills: 40 },
  { title: 'of a bare repository, with a base', location: 'bare', hasBase: true, createImage: false, kills: 40 },
];
/** One pull is killed at most so many times before it may end. */
const MAX_KILLS_IN_A_ROW = 4;
const CHECKPOINT_OBJECTS = 10;
/** Of the kills, so many in a hundred have to leave a checkpoint: otherwise they show little. */
const MIN_PERCENT_WITH_CHECKPOINT = 25;

const scene = useScene(published);
let server: StaticServer;

beforeAll(async () => {
  server = await startStaticServer(scene.source.archive);
  console.log(`kills of pull: CFS_OSTREE_SEED=${SEED}`);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** One scenario at work: a repository to start from, and what an undisturbed pull makes of it. */
class Campaign {
  readonly #scenario: Scenario;
  #expected!: { asked: Set<Checksum>; result: object; state: RepositoryState };
  #points!: KillPoints;
  #lives = 0;
  kills = 0;
  killsWithCheckpoint = 0;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
  }

  get #start(): string {
    return scene.directory.join(
      `start-${this.#scenario.location}-${this.#scenario.hasBase}-${this.#scenario.createImage}`,
    );
  }

  async prepare(): Promise<void> {
    await runCliJson(['init', '--insecure', this.#start]);
    if (this.#scenario.hasBase) await runCliJson(['pull', scene.source.bare, 'os/first', '--repo', this.#start]);
    const repo = await this.#newRepository();
    const { outcome, asked } = await this.#pull(repo, { kind: 'none' });
    const result = resultOf(outcome);
    expect(result).toHaveProperty('digest', 'match');
    this.#expected = { asked: new Set(asked), result, state: await collected(repo) };
    this.#points = { ...(await traceKillPoints(this.#job(await this.#newRepository()))), workMs: outcome.workMs };
  }

  /** A repository's pulls from the first one that is killed to the one that ends. */
  async live(random: Random): Promise<void> {
    const repo = await this.#newRepository();
    let held: Set<Checksum> | undefined;
    for (let kills = 0; ; kills++) {
      const disturbance: Disturbance =
        kills < MAX_KILLS_IN_A_ROW ? drawDisturbance(random, this.#points) : { kind: 'none' };
      const { outcome, asked } = await this.#pull(repo, disturbance);
      const story = `seed ${SEED}, ${repo}: ${JSON.stringify(disturbance)}\n${outcome.stderr}`;
      expect(
        asked.filter((checksum) => held?.has(checksum)),
        `asked again, ${story}`,
      ).toEqual([]);
      expect(new Set(asked).size, `asked for once, ${story}`).toBe(asked.length);
      expect(
        asked.filter((checksum) => !this.#expected.asked.has(checksum)),
        `asked for besides, ${story}`,
      ).toEqual([]);
      if (!outcome.killed) {
        expect(resultOf(outcome), story).toEqual(this.#expected.result);
        break;
      }
      expect(await findingsBesideTemporaries(repo), story).toEqual([]);
      held = await heldByCheckpoint(repo, scene.source.second);
      this.kills++;
      if (held !== undefined) this.killsWithCheckpoint++;
    }
    expect(await collected(repo), `seed ${SEED}`).toEqual(this.#expected.state);
    await rm(repo, { recursive: true });
  }

  async #newRepository(): Promise<string> {
    const repo = `${this.#start}-${this.#lives++}`;
    await cp(this.#start, repo, { recursive: true, verbatimSymlinks: true });
    return repo;
  }

  #job(repo: string): Job {
    const { location, hasBase, createImage } = this.#scenario;
    return {
      operation: 'pull',
      repo,
      location: location === 'http' ? server.url : scene.source[location],
      wanted: ['os/main'],
      options: {
        checkpoint: { objects: CHECKPOINT_OBJECTS },
        createImage,
        ...(hasBase ? { bases: ['os/first'] } : {}),
      },
      askedFile: scene.directory.join('asked'),
      jobs: 1,
    };
  }

  /** @returns also which objects were asked for: of the server itself, or as the driver wrote it down */
  async #pull(repo: string, disturbance: Disturbance): Promise<{ outcome: Outcome; asked: Checksum[] }> {
    const before = server.requests.length;
    const askedFile = scene.directory.join('asked');
    await truncate(askedFile).catch(() => {});
    const outcome = await runDriver(this.#job(repo), disturbance);
    if (this.#scenario.location !== 'http') return { outcome, asked: await readAsked(askedFile) };
    const asked = server.requests.slice(before).flatMap(({ path }) => checksumOfPath(path) ?? []);
    return { outcome, asked };
  }
}

function checksumOfPath(path: string): Checksum | undefined {
  const [, start, rest] = /\/objects\/([0-9a-f]{2})\/([0-9a-f]{62})\.(commit|dirtree|dirmeta|filez)$/.exec(path) ?? [];
  return rest === undefined ? undefined : (`${start}${rest}` as Checksum);
}

/** What does not depend on how often the pull was interrupted. The digest is told of by the pull that brings the rest, if there is a rest. */
function resultOf({ exitCode, stdout, stderr }: Outcome): object {
  if (exitCode !== 0) throw new Error(`exit status ${exitCode}: ${stderr}`);
  const [{ commit, streamId, image, digest, upToDate }] = (JSON.parse(stdout.split('\n')[1]) as PullReport).results;
  return { commit, streamId, image, digest: upToDate ? 'match' : digest };
}

describeWithPeers('killed pulls', ['strace'], () => {
  test.each(SCENARIOS)('$title: $kills kills', { timeout: 300_000 }, async (scenario) => {
    const random = new Random(SEED);
    const campaign = new Campaign(scenario);
    await campaign.prepare();
    while (campaign.kills < scenario.kills) await campaign.live(random);
    console.log(
      `${scenario.title}: ${campaign.kills} kills, ${campaign.killsWithCheckpoint} of them after a checkpoint`,
    );
    expect((100 * campaign.killsWithCheckpoint) / campaign.kills).toBeGreaterThan(MIN_PERCENT_WITH_CHECKPOINT);
  });
});
