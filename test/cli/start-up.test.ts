/** What starting costs, counted and not timed: files and modules of Node that are loaded, requests that are made. */

import { chmod, chown, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { vectorRepository } from '../support/vector-repositories.ts';
import { cliEnvironment, ensureBuilt, PROGRAM, ROOT, runCliJson } from './run-cli.ts';

const REF = 'nasty/x86_64/main';
/** By `require`; the program itself is one more, `program/program.cjs`. */
const BUNDLE = ['program/start.cjs'];
const ADDON = 'native/build/cfs_ostree.node';
/** Each of them takes milliseconds, and brings more along. */
const COSTLY = ['child_process', 'crypto', 'http', 'https', 'http2', 'tls', 'util', 'worker_threads', 'zlib'];

let directory: TemporaryDirectory;
let server: StaticServer;
let store: string[];
let pull: string[];

beforeAll(async () => {
  directory = await makeTemporaryDirectory();
  server = await startStaticServer(await vectorRepository('archive'));
  store = ['--repo', directory.join('store')];
  pull = ['pull', server.url, REF, ...store];
  await runCliJson(['init', '--insecure', directory.join('store')]);
  await runCliJson(pull);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

interface Loaded {
  /** Below the tree. */
  files: string[];
  /** Node's own modules that an empty program does not load. */
  builtins: string[];
}

const REPORT = ['--require', resolve(import.meta.dirname, 'report-loaded.cjs')];
const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1) as string;

async function loadedBy(args: string[]): Promise<Loaded> {
  await ensureBuilt();
  const run = async (program: string[]): Promise<Loaded> => {
    const { exitCode, stderr } = await runCommand(process.execPath, [...REPORT, ...program], { env: cliEnvironment() });
    expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
    return JSON.parse(lastLine(stderr)) as Loaded;
  };
  const empty = await run(['-e', '0']);
  await run([PROGRAM, ...args]); // the first time, code is kept
  const { files, builtins } = await run([PROGRAM, ...args]);
  return {
    files: files.map((path) => relative(ROOT, path)),
    builtins: builtins.filter((name) => !empty.builtins.includes(name)),
  };
}

describe('little is loaded', () => {
  test('by --version', async () => {
    const { files, builtins } = await loadedBy(['--version']);
    expect(files).toEqual(BUNDLE);
    expect(builtins.filter((name) => COSTLY.includes(name))).toEqual([]);
    expect(builtins.length).toBeLessThan(30);
  });

  test('by refs', async () => {
    const { files, builtins } = await loadedBy(['refs', ...store]);
    expect(files).toEqual([...BUNDLE, ADDON]);
    expect(builtins.filter((name) => COSTLY.includes(name))).toEqual([]);
    expect(builtins.length).toBeLessThan(15);
  });

  test('by a pull with nothing to do', async () => {
    const { files, builtins } = await loadedBy(pull);
    expect(files).toEqual([...BUNDLE, ADDON]);
    // this commit has detached metadata: they are compared with those that are stored, compressed
    expect(builtins.filter((name) => COSTLY.includes(name))).toEqual(['zlib']);
    expect(builtins.length).toBeLessThan(50);
  });
});

test('a pull with nothing to do asks for four small files', async () => {
  server.requests.length = 0;
  const { results } = await runCliJson<{ results: [{ commit: string; upToDate: boolean }] }>(pull);
  const [{ commit, upToDate }] = results;
  expect(upToDate).toBe(true);
  const object = `/objects/${commit.slice(0, 2)}/${commit.slice(2)}`;
  expect(server.requests.map(({ path }) => path).sort()).toEqual(
    ['/config', `/refs/heads/${REF}`, `${object}.commit`, `${object}.commitmeta`].sort(),
  );
});

const twice = (bytes: Buffer): Buffer => Buffer.concat([bytes, bytes]);

describe('compiled code', () => {
  const run = async (cache: string, args = ['refs', ...store], expectedStatus = 0): Promise<void> => {
    const env = cliEnvironment({ XDG_CACHE_HOME: cache, NODE_DISABLE_COMPILE_CACHE: undefined });
    const { exitCode, stderr } = await runCommand(process.execPath, [PROGRAM, ...args], { env });
    expect([exitCode, stderr]).toEqual([expectedStatus, expectedStatus === 0 ? '' : expect.any(String)]);
  };
  const written = async (cache: string): Promise<Array<[string, number]>> => {
    const names = await readdir(cache, { recursive: true });
    const all = await Promise.all(names.map(async (name) => ({ name, stats: await stat(join(cache, name)) })));
    return all.flatMap(({ name, stats }): Array<[string, number]> => (stats.isFile() ? [[name, stats.mtimeMs]] : []));
  };
  const theFile = async (cache: string, command = 'refs'): Promise<string> => {
    const names = (await written(cache)).map(([name]) => name).filter((name) => name.endsWith(`-${command}`));
    expect(names.length).toBe(1);
    return join(cache, names[0]);
  };

  test("is kept in the user's own directory, and taken from there the next time", async () => {
    const cache = directory.join('cache');
    await run(cache);
    const first = await written(cache);
    expect(first.map(([name]) => dirname(name))).toEqual(['cfs-ostree/compiled']);
    expect((await stat(await theFile(cache))).mode & 0o777).toBe(0o600);
    await run(cache);
    expect(await written(cache)).toEqual(first);
  });

  test('is kept for each command that ends well, wherever its name stands', async () => {
    const cache = directory.join('several');
    await run(cache);
    await run(cache, ['show', 'no-such-ref', ...store], 4);
    await run(cache, [...store, ...pull]);
    await run(cache, ['--version']);
    const first = await written(cache);
    expect(first.map(([name]) => name.replace(/^.*?-[0-9a-f]{16}-/, '')).sort()).toEqual(['--version', 'pull', 'refs']);
    await run(cache, pull);
    await run(cache, [...store, ...pull]);
    await run(cache, ['--version']);
    expect(await written(cache)).toEqual(first);
  });

  test('of other builds goes when it is a month old', async () => {
    const cache = directory.join('old');
    await run(cache);
    const own = await theFile(cache);
    const other = (name: string) => join(dirname(own), `v99.0.0-x64-0123456789abcdef-${name}`);
    for (const [file, days] of [
      [own, 40],
      [other('old'), 40],
      [other('new'), 20],
    ] as const) {
      await writeFile(file, '', { flag: 'a' });
      const then = Date.now() / 1000 - days * 24 * 3600;
      await utimes(file, then, then);
    }
    await run(cache, ['--version']);
    const names = (await written(cache)).map(([name]) => basename(name));
    expect(names.sort()).toEqual(
      [basename(own), basename(own).replace(/refs$/, '--version'), basename(other('new'))].sort(),
    );
  });

  test.each([
    ['empty', () => Buffer.alloc(0)],
    ['cut short', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
    ['of another version of V8', (bytes: Buffer) => twice(bytes.subarray(0, bytes.length / 2).fill(0x5a, 4, 8))],
    ['damaged', (bytes: Buffer) => Buffer.from(bytes).fill(0x5a, bytes.length / 4, bytes.length / 4 + 2000)],
    ['something else', () => twice(Buffer.from('something else'))],
  ])('is made again where the file is %s', async (_what, damage) => {
    const cache = directory.join('damaged');
    await run(cache);
    const file = await theFile(cache);
    const good = await readFile(file);
    await writeFile(file, damage(good));
    await run(cache);
    expect((await stat(file)).size).toBeGreaterThan(0.9 * good.length);
  });

  test.each([
    ['that others may write to', (file: string) => chmod(file, 0o666)],
    ['of another user', (file: string) => chown(file, 12345, 12345)],
  ])('is not taken from a file %s', async (_what, change) => {
    const cache = directory.join('foreign');
    await run(cache);
    const file = await theFile(cache);
    await change(file);
    await run(cache);
    const { uid, mode } = await stat(file); // it has been replaced
    expect([uid, mode & 0o777]).toEqual([process.getuid?.(), 0o600]);
  });

  test('is not kept where Node is told to keep none', async () => {
    const cache = directory.join('none');
    const env = cliEnvironment({ XDG_CACHE_HOME: cache, NODE_DISABLE_COMPILE_CACHE: '1' });
    const { exitCode } = await runCommand(process.execPath, [PROGRAM, 'refs', ...store], { env });
    expect(exitCode).toBe(0);
    await expect(stat(cache)).rejects.toThrow('ENOENT');
  });

  test('is done without where nothing can be written', async () => {
    const file = directory.join('no-directory');
    await writeFile(file, '');
    await run(file);
  });
});
