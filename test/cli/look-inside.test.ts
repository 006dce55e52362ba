import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli, runCliError, runCliJson } from './run-cli.ts';
import { type OwnWorld, openWorld } from './world.ts';

let world: OwnWorld;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const json = <T>(...args: string[]) => runCliJson<T>(args, world);
const text = async (...args: string[]) => (await runCli(args, world)).stdout;
/** The same tree in every form that a TREE can have. */
const trees = () => ['os/main', world.second, world.image, 'os-main', 'file:./os.erofs', 'file:./os.dump'];
const fileTrees = ['file:./os.erofs', 'file:./os.dump'];

const PATHS = [
  '/',
  '/etc',
  '/etc/empty',
  '/etc/os-release',
  '/etc/tool',
  '/usr',
  '/usr/bin',
  '/usr/bin/new',
  '/usr/bin/tool',
  '/usr/share',
  '/usr/share/doc',
  '/usr/share/doc/große Datei.txt',
  '/usr/share/doc/same',
];

describe('ls', () => {
  test('lists the same for every form of a tree', async () => {
    for (const tree of trees()) {
      expect(await text('ls', tree)).toBe('/etc\n/usr\n');
      expect((await text('ls', '-R', tree)).split('\n').slice(0, -1)).toEqual(PATHS);
    }
  });

  test('shows mode, owner, size and target', async () => {
    const lines = (await text('ls', '-lR', 'os/main')).split('\n');
    expect(lines).toContain('-rwxr-xr-x     0     0     200000 /usr/bin/tool');
    expect(lines).toContain('lrwxrwxrwx     0     0          - /etc/tool -> ../usr/bin/tool');
    expect(lines).toContain('drwx------     0     0          - /usr/share/doc');
    expect(lines).toContain('-rw-r--r--     0     0          0 /etc/empty');
  });

  test('as JSON has every fact', async () => {
    const entries = await json<Array<Record<string, unknown>>>('ls', 'os/main', '/usr/bin');
    expect(entries).toEqual([
      {
        path: '/usr/bin/new',
        type: 'file',
        mode: '0644',
        uid: 0,
        gid: 0,
        sizeBytes: 300,
        mtime: '1970-01-01T00:00:00Z',
        object: expect.stringMatching(/^[0-9a-f]{128}$/),
      },
      expect.objectContaining({ path: '/usr/bin/tool', mode: '0755', sizeBytes: 200_000 }),
    ]);
    expect(await json('ls', 'os/main', '/etc/tool')).toMatchObject([{ type: 'symlink', target: '../usr/bin/tool' }]);
    const { stdout } = await runCli(['ls', 'os/main', '/usr/bin', '--json-lines'], world);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(entries);
  });

  test('of a path that is not there is not found', async () => {
    expect(await runCliError(['ls', 'os/main', '/usr/none'], world)).toMatchObject({ exitCode: 4 });
    expect(await runCliError(['ls', 'os/main', '/etc/os-release/x'], world)).toMatchObject({ exitCode: 4 });
    expect(await runCliError(['ls', 'file:./none'], world)).toMatchObject({ exitCode: 4 });
  });
});

describe('cat', () => {
  test('writes the bytes of a file', async () => {
    for (const tree of trees()) {
      const { stdoutBytes } = await runCli(['cat', tree, '/usr/bin/tool'], world);
      expect(stdoutBytes.equals(await readFile(join(world.cwd, 'tree/usr/bin/tool')))).toBe(true);
      expect(await text('cat', tree, 'etc/os-release')).toBe('NAME=Test\nVERSION=1\nEXTRA=yes\n');
      expect(await text('cat', tree, '/etc/empty')).toBe('');
    }
  });

  test('refuses what is no regular file', async () => {
    expect((await runCli(['cat', 'os/main', '/etc'], world)).exitCode).toBe(2);
    expect((await runCli(['cat', 'os/main', '/etc/none'], world)).exitCode).toBe(4);
  });
});

test('dump writes the same dumpfile for every form of a tree', async () => {
  const expected = await readFile(join(world.cwd, 'os.dump'), 'utf8');
  expect(expected.split('\n')[0]).toMatch(/^\/ \d+ 40755 /);
  for (const tree of trees()) expect(await text('dump', tree)).toBe(expected);
});

describe('diff', () => {
  const expected = {
    added: ['/usr/bin/new'],
    removed: [],
    changed: [
      { path: '/etc/os-release', what: ['size', 'content'] },
      { path: '/usr/share/doc', what: ['mode'] },
    ],
  };
  test('names what was added, removed and changed', async () => {
    expect(await json('diff', 'os/old', 'os/main')).toEqual(expected);
    expect(await json('diff', 'os/main', 'os/old')).toEqual({ ...expected, added: [], removed: expected.added });
    expect(await text('diff', 'os/old', 'os/main')).toBe(
      'A  /usr/bin/new\nM  /etc/os-release  (size, content)\nM  /usr/share/doc  (mode)\n',
    );
  });

  test('finds no difference between the forms of a tree, and ends with 0', async () => {
    for (const tree of trees())
      expect(await json('diff', '--exit-code', 'os/main', tree)).toEqual({ added: [], removed: [], changed: [] });
  });

  test('ends with 3 for --exit-code only, with and without --json', async () => {
    expect((await runCli(['diff', 'os/old', 'os/main'], world)).exitCode).toBe(0);
    for (const form of [[], ['--json']]) {
      const { exitCode, stderr } = await runCli(['diff', '--exit-code', 'os/old', 'os/main', ...form], world);
      expect({ exitCode, stderr }).toEqual({ exitCode: 3, stderr: '' });
    }
  });
});

test('du counts what is shared once', async () => {
  const usages = await json<Array<Record<string, unknown>>>('du', 'os/main', 'os/old');
  expect(usages).toEqual([
    { path: 'os/main', entries: 13, apparentBytes: 210_330, storedBytes: 205_330 },
    { path: 'os/old', entries: 12, apparentBytes: 210_020, storedBytes: 205_020 },
  ]);
  expect(await text('du', 'os/main')).toBe('ENTRIES  IN FILES   STORED  TREE\n     13   205 KiB  201 KiB  os/main\n');
});

describe('images', () => {
  test('are listed with name, size, version and commit', async () => {
    const [image, ...others] = await json<Array<Record<string, unknown>>>('images');
    expect(others).toEqual([]);
    expect(image).toEqual({
      image: world.image,
      names: ['os-main'],
      sizeBytes: (await readFile(join(world.cwd, 'os.erofs'))).length,
      erofsVersion: 1,
      commit: world.second,
    });
    expect(await text('images')).toMatch(new RegExp(`^IMAGE.*\\n${world.image.slice(0, 24)} .* os-main\\n$`));
  });

  test('name the objects that they need', async () => {
    const objects = await json<string[]>('image-objects', 'os/main');
    expect(objects).toHaveLength(3);
    expect([...objects].sort()).toEqual(objects);
    for (const tree of trees()) expect(await text('image-objects', tree)).toBe(objects.map((id) => `${id}\n`).join(''));
  });
});

test('files need no repository', async () => {
  const nowhere = { cwd: world.cwd, env: { CFS_OSTREE_REPO: '/nowhere/at-all' } };
  for (const tree of fileTrees)
    for (const args of [
      ['ls', tree],
      ['dump', tree],
      ['image-objects', tree],
      ['diff', tree, tree],
    ])
      expect(await runCli(args, nowhere)).toMatchObject({ exitCode: 0, stderr: '' });
  expect(await runCli(['ls', 'os/main'], nowhere)).toMatchObject({ exitCode: 10 });
});
