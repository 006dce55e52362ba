import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { runCli, runCliError, runCliJson } from './run-cli.ts';
import { type OwnWorld, openWorld } from './world.ts';

let world: OwnWorld;
beforeEach(async () => {
  world = await openWorld();
  return () => world[Symbol.asyncDispose]();
});
const json = <T>(...args: string[]) => runCliJson<T>(args, world);
const error = (...args: string[]) => runCliError(args, world);
const NOWHERE = ['--repo', '/nowhere/at-all'];

describe('create-image', () => {
  test('builds the image of a commit, again with the same id', async () => {
    expect(await json('create-image', world.second)).toEqual({
      commit: world.second,
      image: world.image,
      erofsVersion: 1,
      sizeBytes: expect.any(Number),
      entries: 13,
    });
  });

  test('of another version has another id, and is kept beside the first one', async () => {
    const { image, erofsVersion } = await json<{ image: string; erofsVersion: number }>(
      'create-image',
      'os/main',
      '--erofs-version',
      '2',
    );
    expect(erofsVersion).toBe(2);
    expect(image).not.toBe(world.image);
    await json('untag', 'os-main');
    expect(await json('gc')).toMatchObject({ imagesRemoved: 0 });
    expect((await json<unknown[]>('images')).length).toBe(2);
  });

  test('--require-digest demands a digest and checks it', async () => {
    expect(await json('create-image', 'os/main', '--require-digest')).toMatchObject({ digest: 'match' });
    expect(await error('create-image', 'os/old', '--require-digest')).toMatchObject({
      exitCode: 7,
      error: { code: 'CFS_UNTRUSTED', where: { field: 'ostree.composefs.digest.v0' } },
    });
  });

  test('--output writes a file and stores nothing', async () => {
    const output = join(world.cwd, 'new.erofs');
    const before = await json('images');
    const report = await json<{ image: string }>('create-image', 'os/old', '--output', output);
    expect(await json('images')).toEqual(before);
    expect(await json('compute-id', '--image', output)).toEqual({ image: report.image, erofsVersion: 1 });
    expect(await error('create-image', 'os/old', '--output', join(world.cwd, 'none/x'))).toMatchObject({ exitCode: 4 });
  });

  test('of a dumpfile needs no repository with --output', async () => {
    const output = join(world.cwd, 'new.erofs');
    expect(await json('create-image', '--dumpfile', './os.dump', '--output', output, ...NOWHERE)).toMatchObject({
      image: world.image,
      entries: 13,
    });
    expect((await readFile(output)).equals(await readFile(join(world.cwd, 'os.erofs')))).toBe(true);
  });

  test('of a dumpfile is stored when all that it needs is there', async () => {
    const named = await json('create-image', '--dumpfile', './os.dump', '--name', 'from-dump');
    expect(named).toMatchObject({ image: world.image, name: 'from-dump' });
    expect(await json('images')).toMatchObject([{ names: ['from-dump', 'os-main'] }]);
    const other = join(world.cwd, 'other');
    await json('init', '--insecure', other);
    expect(await error('create-image', '--dumpfile', './os.dump', '--repo', other)).toMatchObject({
      exitCode: 5,
      error: { code: 'CFS_MISSING_OBJECT' },
    });
  });

  test.each([
    ['neither commit nor dumpfile', []],
    ['both', ['os/main', '--dumpfile', './os.dump']],
    ['a name for a file', ['os/main', '--name', 'x', '--output', 'y']],
    ['a digest in a dumpfile', ['--dumpfile', './os.dump', '--require-digest']],
    ["an algorithm that is not the repository's", ['os/main', '--algorithm', 'fsverity-sha256-12']],
  ])('refuses %s', async (_title, args) => {
    expect(await error('create-image', ...args)).toMatchObject({ exitCode: 2, error: { code: 'CFS_USAGE' } });
  });

  test.each([
    ['a ref that is not there', ['os/none'], 4],
    ['a dumpfile that is not there', ['--dumpfile', './none', '--output', 'x'], 4],
    ['a dumpfile that is none', ['--dumpfile', './tree/usr/bin/tool', '--output', 'x'], 5],
  ])('ends with the right status for %s', async (_title, args, exitCode) => {
    expect(await error('create-image', ...args)).toMatchObject({ exitCode });
  });

  test('refuses a commit whose content is gone or of another size', async () => {
    const [object] = await json<string[]>('image-objects', 'os/main');
    const path = join(world.cwd, 'store/objects', object.slice(0, 2), object.slice(2));
    await rm(path);
    expect(await error('create-image', 'os/main')).toMatchObject({
      exitCode: 5,
      error: { code: 'CFS_MISSING_OBJECT' },
    });
    await writeFile(path, 'short');
    expect(await error('create-image', 'os/main')).toMatchObject({ exitCode: 5, error: { code: 'CFS_FORMAT' } });
  });
});

describe('compute-id', () => {
  test('gives the same id for commit, dumpfile and image file, in words and as JSON', async () => {
    for (const args of [['os/main'], ['--dumpfile', './os.dump'], ['--image', './os.erofs']]) {
      expect(await json('compute-id', ...args)).toEqual({ image: world.image, erofsVersion: 1 });
      expect((await runCli(['compute-id', ...args], world)).stdout).toBe(`${world.image}\n`);
    }
  });

  test('needs no repository for files', async () => {
    expect(await json('compute-id', '--dumpfile', './os.dump', ...NOWHERE)).toMatchObject({ image: world.image });
    expect(await json('compute-id', '--image', './os.erofs', ...NOWHERE)).toMatchObject({ image: world.image });
  });

  test('of a commit stores nothing', async () => {
    const before = await json('images');
    await json('compute-id', 'os/old');
    expect(await json('images')).toEqual(before);
  });

  test('takes version and algorithm', async () => {
    const version2 = await json<{ image: string }>('compute-id', 'os/main', '--erofs-version', '2');
    const stored = await json<{ image: string }>('create-image', 'os/main', '--erofs-version', '2');
    expect(version2.image).toBe(stored.image);
    const { image } = await json<{ image: string }>(
      'compute-id',
      '--image',
      './os.erofs',
      '--algorithm',
      'fsverity-sha256-12',
    );
    expect(image).toMatch(/^[0-9a-f]{64}$/);
    expect(await json('compute-id', '--dumpfile', './os.dump', '--erofs-version', 'auto')).toMatchObject({
      erofsVersion: 0,
    });
  });

  test('refuses an image that is none, or damaged', async () => {
    expect(await error('compute-id', '--image', './os.dump')).toMatchObject({
      exitCode: 5,
      error: { code: 'CFS_FORMAT' },
    });
    await writeFile(join(world.cwd, 'cut.erofs'), (await readFile(join(world.cwd, 'os.erofs'))).subarray(0, 5000));
    expect(await error('compute-id', '--image', './cut.erofs')).toMatchObject({ exitCode: 5 });
  });

  test.each([[[]], [['os/main', '--image', './os.erofs']], [['--image', './os.erofs', '--erofs-version', '1']]])(
    'refuses %j',
    async (args) => {
      expect(await error('compute-id', ...args)).toMatchObject({ exitCode: 2 });
    },
  );
});
