/** Directories for tests that are gone when the test is. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `disk`: a real file system, where reflinks, O_TMPFILE and big files behave as for users. `memory`: tmpfs, for many small writes. */
export type TemporaryPlace = 'disk' | 'memory';

const MEMORY_DIRECTORY = '/dev/shm';

export class TemporaryDirectory implements AsyncDisposable {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }

  join(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** For `await using directory = await makeTemporaryDirectory()`, or dispose of it in `afterAll`. */
export async function makeTemporaryDirectory(place: TemporaryPlace = 'disk'): Promise<TemporaryDirectory> {
  const parent = place === 'memory' ? MEMORY_DIRECTORY : tmpdir();
  return new TemporaryDirectory(await mkdtemp(join(parent, 'cfs-ostree-test-')));
}
