/** What every test here begins with: the program as it is built, a published repository, and a directory in memory for the rest. */

import { afterAll, beforeAll } from 'vitest';
import { ensureBuilt } from '../cli/run-cli.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import type { Published } from './published.ts';

export interface Scene {
  readonly source: Published;
  readonly directory: TemporaryDirectory;
}

/** There before the first test of the file, gone after the last one. */
export function useScene(publish: () => Promise<Published>): Scene {
  let scene: Scene | undefined;
  beforeAll(async () => {
    await ensureBuilt();
    scene = { source: await publish(), directory: await makeTemporaryDirectory('memory') };
  });
  afterAll(() => scene?.directory[Symbol.asyncDispose]());
  const made = (): Scene => {
    if (scene === undefined) throw new Error('only tests can use the scene');
    return scene;
  };
  return {
    get source() {
      return made().source;
    },
    get directory() {
      return made().directory;
    },
  };
}
