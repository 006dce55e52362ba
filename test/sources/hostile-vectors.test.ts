/** The categories config and refs of test/vectors/hostile, from disk and over HTTP: whatever opens or resolves them must refuse. */

import { mkdir, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CfsError, MissingObjectError } from '../../src/errors.ts';
import { openSource } from '../../src/sources/open-source.ts';
import { runChecked } from '../support/run-command.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { readVector, readVectorJson, vectorPath } from '../support/vectors.ts';

interface HostileCase {
  id: string;
  category: string;
  verdict: string;
  dir: string;
  files: { config?: string; repo?: string };
}

const REF = 'hostile';
const cases = readVectorJson<{ cases: HostileCase[] }>('hostile/expected.json').cases;
const ofCategory = (category: string): HostileCase[] => cases.filter((one) => one.category === category);

let directory: TemporaryDirectory;
let server: StaticServer;
beforeAll(async () => {
  directory = await makeTemporaryDirectory();
  server = await startStaticServer(directory.path);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

async function unpack({ id, dir, files }: HostileCase): Promise<string[]> {
  const path = directory.join(id);
  await mkdir(`${path}/objects`, { recursive: true });
  if (files.repo !== undefined)
    await runChecked('tar', ['-xzf', vectorPath(`hostile/${dir}/${files.repo}`), '-C', path]);
  if (files.config !== undefined) await writeFile(`${path}/config`, readVector(`hostile/${dir}/${files.config}`));
  return [path, `${server.url}/${id}`];
}

const failureOf = async (work: () => Promise<unknown>): Promise<unknown> => {
  try {
    return { resolved: await work() };
  } catch (error) {
    return error;
  }
};

describe('config', () => {
  test.each(ofCategory('config'))('$id is not opened', async (hostile) => {
    expect(hostile.verdict).toBe('reject');
    for (const location of await unpack(hostile)) {
      const error = await failureOf(() => openSource(location));
      expect(error).toBeInstanceOf(CfsError);
      // Nothing there, or something that is damaged.
      expect((error as CfsError).exitCode).toBe(hostile.id === 'config-missing' ? 10 : 5);
      expect((error as CfsError).where.file).toContain(location);
    }
  });
});

describe('refs', () => {
  test.each(ofCategory('refs'))('$id does not lead to a commit', async (hostile) => {
    expect(hostile.verdict).toBe('reject');
    for (const location of await unpack(hostile)) {
      await using source = await openSource(location);
      const error = await failureOf(async () => source.fetchMetadata(await source.resolveRef(REF), 'commit'));
      expect(error).toBeInstanceOf(CfsError);
      expect((error as CfsError).exitCode).toBe(5);
      const leadsNowhere = ['ref-missing-commit', 'ref-names-dirtree'].includes(hostile.id);
      expect(error instanceof MissingObjectError).toBe(leadsNowhere);
    }
  });
});
