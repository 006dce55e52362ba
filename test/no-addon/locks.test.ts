/** Locks of the program without the addon: from the package fs-ext, else from the program flock, else none, and then nothing is written. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli, runCliError, runCliJson, startCli } from '../cli/run-cli.ts';
import { snapshot } from '../support/composefs-repositories.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { vectorRepository } from '../support/vector-repositories.ts';

const REF = 'nasty/canonical';
const HIDDEN_FS_EXT = `--import ${join(import.meta.dirname, 'hide-fs-ext.mjs')}`;

let directory: TemporaryDirectory;
let source: string;
let repo: string;
/** A directory for PATH that has the named programs and nothing else. */
async function onlyPrograms(name: string, programs: string[]): Promise<string> {
  await mkdir(directory.join(name));
  for (const program of programs) await symlink(program, directory.join(name, program.split('/').at(-1) as string));
  return directory.join(name);
}

type Way = 'fs-ext' | 'flock' | 'nothing';
let environments: Record<Way, NodeJS.ProcessEnv>;
beforeAll(async () => {
  directory = await makeTemporaryDirectory();
  source = await vectorRepository('archive');
  repo = directory.join('repo');
  const [nothing, flock] = [await onlyPrograms('none', []), await onlyPrograms('flock', ['/usr/bin/flock'])];
  const common = { CFS_OSTREE_NO_ADDON: '1', CFS_OSTREE_REPO: repo };
  environments = {
    'fs-ext': { ...common, PATH: nothing },
    flock: { ...common, PATH: flock, NODE_OPTIONS: HIDDEN_FS_EXT },
    nothing: { ...common, PATH: nothing, NODE_OPTIONS: HIDDEN_FS_EXT },
  };
  await runCliJson(['init', '--insecure', repo]);
  await runCliJson(['pull', source, REF, '--create-image', '--repo', repo]);
});
afterAll(() => directory[Symbol.asyncDispose]());

/** Another process that has the lock. */
async function holdLock(kind: '-s' | '-x'): Promise<AsyncDisposable> {
  const holder = spawn('flock', [kind, repo, 'sh', '-c', 'echo held; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await once(holder, 'close');
    },
  };
}

describe.each(['fs-ext', 'flock'] as const)('by %s', (way) => {
  const run = (...args: string[]) => runCli(['--lock-timeout', '0', ...args], { env: environments[way] });

  test('what is free is taken', async () => {
    for (const args of [['pull', source, REF], ['refs'], ['gc'], ['fsck']])
      expect(await run(...args)).toMatchObject({ exitCode: 0 });
  });

  test('shared work goes on beside shared work, gc waits for it', async () => {
    await using _held = await holdLock('-s');
    expect(await run('pull', source, REF)).toMatchObject({ exitCode: 0 });
    expect(await run('gc')).toMatchObject({
      exitCode: 11,
      stderr: expect.stringContaining('locked by another process'),
    });
    expect(await run('gc', '--dry-run')).toMatchObject({ exitCode: 0 });
  });

  test('everything waits for a collector', async () => {
    await using _held = await holdLock('-x');
    for (const args of [['pull', source, REF], ['refs'], ['fsck']])
      expect(await run(...args)).toMatchObject({ exitCode: 11 });
  });

  test('the lock is held to the end of the work, and no longer', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const pull = startCli(['pull', `http://127.0.0.1:${port}/`, REF], { env: environments[way] });
    try {
      const [connection] = (await once(silent, 'connection')) as [Socket]; // it waits for an answer now
      expect(await tryLock()).toBe(1);
      silent.close();
      connection.destroy();
      const [exitCode] = await once(pull, 'close');
      expect(exitCode).toBe(6);
      expect(await tryLock()).toBe(0);
    } finally {
      pull.kill('SIGKILL');
    }
  });
});

const tryLock = async (): Promise<number> =>
  (await once(spawn('flock', ['-n', '-x', repo, 'true']), 'close'))[0] as number;

describe('by nothing', () => {
  const READING = [
    ['refs'],
    ['log', REF],
    ['show', REF],
    ['ls', REF, '-R'],
    ['dump', REF],
    ['du', REF],
    ['images'],
    ['image-objects', REF],
    ['compute-id', REF],
    ['fsck'],
    ['gc', '--dry-run'],
    ['pull', '--dry-run', 'SOURCE', 'nasty/x86_64/main'],
  ];
  const WRITING = [
    ['pull', 'SOURCE', REF],
    ['pull', 'SOURCE', 'nasty/x86_64/main'],
    ['create-image', REF, '--name', 'new'],
    ['tag', REF, 'new'],
    ['untag', REF],
    ['commit', 'DIRECTORY', '--branch', 'new', '--no-xattrs'],
    ['gc'],
  ];
  const words = (args: string[]): string[] =>
    args.map((word) => (word === 'SOURCE' ? source : word === 'DIRECTORY' ? directory.join('none') : word));

  test.each(READING.map((args) => ({ command: args.join(' '), args })))('$command reads', async ({ args }) => {
    const { exitCode, stdout, stderr } = await runCli(words(args), { env: environments.nothing });
    expect(exitCode, stderr).toBe(0);
    expect(stdout).not.toBe('');
  });

  test.each(WRITING.map((args) => ({ command: args.join(' '), args })))(
    '$command ends with 10 and changes nothing',
    async ({ args }) => {
      const before = await snapshot(repo);
      const { exitCode, error } = await runCliError(words(args), { env: environments.nothing });
      expect(error.message).toMatch(
        /cannot be locked: needs the native addon, the fs-ext package or the flock program/,
      );
      expect(exitCode).toBe(10);
      expect(await snapshot(repo)).toEqual(before);
    },
  );
});
