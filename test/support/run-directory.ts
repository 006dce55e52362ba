/** One directory per run of vitest, for fixtures that are dear and shared between test files. As its global setup: makes and removes it. */

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    runDirectory: string;
  }
}

const PREFIX = 'cfs-ostree-run-';
const POLL_MS = 100;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeLeftovers();
  const directory = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
  project.provide('runDirectory', directory);
  return () => rm(directory, { recursive: true, force: true });
}

/** Directories of runs that were killed: their fixtures take gigabytes. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? name.slice(PREFIX.length).split('-')[0] : undefined;
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/**
 * What `make` returned (JSON), made once per run however many test files ask. `make` fills the empty directory that it is given,
 * which nobody changes afterwards. When it fails, it fails for all who ask.
 */
export async function sharedFixture<T>(name: string, make: (directory: string) => Promise<T>): Promise<T> {
  const directory = join(inject('runDirectory'), name);
  const outcome = `${directory}.json`;
  if (await isFirst(directory)) await writeOutcome(outcome, await attempt(() => make(directory)));
  while (!existsSync(outcome)) await sleep(POLL_MS);
  const { value, failure } = JSON.parse(await readFile(outcome, 'utf8')) as Outcome<T>;
  if (failure !== undefined) throw new Error(`fixture ${name}: ${failure}`);
  return value as T;
}

interface Outcome<T> {
  value?: T;
  failure?: string;
}

async function attempt<T>(make: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await make() };
  } catch (error) {
    return { failure: String(error instanceof Error ? error.stack : error) };
  }
}

async function isFirst(directory: string): Promise<boolean> {
  try {
    await mkdir(directory);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function writeOutcome(path: string, outcome: Outcome<unknown>): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(outcome));
  await rename(`${path}.new`, path);
}
