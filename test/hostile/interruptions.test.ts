/** Pulls that are stopped, or left alone by their server, in every phase: how they end, what they leave, and how the next one goes on. */

import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureBuilt, startCli } from '../cli/run-cli.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { type HonestSource, honestSource, MAIN } from './honest-source.ts';
import { type JsonError, NO_ADDON, Victim } from './victim.ts';

let source: HonestSource;
let server: StaticServer;
let directory: TemporaryDirectory;
/** What an undisturbed pull ends with. */
let streamId: string;
let count = 0;

interface Pulled {
  commit: string;
  streamId: string;
  fetched: { metadata: number; files: number };
  reused: { metadata: number; files: number };
}

beforeAll(async () => {
  await ensureBuilt();
  source = await honestSource();
  server = await startStaticServer(source.path);
  directory = await makeTemporaryDirectory('memory');
  ({ streamId } = await pull(await newVictim(), server.url));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

const newVictim = (): Promise<Victim> => Victim.make(directory.join(`store-${count++}`));

async function pull(victim: Victim, url: string, env: NodeJS.ProcessEnv = {}): Promise<Pulled> {
  const result = await victim.pull(url, MAIN, env);
  expect(result.exitCode, result.stderr).toBe(0);
  return JSON.parse(result.stdout).results[0];
}

interface Ended {
  exitCode: number | null;
  stdout: string;
  error: JsonError;
  /** After the signal. */
  elapsedMs: number;
}

/** Pulls, and signals as soon as `reached` says so. */
async function pullAndSignal(
  victim: Victim,
  url: string,
  { signal, reached, env }: { signal?: NodeJS.Signals; reached: Promise<void>; env?: NodeJS.ProcessEnv },
): Promise<Ended> {
  const child = startCli(['--json', '--repo', victim.path, 'pull', url, MAIN], { env });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const ended = once(child, 'close');
  await Promise.race([
    reached,
    ended.then(() => Promise.reject(new Error(`ended before it was disturbed\n${stderr}`))),
  ]);
  await sleep(300); // what is on its way arrives
  const start = performance.now();
  if (signal !== undefined) child.kill(signal);
  const [exitCode] = await ended;
  const lines = stderr.trim().split('\n');
  return {
    exitCode,
    stdout,
    error: JSON.parse(lines[lines.length - 1]).error,
    elapsedMs: performance.now() - start,
  };
}

type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean;

/** A server that keeps some requests waiting. `reached`: it does so, and has answered so many other requests for files. */
async function startHoldingServer(
  isHeld: Intercept,
  answeredFiles = 0,
): Promise<{ server: StaticServer; reached: Promise<void> }> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let held = 0;
  let files = 0;
  const holding = await startStaticServer(source.path, {
    intercept: (request, response) => {
      const isMeant = isHeld(request, response);
      if (isMeant) held++;
      else if (request.url?.endsWith('.filez')) files++;
      if (held > 0 && files >= answeredFiles) resolve();
      return isMeant;
    },
  });
  return { server: holding, reached: promise };
}

/** True from the nth request on whose path ends so. */
const fromNth = (n: number, suffix: string): Intercept => {
  let seen = 0;
  return (request) => request.url?.endsWith(suffix) === true && ++seen >= n;
};

/** Half of the large file, and then nothing more; everything else is answered. */
const stallInLarge: Intercept = (request, response) => {
  if (request.url !== `/${source.largeObject}`) return false;
  const path = join(source.path, source.largeObject);
  void stat(path).then(({ size }) => {
    response.writeHead(200, { 'content-length': size });
    createReadStream(path, { end: Math.floor(size / 2) }).pipe(response, { end: false });
  });
  return true;
};

/** Files that are answered beside the large one: enough to see that they are kept. */
const BESIDE_LARGE = 120;

const PHASES: Array<{
  phase: string;
  isHeld: () => Intercept;
  answered?: number;
  keeps: 'nothing' | 'metadata' | 'files';
}> = [
  { phase: 'before the repository is known', isHeld: () => fromNth(1, '/config'), keeps: 'nothing' },
  { phase: 'before the commit is known', isHeld: () => fromNth(1, '.commit'), keeps: 'nothing' },
  { phase: 'among the metadata', isHeld: () => fromNth(4, '.dirtree'), keeps: 'metadata' },
  { phase: 'among the files', isHeld: () => fromNth(100, '.filez'), keeps: 'files' },
  { phase: 'inside a large file', isHeld: () => stallInLarge, answered: BESIDE_LARGE, keeps: 'files' },
];
const SIGNALS = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const;

/** Interrupted: a clean repository with a checkpoint, from which the next pull goes on to the same end. */
async function expectResumable(victim: Victim, keeps: string, env?: NodeJS.ProcessEnv): Promise<void> {
  expect(await victim.temporaries()).toEqual([]);
  const names = await victim.names();
  const checkpoint = `cfs-ostree-partial-${source.commits[MAIN]}`;
  expect(names.filter((name) => !name.includes('partial'))).toEqual([]);
  expect(names.includes(`streams/${checkpoint}`)).toBe(keeps !== 'nothing');
  await victim.expectClean();
  const { reused, fetched, ...rest } = await pull(victim, server.url, env);
  expect(rest).toMatchObject({ commit: source.commits[MAIN], streamId });
  if (keeps !== 'nothing') expect(reused.metadata).toBeGreaterThan(0);
  if (keeps === 'files') expect(reused.files).toBeGreaterThan(50);
  expect(fetched.files + reused.files).toBe(source.files);
  expect((await victim.names()).filter((name) => name.includes('partial'))).toEqual([]);
  await victim.expectClean();
}

describe.concurrent('a signal', () => {
  const cases = PHASES.flatMap((phase) => SIGNALS.map(([signal, exitCode]) => ({ ...phase, signal, exitCode })));
  test.each(cases)('$signal $phase', async ({ signal, exitCode, isHeld, answered, keeps }) => {
    const holding = await startHoldingServer(isHeld(), answered);
    await using _ = holding.server;
    const victim = await newVictim();
    const ended = await pullAndSignal(victim, holding.server.url, { signal, reached: holding.reached });
    expect(ended).toMatchObject({
      exitCode,
      stdout: '',
      error: { code: 'CFS_INTERRUPTED', message: `interrupted by ${signal}` },
    });
    expect(ended.elapsedMs).toBeLessThan(3000);
    await expectResumable(victim, keeps);
  });

  test('without the addon, inside a large file: its temporary has a name, and is gone all the same', async () => {
    const holding = await startHoldingServer(stallInLarge, BESIDE_LARGE);
    await using _ = holding.server;
    const victim = await newVictim();
    const ended = await pullAndSignal(victim, holding.server.url, {
      signal: 'SIGTERM',
      reached: holding.reached,
      env: NO_ADDON,
    });
    expect(ended).toMatchObject({ exitCode: 143, error: { code: 'CFS_INTERRUPTED' } });
    expect(ended.elapsedMs).toBeLessThan(3000);
    await expectResumable(victim, 'files', NO_ADDON);
  });

  test('three times in a row, each time a little further', async () => {
    const victim = await newVictim();
    let before = 0;
    for (const n of [40, 80, 120]) {
      const holding = await startHoldingServer(fromNth(n, '.filez'));
      await using _ = holding.server;
      await pullAndSignal(victim, holding.server.url, { signal: 'SIGINT', reached: holding.reached });
      const { requests } = holding.server;
      const asked = new Set(requests.map(({ path }) => path).filter((path) => path.endsWith('.filez')));
      expect(asked.size).toBeGreaterThanOrEqual(n);
      before += n - 1;
    }
    const { reused, ...rest } = await pull(victim, server.url);
    expect(rest).toMatchObject({ streamId });
    // What was answered and taken in was not asked for again; what was on its way may have been.
    expect(reused.files).toBeGreaterThan(before / 2);
  });
});

const SOURCE_FAILED = 6;

describe.concurrent('a server that', () => {
  test('goes away half-way', async () => {
    const holding = await startHoldingServer(fromNth(100, '.filez'));
    const victim = await newVictim();
    const pulling = pullAndSignal(victim, holding.server.url, { reached: holding.reached });
    await holding.reached;
    await holding.server[Symbol.asyncDispose]();
    expect(await pulling).toMatchObject({ exitCode: SOURCE_FAILED, stdout: '', error: { code: 'CFS_SOURCE' } });
    await expectResumable(victim, 'files');
  });

  test.each<[what: string, answer: (response: ServerResponse) => unknown, path: RegExp | 'large']>([
    [
      'cuts off the large file every time',
      (response) => response.writeHead(200, { 'content-length': 12 << 20 }).write('abc', () => response.destroy()),
      'large',
    ],
    ['resets connections', (response) => response.destroy(), /\.filez$/],
    ['has an internal error', (response) => response.writeHead(500).end(), /\.filez$/],
    ['asks for a password', (response) => response.writeHead(401).end(), /\.filez$/],
    ['forbids', (response) => response.writeHead(403).end(), /\.filez$/],
  ])('%s', async (_what, answer, which) => {
    let seen = 0;
    const holding = await startHoldingServer((request, response) => {
      const url = request.url as string;
      const isMeant = which === 'large' ? url === `/${source.largeObject}` : which.test(url) && ++seen > BESIDE_LARGE;
      if (isMeant) answer(response);
      return isMeant;
    }, BESIDE_LARGE);
    await using _ = holding.server;
    const victim = await newVictim();
    const ended = await pullAndSignal(victim, holding.server.url, { reached: holding.reached });
    expect(ended).toMatchObject({ exitCode: SOURCE_FAILED, stdout: '', error: { code: 'CFS_SOURCE' } });
    expect(ended.error.where?.file).toContain(`${holding.server.url}/objects/`);
    await expectResumable(victim, 'files');
  });

  test('loses an object: that is no transient failure, and what came so far is not kept', async () => {
    const holding = await startHoldingServer((request, response) => {
      if (request.url !== `/${source.largeObject}`) return false;
      response.writeHead(404).end();
      return true;
    });
    await using _ = holding.server;
    const victim = await newVictim();
    const ended = await pullAndSignal(victim, holding.server.url, { reached: holding.reached });
    expect(ended).toMatchObject({ exitCode: 5, error: { code: 'CFS_MISSING_OBJECT' } });
    expect(source.largeObject.replaceAll('/', '')).toContain(ended.error.where?.object?.split('.')[0]);
    await victim.expectNothingLeft();
    expect((await pull(victim, server.url)).streamId).toBe(streamId);
  });
});
