/** Where attacks are prepared: each a hostile source, served over HTTP too, and a store that pulls from it; and what they must come to. */

import { rm } from 'node:fs/promises';
import { expect } from 'vitest';
import { ensureBuilt } from '../cli/run-cli.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { HOSTILE_REF } from './hostile-cases.ts';
import { HostileSource } from './hostile-source.ts';
import { type JsonError, readError, Victim } from './victim.ts';

/** Exit status for what an attacker made. */
export const CORRUPT = 5;

export interface Attack extends AsyncDisposable {
  source: HostileSource;
  victim: Victim;
  url: string;
}

export class AttackGround implements AsyncDisposable {
  readonly #directory: TemporaryDirectory;
  readonly #server: StaticServer;
  #count = 0;

  private constructor(directory: TemporaryDirectory, server: StaticServer) {
    this.#directory = directory;
    this.#server = server;
  }

  static async open(): Promise<AttackGround> {
    await ensureBuilt();
    const directory = await makeTemporaryDirectory();
    return new AttackGround(directory, await startStaticServer(directory.path));
  }

  /** What is served. */
  get path(): string {
    return this.#directory.path;
  }

  async prepare(): Promise<Attack> {
    const id = `case-${this.#count++}`;
    const scratch = this.#directory.join(id);
    return {
      source: new HostileSource(`${scratch}/repo`),
      victim: await Victim.make(`${scratch}/store`),
      url: `${this.#server.url}/${id}/repo`,
      [Symbol.asyncDispose]: () => rm(scratch, { recursive: true }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await this.#directory[Symbol.asyncDispose]();
  }
}

/** Pulls, expects a refusal that names the object, and that nothing is left of it. */
export async function expectRefused(
  { source, victim, url }: Attack,
  object: string,
  from = source.path,
): Promise<JsonError> {
  const result = await victim.pull(from, HOSTILE_REF);
  expect(result.exitCode, result.stderr).toBe(CORRUPT);
  const error = readError(result);
  expect(error.where?.object).toBe(object);
  expect([source.path, url].some((place) => error.where?.file?.startsWith(place))).toBe(true);
  await victim.expectNothingLeft();
  await victim.expectClean();
  return error;
}

export async function expectPulled({ source, victim }: Attack): Promise<void> {
  const result = await victim.pull(source.path, HOSTILE_REF);
  expect(result.exitCode, result.stderr).toBe(0);
  await victim.expectClean();
}
