import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runCli, runCliError, runCliJson } from './run-cli.ts';
import { type OwnWorld, openWorld } from './world.ts';

let world: OwnWorld;
/** For tests that change something. */
let own: OwnWorld;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const json = <T>(...args: string[]) => runCliJson<T>(args, world);
const error = (...args: string[]) => runCliError(args, world);

describe('refs', () => {
  const expected = () => [
    { ref: 'os/main', commit: world.second, stream: `ostree-commit-${world.second}` },
    { ref: 'os/old', commit: world.first, stream: `ostree-commit-${world.first}` },
  ];
  test('lists every ref, sorted', async () => {
    expect(await json('refs')).toEqual(expected());
    expect((await runCli(['refs'], world)).stdout).toBe(
      `REF      COMMIT\nos/main  ${world.second}\nos/old   ${world.first}\n`,
    );
  });

  test('as lines', async () => {
    const { stdout } = await runCli(['refs', '--json-lines'], world);
    expect(stdout).toBe(
      expected()
        .map((entry) => `${JSON.stringify(entry)}\n`)
        .join(''),
    );
  });
});

describe('a commit is named by', () => {
  const shown = async (name: string) => (await json<{ commit: string }>('show', name)).commit;
  test('ref, checksum, unique prefix, and ^ for its parent', async () => {
    for (const name of ['os/main', world.second, world.second.slice(0, 8)])
      expect(await shown(name)).toBe(world.second);
    for (const name of ['os/main^', `${world.second.slice(0, 12)}^`]) expect(await shown(name)).toBe(world.first);
  });

  test.each([
    ['a ref that is not there', 'os/none', 4],
    ['a parent that is not there', 'os/main^^', 4],
    ['a commit that is not there', '0'.repeat(64), 4],
    ['a path out of the repository', '../../etc', 4],
  ])('%s: not found', async (_title, name, exitCode) => {
    expect(await error('show', name)).toMatchObject({ exitCode, error: { code: 'CFS_NOT_FOUND' } });
  });

  test('a prefix that is too short is refused, not guessed at', async () => {
    expect(await error('show', world.second.slice(0, 6))).toMatchObject({ exitCode: 2 });
  });
});

describe('log', () => {
  const expected = () => [
    {
      commit: world.second,
      parent: world.first,
      timestamp: '1970-01-01T00:33:20Z',
      subject: 'Second',
      body: 'More about it.\nAnd more.',
      version: '2.0',
      stored: true,
    },
    { commit: world.first, timestamp: '1970-01-01T00:16:40Z', subject: 'First', stored: true },
  ];
  test('shows commits from the newest on', async () => {
    expect(await json('log', 'os/main')).toEqual(expected());
    expect(await json('log', 'os/main^')).toEqual(expected().slice(1));
  });

  test('in words', async () => {
    const { stdout } = await runCli(['log', 'os/main'], world);
    expect(stdout).toBe(
      `commit ${world.second}\nParent:  ${world.first}\nDate:    1970-01-01 00:33:20 UTC\nVersion: 2.0\n\n    Second\n\n` +
        `    More about it.\n    And more.\n\ncommit ${world.first}\nDate:    1970-01-01 00:16:40 UTC\n\n    First\n`,
    );
  });
});

test('show tells everything about one commit', async () => {
  const report = await json<Record<string, unknown>>('show', 'os/main');
  expect(report).toMatchObject({
    commit: world.second,
    parent: world.first,
    subject: 'Second',
    stream: `ostree-commit-${world.second}`,
    images: [world.image],
    files: 6,
    sizeBytes: 30 + 200_000 + 300 + 5_000 + 0,
    metadata: { version: '2.0', 'ostree.ref-binding': ['os/main'] },
  });
  expect(report.streamId).toMatch(/^[0-9a-f]{128}$/);
  const { stdout } = await runCli(['show', 'os/main'], world);
  for (const word of ['Second', 'And more.', 'version', world.image]) expect(stdout).toContain(word);
});

describe('tag and untag', () => {
  beforeEach(async () => {
    own = await openWorld();
    return () => own[Symbol.asyncDispose]();
  });
  const ownRefs = async () => (await runCliJson<Array<{ ref: string }>>(['refs'], own)).map(({ ref }) => ref);

  test('give a commit a name and take it away', async () => {
    expect(await runCliJson(['tag', 'os/main^', 'keep/this one'.replace(' ', '-')], own)).toEqual({
      ref: 'keep/this-one',
      commit: own.first,
    });
    expect(await ownRefs()).toEqual(['keep/this-one', 'os/main', 'os/old']);
    expect(await runCliJson(['untag', 'keep/this-one'], own)).toEqual({ ref: 'keep/this-one', commit: own.first });
    expect(await ownRefs()).toEqual(['os/main', 'os/old']);
  });

  test('tag does not move a name, and is content when there is nothing to do', async () => {
    expect(await runCliError(['tag', 'os/main', 'os/old'], own)).toMatchObject({
      exitCode: 8,
      error: { code: 'CFS_CONFLICT' },
    });
    expect(await runCliJson(['tag', own.first, 'os/old'], own)).toEqual({ ref: 'os/old', commit: own.first });
    expect(await runCliJson(['show', 'os/old'], own)).toMatchObject({ commit: own.first });
  });

  test.each([[''], ['/x'], ['a//b'], ['../x'], ['-x'], ['a b'], ['a'.repeat(64)]])(
    'tag refuses the name %j',
    async (name) => {
      expect(await runCliError(['tag', 'os/main', '--', name], own)).toMatchObject({ exitCode: 2 });
      expect(await ownRefs()).toEqual(['os/main', 'os/old']);
    },
  );

  test('tag needs a commit that is stored', async () => {
    expect(await runCliError(['tag', '0'.repeat(64), 'x'], own)).toMatchObject({ exitCode: 4 });
  });

  test('untag drops the name of an image where no ref has that name', async () => {
    expect(await runCliJson(['untag', 'os-main'], own)).toEqual({ ref: 'os-main', image: own.image });
    expect(await runCliJson(['images'], own)).toMatchObject([{ image: own.image, names: [] }]);
    expect(await runCliError(['untag', 'os-main'], own)).toMatchObject({
      exitCode: 4,
      error: { code: 'CFS_NOT_FOUND' },
    });
  });

  test('untag drops a ref that leads nowhere', async () => {
    const path = join(own.cwd, 'store/streams/refs/ostree/bad');
    await symlink('../../elsewhere', path);
    expect(await runCliJson(['untag', 'bad'], own)).toEqual({ ref: 'bad' });
    await rm(path, { force: true });
    expect(await ownRefs()).toEqual(['os/main', 'os/old']);
  });
});
