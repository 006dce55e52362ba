/** Every reader of foreign bytes, fuzzed for a while; `run.ts` is the same by hand. */

import { readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { targets as planted } from './planted.ts';
import { type FuzzResult, formatResult, fuzzTarget, startCampaign } from './run.ts';
import { CRASHES_DIRECTORY, listTargets } from './targets.ts';

/** For each target. */
const SECONDS = Number(process.env.CFS_OSTREE_FUZZ_SECONDS ?? 2);
const SEED = Number(process.env.CFS_OSTREE_FUZZ_SEED ?? Date.now() % 2 ** 31);
/** Of the whole campaign, processes to start and a slow machine included. */
const TIMEOUT_MS = 60_000 * Math.max(10, SECONDS);

const targets = await listTargets();

describe(`each target for ${SECONDS} s`, () => {
  let results: Map<string, Promise<FuzzResult>>;
  beforeAll(() => {
    console.log(`CFS_OSTREE_FUZZ_SEED=${SEED}`);
    results = startCampaign(targets, { seconds: SECONDS, seed: SEED });
  });

  test.each(targets)(
    '$name',
    async ({ name }) => {
      const result = (await results.get(name)) as FuzzResult;
      console.log(formatResult(result));
      expect(result.failure && `${result.failure.problem}\nsaved as ${result.failure.savedAs}`).toBeUndefined();
      expect(result.runs).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});

describe('planted mistakes are found', () => {
  const options = { seconds: 20, seed: 1, hangMs: 8000 };
  const crashesOf = (name: string): string => join(CRASHES_DIRECTORY, name);
  afterAll(async () => {
    for (const { name } of planted) await rm(crashesOf(name), { recursive: true, force: true });
  });

  test.each([
    ['planted-throw', /TypeError: Cannot read properties of undefined/, (input: string) => input === 'bug'],
    ['planted-reject', /RangeError/, (input: string) => input.length === 1001],
    ['planted-loop', /did not come back/, (input: string) => input.length > 20],
    ['planted-slow', /takes \d{4,5} ms/, (input: string) => input.length > 20],
    ['planted-memory', /bytes of memory/, (input: string) => input.length > 20],
    ['planted-death', /SIGABRT/, (input: string) => input.length > 20],
  ] as const)(
    '%s',
    async (name, problem, isCause) => {
      const { failure } = await fuzzTarget('planted.ts', name, options);
      expect(failure?.problem).toMatch(problem);
      const input = await readFile(resolve(failure?.savedAs ?? ''), 'latin1');
      expect(input).toSatisfy(isCause);
      // it lies where the next run looks first
      const again = await fuzzTarget('planted.ts', name, { ...options, seconds: 0 });
      expect(again.failure?.problem).toMatch(problem);
    },
    120_000,
  );

  test('and where there is none, none', async () => {
    const result = await fuzzTarget('planted.ts', 'sound', { ...options, seconds: 0.5 });
    expect(result).toMatchObject({ target: 'sound', runs: expect.toSatisfy((runs: number) => runs > 100) });
    expect(result.failure).toBeUndefined();
  });
});
