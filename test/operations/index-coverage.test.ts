/** Every stored commit is used by a pull, whoever stored it and whatever gc has removed since. */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { PullReport } from '../../src/operations/pull.ts';
import { readGaps } from '../../src/store/side-index-gaps.ts';
import { ensureBuilt, runCliJson } from '../cli/run-cli.ts';
import { describeWithPeers, getPeer } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';

const COMMON_FILES = 20;

let directory: TemporaryDirectory;
let source: string;
let store: string;

beforeEach(async () => {
  await ensureBuilt();
  directory = await makeTemporaryDirectory();
  source = directory.join('source');
  store = directory.join('store');
  const scratch = directory.join('scratch');
  for (const repo of [scratch, store]) await runCliJson(['init', '--insecure', repo]);
  for (const branch of ['a', 'b', 'c', 'd']) {
    const tree = directory.join(`tree-${branch}`);
    await mkdir(tree);
    for (let i = 0; i < COMMON_FILES; i++) await writeFile(join(tree, `common${i}`), `${i} `.repeat(500));
    await writeFile(join(tree, `only-${branch}`), `${branch} `.repeat(500));
    await runCliJson(['commit', tree, '--branch', branch, '--subject', branch, '--repo', scratch]);
  }
  await runCliJson(['export', 'a', 'b', 'c', 'd', source, '--mode', 'archive', '--repo', scratch]);
});
afterEach(async () => {
  await directory[Symbol.asyncDispose]();
});

const json = <T>(...args: string[]): Promise<T> => runCliJson<T>([...args, '--repo', store]);

/** Commits of this source have no parents and no ref in common: only the index can tell what is here. */
async function expectOnlyItsOwnFile(branch: string): Promise<void> {
  const { results } = await json<PullReport>('pull', source, branch);
  expect(results[0]).toMatchObject({ base: [], fetched: { files: 1 }, reused: { files: COMMON_FILES } });
}

const removeIndex = () => rm(join(store, 'cfs-ostree'), { recursive: true });

test('gc removes the commit that an object stood under, and another one has it', async () => {
  await json('pull', source, 'a', 'b');
  await json('untag', 'a');
  await json('gc');
  expect((await readGaps(store)).size).toBe(1);
  await expectOnlyItsOwnFile('c');
  expect((await readGaps(store)).size).toBe(0);
  await expectOnlyItsOwnFile('d');
});

test('a base that is asked first can wait, and is not forgotten', async () => {
  await json('pull', source, 'a', 'b');
  await json('untag', 'a');
  await json('gc');
  const { results } = await json<PullReport>('pull', source, 'c', '--base', 'b');
  expect(results[0]).toMatchObject({ fetched: { files: 1 } });
  expect((await readGaps(store)).size).toBe(1);
  await json('untag', 'c');
  await json('gc');
  await expectOnlyItsOwnFile('d');
});

test('without an index', async () => {
  await json('pull', source, 'a');
  await removeIndex();
  await expectOnlyItsOwnFile('b');
  await expectOnlyItsOwnFile('c');
});

test('a dry run writes nothing', async () => {
  await json('pull', source, 'a');
  await removeIndex();
  await json('pull', source, 'b', '--dry-run');
  await expect(removeIndex()).rejects.toMatchObject({ code: 'ENOENT' });
});

describeWithPeers('of cfsctl', ['cfsctl'], () => {
  test('what it pulled is used', async () => {
    await runChecked(getPeer('cfsctl'), ['--repo', store, 'ostree', 'pull-local', source, 'a']);
    await expectOnlyItsOwnFile('b');
  });
});
