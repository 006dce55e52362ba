/** A machine that does not play along: no space, no inodes, no permission, a read-only file system. */

import { chmod, chown, cp, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cliEnvironment, ensureBuilt, PROGRAM, runCli, runCliError, runCliJson } from '../cli/run-cli.ts';
import { findingsBesideTemporaries } from '../durability/repository-state.ts';
import { type MountedFileSystem, mountExt4, mountTmpfs } from '../native/small-file-systems.ts';
import { describeWithPeers } from '../support/peers.ts';
import { type RunResult, runChecked, runCommand } from '../support/run-command.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { SOMEBODY_ELSE, WITHOUT_PRIVILEGES } from '../support/without-privileges.ts';
import { type HonestSource, honestSource, MAIN } from './honest-source.ts';
import { HOSTILE_REF } from './hostile-cases.ts';
import { HostileSource, name } from './hostile-source.ts';
import { type JsonError, NO_ADDON, Victim } from './victim.ts';

const SOURCE_FAILED = 6;
const NO_SPACE = 9;
const NOT_USABLE = 10;

let source: HonestSource;
let directory: TemporaryDirectory;
let streamId: string;

beforeAll(async () => {
  await ensureBuilt();
  source = await honestSource();
  directory = await makeTemporaryDirectory();
  const undisturbed = await Victim.make(directory.join('undisturbed'));
  ({ streamId } = await pullHere(undisturbed, source.path, MAIN));
});
afterAll(async () => {
  await directory[Symbol.asyncDispose]();
});

async function pullHere(
  victim: Victim,
  from: string,
  ref: string,
): Promise<{ streamId: string; reused: { files: number } }> {
  const result = await victim.pull(from, ref);
  expect(result.exitCode, result.stderr).toBe(0);
  return JSON.parse(result.stdout).results[0];
}

describeWithPeers('a file system that is full', ['root', 'mke2fs'], () => {
  /** Fails for want of space and leaves nothing half-done; once there is space, the same pull succeeds. */
  async function expectToRunOut(
    mounted: MountedFileSystem,
    env: NodeJS.ProcessEnv,
    makeRoom: () => Promise<unknown>,
  ): Promise<void> {
    const victim = await Victim.make(join(mounted.path, 'store'));
    const result = await victim.pull(source.path, MAIN, env);
    expect(result.exitCode, result.stderr).toBe(NO_SPACE);
    const lines = result.stderr.trim().split('\n');
    expect(JSON.parse(lines[lines.length - 1]).error).toMatchObject({
      code: 'CFS_NO_SPACE',
      where: { file: expect.stringContaining(victim.path) },
    });
    expect(await victim.temporaries()).toEqual([]);
    expect((await victim.names()).filter((one) => !one.includes('partial'))).toEqual([]);
    expect(await findingsBesideTemporaries(victim.path)).toEqual([]);
    await makeRoom();
    expect((await pullHere(victim, source.path, MAIN)).streamId).toBe(streamId);
    await victim.expectClean();
  }

  // The large file takes 12 MiB, all others together less than 3.
  test.each([
    ['16k', {}],
    ['200k', {}],
    ['1m', {}],
    ['6m', {}],
    ['14m', {}],
    ['200k', NO_ADDON],
    ['6m', NO_ADDON],
  ])('tmpfs of %s, %o', async (size, env) => {
    await using mounted = await mountTmpfs(size);
    await expectToRunOut(mounted, env, () => runChecked('mount', ['-o', 'remount,size=100m', mounted.path]));
  });

  test.each([{}, NO_ADDON])('ext4 that something else has filled, %o', async (env) => {
    await using mounted = await mountExt4(40);
    const filler = join(mounted.path, 'filler');
    await runChecked('fallocate', ['-l', '32M', filler]);
    await expectToRunOut(mounted, env, () => rm(filler));
  });

  test.each([
    ['with the addon', {}, 1],
    ['without', NO_ADDON, 3],
  ])('no inodes left, at every step of pull and create-image, %s', async (_how, env, step) => {
    const small = new HostileSource(directory.join(`small-${step}`));
    const files = [1, 2, 3].map((i) => ({ name: name(`f${i}`), checksum: small.addFile(Buffer.alloc(5000 + i, i)) }));
    const commit = small.commit(small.addTree({ files, directories: [] }));
    small.addDetachedMetadata(commit, new Uint8Array(0));
    let failures = 0;
    let succeeded = false;
    // root, store, meta.json: below that there is no repository to begin with
    for (let inodes = 4; !succeeded; inodes += step) {
      expect(inodes).toBeLessThan(60);
      await using mounted = await mountTmpfs('10m', inodes);
      const path = join(mounted.path, 'store');
      await mkdir(path);
      await cp(directory.join('undisturbed/meta.json'), join(path, 'meta.json'));
      const args = ['--json', '--repo', path, 'pull', small.path, HOSTILE_REF, '--create-image'];
      const result = await runCli(args, { env });
      expect([0, NO_SPACE], result.stderr).toContain(result.exitCode);
      expect(await new Victim(path).temporaries()).toEqual([]);
      expect(await findingsBesideTemporaries(path)).toEqual([]);
      succeeded = result.exitCode === 0;
      if (!succeeded) failures++;
    }
    expect(failures).toBeGreaterThan(20 / step);
  });

  test('gc makes room where there is none', async () => {
    await using mounted = await mountTmpfs('20m');
    const victim = await Victim.make(join(mounted.path, 'store'));
    await pullHere(victim, source.path, MAIN);
    const run = (...args: string[]) => runCliJson<Record<string, number>>(['--repo', victim.path, ...args]);
    await writeFile(join(mounted.path, 'filler'), Buffer.alloc(20 << 20)).catch((error: NodeJS.ErrnoException) =>
      expect(error.code).toBe('ENOSPC'),
    );
    expect(await runCliError(['--repo', victim.path, 'create-image', MAIN])).toMatchObject({ exitCode: NO_SPACE });
    await victim.expectClean();
    await run('untag', MAIN);
    expect((await run('gc')).bytesRemoved).toBeGreaterThan(12 << 20);
    await victim.expectClean();
    expect(await victim.names()).toEqual([]);
  });
});

describeWithPeers('without permission', ['root'], () => {
  const [setpriv, ...flags] = WITHOUT_PRIVILEGES;
  const unprivileged = (args: string[], env: NodeJS.ProcessEnv = {}): Promise<RunResult> =>
    runCommand(setpriv, [...flags, process.execPath, PROGRAM, ...args], { env: cliEnvironment(env) });
  async function refused(
    args: string[],
    env?: NodeJS.ProcessEnv,
  ): Promise<{ exitCode: number | null; error: JsonError }> {
    const { exitCode, stdout, stderr } = await unprivileged(['--json', ...args], env);
    expect(stdout).toBe('');
    const lines = stderr.trim().split('\n');
    return { exitCode, error: JSON.parse(lines[lines.length - 1]).error };
  }
  /** `files`, and everything below, belongs to somebody else from now on. */
  const giveAway = async (path: string, mode: string): Promise<void> => {
    await runChecked('chown', ['-R', String(SOMEBODY_ELSE), path]);
    await runChecked('chmod', ['-R', mode, path]);
  };
  let count = 0;
  /** A repository with the commit in it, to be closed in one way or another. */
  const filled = async (): Promise<string> => {
    const path = directory.join(`closed-${count++}`);
    await cp(directory.join('undisturbed'), path, { recursive: true, verbatimSymlinks: true });
    return path;
  };
  const copyOfSource = async (): Promise<string> => {
    const path = directory.join(`source-${count++}`);
    await cp(source.path, path, { recursive: true });
    return path;
  };

  test.each([{}, NO_ADDON])('a repository of one’s own needs no privileges, %o', async (env) => {
    const victim = await Victim.make(directory.join(`own-${count++}`));
    const result = await unprivileged(
      ['--json', '--repo', victim.path, 'pull', source.path, MAIN, '--create-image'],
      env,
    );
    expect(result.exitCode, result.stderr).toBe(0);
    expect(JSON.parse(result.stdout).results[0].commit).toBe(source.commits[MAIN]);
    const checked = await unprivileged(['--json', '--repo', victim.path, 'fsck'], env);
    expect(JSON.parse(checked.stdout)).toMatchObject({ ok: true, findings: [] });
  });

  /** Stands for the path of the source, which is not known yet. */
  const SOURCE = 'SOURCE';
  const WRITING = [
    ['pull', SOURCE, MAIN],
    ['pull', SOURCE, MAIN, '--name', 'another'],
    ['tag', MAIN, 'another'],
    ['untag', MAIN],
    ['create-image', MAIN],
    ['gc'],
    ['commit', SOURCE, '--branch', 'b'],
  ];
  const READING = [
    ['refs'],
    ['log', MAIN],
    ['show', MAIN],
    ['ls', '-R', MAIN],
    ['images'],
    ['compute-id', MAIN],
    ['fsck'],
    ['gc', '--dry-run'],
    ['pull', '--dry-run', SOURCE, MAIN],
  ];
  const typed = (args: string[]): string[] => args.map((arg) => (arg === SOURCE ? source.path : arg));

  test('somebody else’s repository can be read and not written', async () => {
    const path = await filled();
    await giveAway(path, 'a+rX');
    const before = await runChecked('ls', ['-AlR', path]);
    for (const args of READING) {
      const result = await unprivileged(['--json', '--repo', path, ...typed(args)]);
      expect(result.exitCode, `${args.join(' ')}\n${result.stderr}`).toBe(0);
    }
    for (const args of WRITING) {
      const { exitCode, error } = await refused(['--repo', path, ...typed(args)]);
      expect({ args, exitCode, code: error.code }).toEqual({ args, exitCode: NOT_USABLE, code: 'CFS_REPOSITORY' });
      expect(error.message).toContain('permission denied');
      expect(error.where?.file).toContain(path);
    }
    expect(await refused(['init', '--insecure', join(path, 'new')])).toMatchObject({ exitCode: NOT_USABLE });
    expect((await runChecked('ls', ['-AlR', path])).stdout).toBe(before.stdout);
  });

  test.each([
    ['the directory', '.'],
    ['meta.json', 'meta.json'],
    ['objects', 'objects'],
    ['streams', 'streams'],
  ])('a repository of which one cannot read %s', async (_what, part) => {
    const path = await filled();
    await giveAway(join(path, part), 'go-rwx');
    for (const args of [['show', MAIN], ['fsck'], ['pull', source.path, MAIN], ['create-image', MAIN], ['gc']]) {
      const { exitCode, error } = await refused(['--repo', path, ...args]);
      expect({ args, exitCode, code: error.code }).toEqual({ args, exitCode: NOT_USABLE, code: 'CFS_REPOSITORY' });
      expect(error.where?.file).toContain(path);
    }
  });

  test('one object that cannot be read is found by fsck, and named where it is needed', async () => {
    const path = await filled();
    const large = await largestObject(path);
    await chown(large, SOMEBODY_ELSE, 0);
    await chmod(large, 0);
    const checked = await unprivileged(['--json', '--repo', path, 'fsck']);
    expect(checked.exitCode).toBe(3);
    expect(checked.stdout).toContain(large.slice(-100));
    const exported = await refused(['--repo', path, 'export', MAIN, directory.join(`exported-${count++}`)]);
    expect(exported.exitCode).toBe(NOT_USABLE);
    expect(JSON.stringify(exported.error)).toContain(large.slice(-100));
  });

  const sources: Array<[what: string, close: (path: string) => Promise<unknown>, exitCode: number]> = [
    ['the directory', (path) => giveAway(path, 'go-rwx'), NOT_USABLE],
    ['the config', (path) => giveAway(join(path, 'config'), 'go-rwx'), SOURCE_FAILED],
    ['the ref', (path) => giveAway(join(path, 'refs/heads', MAIN), 'go-rwx'), SOURCE_FAILED],
    ['the commit', (path) => giveAway(objectOf(path, source.commits[MAIN], 'commit'), 'go-rwx'), SOURCE_FAILED],
    ['one file', (path) => giveAway(join(path, source.largeObject), 'go-rwx'), SOURCE_FAILED],
    ['a directory of objects', (path) => giveAway(dirname(join(path, source.largeObject)), 'go-rwx'), SOURCE_FAILED],
  ];
  test.each(sources)('a source of which one cannot read %s', async (_what, close, exitCode) => {
    const from = await copyOfSource();
    await close(from);
    for (const env of [{}, NO_ADDON]) {
      const victim = await Victim.make(directory.join(`own-${count++}`));
      const result = await refused(['--repo', victim.path, 'pull', from, MAIN], env);
      expect(result.exitCode, JSON.stringify(result.error)).toBe(exitCode);
      expect(result.error.where?.file).toContain(from);
      expect((await victim.names()).filter((one) => !one.includes('partial'))).toEqual([]);
      expect(await victim.temporaries()).toEqual([]);
      await victim.expectClean();
    }
  });

  test('a read-only file system: whatever reads works, whatever writes says why not', async () => {
    const path = await filled();
    await runChecked('mount', ['--bind', path, path]);
    try {
      await runChecked('mount', ['-o', 'remount,bind,ro', path]);
      const run = (args: string[]) => runCli(['--json', '--repo', path, ...args]);
      for (const args of READING) {
        const result = await run(typed(args));
        expect(result.exitCode, `${args.join(' ')}\n${result.stderr}`).toBe(0);
      }
      for (const args of WRITING) {
        const { exitCode, error } = await runCliError(['--repo', path, ...typed(args)]);
        expect(exitCode).toBe(NOT_USABLE);
        expect(error).toMatchObject({
          code: 'CFS_REPOSITORY',
          message: expect.stringContaining('read-only file system'),
        });
      }
      expect(await runCliError(['init', '--insecure', join(path, 'new')])).toMatchObject({ exitCode: NOT_USABLE });
      expect((await run(['init', '--insecure', '--ensure', path])).exitCode).toBe(0);
    } finally {
      await runChecked('umount', [path]);
    }
  });
});

const objectOf = (path: string, checksum: string, type: string): string =>
  join(path, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${type}`);

async function largestObject(path: string): Promise<string> {
  const entries = await readdir(join(path, 'objects'), { recursive: true, withFileTypes: true });
  let largest = { path: '', size: 0 };
  for (const entry of entries) {
    const file = join(entry.parentPath, entry.name);
    const { size } = await stat(file);
    if (entry.isFile() && size > largest.size) largest = { path: file, size };
  }
  return largest.path;
}

describe('a damaged object', () => {
  // As after a power cut: names are there, data is not.
  const damages: Array<[what: string, damage: (path: string) => Promise<unknown>]> = [
    ['is empty', (path) => writeFile(path, '')],
    ['is shorter', async (path) => writeFile(path, Buffer.alloc((await stat(path)).size - 1))],
    ['is full of zeros', async (path) => writeFile(path, Buffer.alloc((await stat(path)).size))],
  ];
  test.each(damages.flatMap(([what, damage]) => [{}, NO_ADDON].map((env) => ({ what, damage, env }))))(
    'that $what is replaced by the next pull of it, $env',
    async ({ damage, env }) => {
      const victim = await Victim.make(directory.join(`damaged-${Math.random()}`));
      await pullHere(victim, source.path, MAIN);
      const objects = (await readdir(join(victim.path, 'objects'), { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
      // The names that the barrier comes before are not there.
      await rm(join(victim.path, 'streams'), { recursive: true });
      await rm(join(victim.path, 'cfs-ostree'), { recursive: true, force: true });
      for (const object of objects) await damage(object);
      const result = await victim.pull(source.path, MAIN, env);
      expect(result.exitCode, result.stderr).toBe(0);
      expect(JSON.parse(result.stdout).results[0].streamId).toBe(streamId);
      await victim.expectClean();
    },
  );
});
