/**
 * The system calls that give and take names fail, each in turn, the way full and dying disks make them fail: an error that says so, no
 * temporary and no half state left, and the next run does what this one should have done.
 */

import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCliJson } from '../cli/run-cli.ts';
import { describeWithPeers } from '../support/peers.ts';
import { publishedTiny } from './published.ts';
import { collected, findingsBesideTemporaries, readState, temporariesIn } from './repository-state.ts';
import { type Disturbance, type Outcome, runDriver, runProgram, type SystemCall } from './run-driver.ts';
import { useScene } from './scene.ts';

const scene = useScene(publishedTiny);

/** Something that gives or takes names, in a directory of its own with the repository `store`. */
interface Work {
  title: string;
  /** What has to be there; starts with an empty repository. */
  prepare?(cwd: string): Promise<unknown>;
  run(cwd: string, disturbance: Disturbance): Promise<Outcome>;
  /** Calls that have to fail at least once: a test of nothing would pass, too. */
  expected: string[];
  /** Calls after whose failure another way is tried: when that goes well, so does all of it. */
  triedAgain?: RegExp;
}

const store = (cwd: string): string => join(cwd, 'store');
const WITHOUT_ADDON = { CFS_OSTREE_NO_ADDON: '1' };
const CHECKPOINT_OBJECTS = 3;
/** Loose objects of a local source are taken in batches; what a batch refuses is taken alone, which tells why. */
const OBJECT_IN_BATCH = /(linkat|mkdirat)\(.*"[0-9a-f]{2}(\/[0-9a-f]{126})?"/;

/** Of an export: a directory that cannot be moved as a whole is moved object by object, and what a batch did not write is written alone. */
const STAGED_DIRECTORY = /(renameat2\(\d+, |mkdirat\(.*)"[0-9a-f]{2}"/;

const program =
  (...args: string[]): Work['run'] =>
  (cwd, disturbance) =>
    runProgram(['--json', '--repo', store(cwd), ...args], disturbance, { cwd });

/** Quiet, for it warns that the addon is missing. */
const programWithoutAddon =
  (...args: string[]): Work['run'] =>
  (cwd, disturbance) =>
    runProgram(['--json', '--quiet', '--repo', store(cwd), ...args], disturbance, { cwd, env: WITHOUT_ADDON });

const pulling =
  (wanted: string, name: string, env: NodeJS.ProcessEnv = {}): Work['run'] =>
  (cwd, disturbance) => {
    const options = { checkpoint: { objects: CHECKPOINT_OBJECTS }, createImage: true, name };
    const job = {
      operation: 'pull',
      repo: store(cwd),
      location: scene.source.archive,
      wanted: [wanted],
      options,
      jobs: 1,
    };
    return runDriver({ ...job, operation: 'pull' }, disturbance, env);
  };

const done =
  (...commands: string[][]) =>
  async (cwd: string): Promise<void> => {
    for (const command of commands) await runCliJson([...command, '--repo', store(cwd)], { cwd });
  };
const pulled = (ref: string, name: string): string[] => ['pull', scene.source.archive, ref, '--name', name];

const COMMIT_OPTIONS = ['--timestamp', '5', '--no-xattrs', '--parent', 'none'];

const WORKS: Work[] = [
  {
    title: 'init',
    prepare: (cwd) => rm(store(cwd), { recursive: true }),
    run: program('init', '--ensure', '--insecure', './deep/er/store'),
    expected: ['mkdir', 'link', 'fsync'],
  },
  {
    title: 'pull',
    run: pulling('os/main', 'os'),
    expected: ['linkat', 'symlink', 'rename', 'syncfs', 'mkdir', 'mkdirat'],
    triedAgain: OBJECT_IN_BATCH,
  },
  {
    title: 'pull of an update',
    prepare: (cwd) => done(pulled('os/first', 'os'), ['create-image', 'os'])(cwd),
    run: pulling('os/main', 'os'),
    expected: ['linkat', 'symlink', 'rename', 'syncfs', 'unlink'],
    triedAgain: OBJECT_IN_BATCH,
  },
  {
    title: 'pull without the addon',
    run: pulling('os/main', 'os', WITHOUT_ADDON),
    expected: ['link', 'symlink', 'rename', 'fsync', 'mkdir'],
  },
  {
    title: 'create-image under a name that is taken',
    prepare: (cwd) =>
      done(pulled('os/first', 'a'), pulled('os/main', 'b'), ['create-image', 'a', '--name', 'image'])(cwd),
    run: program('create-image', 'b', '--name', 'image'),
    expected: ['linkat', 'symlink', 'rename', 'syncfs'],
  },
  {
    title: 'tag',
    prepare: (cwd) => done(pulled('os/first', 'a'))(cwd),
    run: program('tag', 'a', 'b'),
    expected: ['symlink'],
  },
  {
    title: 'untag',
    prepare: (cwd) => done(pulled('os/first', 'a'))(cwd),
    run: program('untag', 'a'),
    expected: ['unlink'],
  },
  {
    title: 'gc',
    prepare: (cwd) => done(pulled('os/first', 'a'), ['create-image', 'a'], pulled('os/main', 'b'), ['untag', 'a'])(cwd),
    run: program('gc'),
    expected: ['unlink', 'syncfs'],
  },
  {
    title: 'commit',
    prepare: (cwd) => done(pulled('os/first', 'a'))(cwd),
    run: (cwd, disturbance) =>
      program('commit', scene.source.tree, '--branch', 'a', ...COMMIT_OPTIONS)(cwd, disturbance),
    expected: ['linkat', 'symlink', 'rename', 'syncfs'],
  },
  {
    title: 'export',
    prepare: (cwd) => done(pulled('os/main', 'a'))(cwd),
    run: program('export', 'a', './exported', '--jobs', '1'), // calls of several threads would be cut in two
    expected: ['renameat2', 'rename', 'mkdir', 'mkdirat', 'fsync', 'syncfs'],
    triedAgain: STAGED_DIRECTORY,
  },
  {
    title: 'export where the directories are there',
    prepare: async (cwd) => {
      await done(pulled('os/main', 'a'), ['export', 'a', './exported'])(cwd);
      const entries = await readdir(join(cwd, 'exported'), { recursive: true, withFileTypes: true });
      for (const { name, parentPath } of entries.filter((entry) => !entry.isDirectory()))
        if (name !== 'config') await rm(join(parentPath, name));
    },
    run: program('export', 'a', './exported', '--jobs', '1'),
    expected: ['renameat2', 'rename', 'mkdirat', 'fsync', 'syncfs'],
    triedAgain: STAGED_DIRECTORY,
  },
  {
    title: 'export without the addon',
    prepare: (cwd) => done(pulled('os/main', 'a'))(cwd),
    run: programWithoutAddon('export', 'a', './exported'),
    expected: ['link', 'unlink', 'rename', 'mkdir', 'fsync'],
  },
];

/** Calls of the main thread are counted apart: those of other threads with the same number come first. */
const CALLS: Pick<SystemCall, 'name' | 'mainThread'>[] = [
  { name: 'linkat' },
  { name: 'linkat', mainThread: true },
  { name: 'link' },
  { name: 'rename' },
  { name: 'renameat2' },
  { name: 'symlink' },
  { name: 'mkdir' },
  { name: 'mkdirat' },
  { name: 'syncfs' },
  { name: 'fsync' },
  { name: 'unlink' },
  { name: 'unlinkat' },
  { name: 'rmdir' },
];
const ERRORS = [
  { errno: 'EIO', exitCode: 10, code: 'CFS_REPOSITORY' },
  { errno: 'ENOSPC', exitCode: 9, code: 'CFS_NO_SPACE' },
];
/** Losing any of it costs time only, so that trouble with it is no more than a warning. */
const SIDE_INDEX = /\/cfs-ostree\/index|\/cfs-ostree"/;
const TEMPORARY = /\/(\.tmp-|\.symlink-|cfs-ostree-export-)/;
/** What cannot be removed has to stay. */
const leavesTemporary = (call: string): boolean => /(unlink|rmdir)\(/.test(call) && TEMPORARY.test(call);

async function filesBeside(cwd: string): Promise<string[]> {
  const names = await readdir(cwd, { recursive: true });
  return names.filter((name) => name !== 'store' && !name.startsWith('store/')).sort();
}

async function expectNoHalfState(cwd: string, mayLeaveTemporary: boolean, story: string): Promise<void> {
  const temporaries = (await filesBeside(cwd)).filter((name) => TEMPORARY.test(name));
  if (!mayLeaveTemporary) expect(temporaries, story).toEqual([]);
  if (!existsSync(store(cwd))) return;
  if (!mayLeaveTemporary) expect(temporariesIn(await readState(store(cwd))), story).toEqual([]);
  expect(await findingsBesideTemporaries(store(cwd)), story).toEqual([]);
}

const finalState = async (cwd: string): Promise<object> => ({
  beside: (await filesBeside(cwd)).filter((name) => !TEMPORARY.test(name)),
  store: existsSync(store(cwd)) ? await collected(store(cwd)) : undefined,
});

describeWithPeers('every system call that names something fails in turn', ['strace'], () => {
  test.each(WORKS)('$title', { timeout: 600_000 }, async ({ prepare, run, expected, triedAgain }) => {
    const start = scene.directory.join('start');
    const fresh = async (): Promise<string> => {
      const cwd = scene.directory.join('work');
      await rm(cwd, { recursive: true, force: true });
      await cp(start, cwd, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
      return cwd;
    };
    await rm(start, { recursive: true, force: true });
    await mkdir(start);
    await runCliJson(['init', '--insecure', store(start)]);
    await prepare?.(start);
    const undisturbed = await fresh();
    expect(await run(undisturbed, { kind: 'none' })).toMatchObject({ exitCode: 0, stderr: '' });
    const wanted = await finalState(undisturbed);
    const failures = new Map<string, number>();
    let kind = 0;
    for (const call of CALLS)
      for (let nth = 1; ; nth++) {
        const { errno, exitCode, code } = ERRORS[kind++ % ERRORS.length];
        const cwd = await fresh();
        const outcome = await run(cwd, { kind: 'fail', call: { ...call, nth }, errno });
        if (outcome.failed === undefined) {
          expect(outcome).toMatchObject({ exitCode: 0 });
          break;
        }
        failures.set(call.name, (failures.get(call.name) ?? 0) + 1);
        const story = `${outcome.failed}\n${outcome.stderr}`;
        const mayLeaveTemporary = leavesTemporary(outcome.failed);
        const isTriedAgain = triedAgain?.test(outcome.failed) ?? false;
        if (outcome.exitCode !== 0 || !(mayLeaveTemporary || isTriedAgain || SIDE_INDEX.test(outcome.failed))) {
          expect(outcome.exitCode, story).toBe(exitCode);
          const { error } = JSON.parse(outcome.stderr.trim().split('\n').at(-1) ?? '');
          expect(error, story).toMatchObject({ code, where: { file: expect.stringMatching(/./) } });
        }
        await expectNoHalfState(cwd, mayLeaveTemporary, story);
        if (isTriedAgain && outcome.exitCode === 0) expect(await finalState(cwd), story).toEqual(wanted);
        expect(await run(cwd, { kind: 'none' }), story).toMatchObject({ exitCode: 0, stderr: '' });
        expect(await finalState(cwd), story).toEqual(wanted);
      }
    console.log([...failures].map(([name, count]) => `${count} ${name}`).join(', '));
    expect([...failures.keys()]).toEqual(expect.arrayContaining(expected));
  });
});
