import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { repositoryPath } from '../../src/cli/repository-path.ts';
import { runCommand } from '../support/run-command.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { cliEnvironment, ensureBuilt, PROGRAM, runCli, runCliError, runCliJson } from './run-cli.ts';
import { openWorld } from './world.ts';

let directory: TemporaryDirectory;
let repo: string;
beforeAll(async () => {
  directory = await makeTemporaryDirectory();
  repo = directory.join('store');
  await runCliJson(['init', '--insecure', repo]);
});
afterAll(() => directory[Symbol.asyncDispose]());

describe('the repository', () => {
  const user = join(homedir(), '.var/lib/composefs');
  const env = { CFS_OSTREE_REPO: '/from/env' };
  test.each([
    ['--repo before all', { repo: '/given' }, env, '/given'],
    ['--system as it is typed', { system: true }, env, '/sysroot/composefs'],
    ['--user as it is typed', { user: true }, env, user],
    ['else the environment', {}, env, '/from/env'],
    ['an empty variable is none', {}, { CFS_OSTREE_REPO: '' }, process.getuid?.() === 0 ? '/sysroot/composefs' : user],
  ])('is named by %s', (_title, choice, environment, path) => {
    expect(repositoryPath(choice, environment)).toBe(path);
  });
});

describe('global options', () => {
  test.each([
    ['before the command', (path: string) => ['--json', '--repo', path, 'refs']],
    ['after it', (path: string) => ['refs', '--repo', path, '--json']],
    ['on both sides', (path: string) => ['--json', 'refs', `--repo=${path}`]],
  ])('stand %s', async (_title, args) => {
    const { exitCode, stdout } = await runCli(args(repo));
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '[]\n' });
  });

  test('that are values of others are no options', async () => {
    expect(await runCliError(['refs', '--repo', '--user'])).toMatchObject({ exitCode: 10 });
  });

  test('a value that may be left out is only given with =', async () => {
    // otherwise `refs` would be the value of --progress
    expect((await runCli(['--progress', 'refs', '--repo', repo])).exitCode).toBe(0);
    expect((await runCli(['refs', '--repo', repo, '--progress=plain'])).exitCode).toBe(0);
    expect((await runCli(['refs', '--repo', repo, '--progress=loud'])).exitCode).toBe(2);
    expect((await runCli(['refs', '--repo', repo, '--progress', 'plain'])).exitCode).toBe(2);
  });

  test('listings come as an array or as lines', async () => {
    expect((await runCli(['images', '--repo', repo, '--json'])).stdout).toBe('[]\n');
    expect((await runCli(['images', '--repo', repo, '--json-lines'])).stdout).toBe('');
  });

  test('nothing but the result goes to stdout, nothing at all to stderr when all is well', async () => {
    const { stdout, stderr } = await runCli(['refs', '--repo', repo]);
    expect({ stdout, stderr }).toEqual({ stdout: 'No refs here\n', stderr: '' });
  });
});

describe('without the native addon', () => {
  const env = { CFS_OSTREE_NO_ADDON: '1' };
  test('a warning says so, once, unless --quiet', async () => {
    const { exitCode, stderr } = await runCli(['refs', '--repo', repo], { env });
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/^warning: the native addon could not be loaded .*\n$/);
    expect((await runCli(['refs', '--repo', repo, '--quiet'], { env })).stderr).toBe('');
  });

  test('is JSON with --json', async () => {
    const { stderr } = await runCli(['refs', '--repo', repo, '--json'], { env });
    expect(JSON.parse(stderr)).toEqual({ warning: { message: expect.stringContaining('native addon') } });
  });
});

describe('stdout that is closed early', () => {
  test.each([
    ['completion', 'completion zsh'],
    ['help', '--help'],
  ])('ends %s quietly with 0', async (_title, words) => {
    await ensureBuilt();
    const script = `"$NODE" "$PROGRAM" ${words} | true; echo "\${PIPESTATUS[0]}"`;
    const env = cliEnvironment({ NODE: process.execPath, PROGRAM });
    const { stdout, stderr } = await runCommand('bash', ['-c', script], { env });
    expect({ stdout, stderr }).toEqual({ stdout: '0\n', stderr: '' });
  });
});

describe('on a terminal', () => {
  const onTerminal = async (command: string, env: NodeJS.ProcessEnv = {}, cwd = directory.path) => {
    await ensureBuilt();
    const line = `'${process.execPath}' '${PROGRAM}' ${command}`;
    const { stdout, exitCode } = await runCommand('script', ['-qec', line, '/dev/null'], {
      cwd,
      env: cliEnvironment(env),
    });
    return { stdout, exitCode };
  };

  test('progress is a bar that is gone at the end', async () => {
    await using world = await openWorld();
    await runCliJson(['init', '--insecure', './target'], world);
    const command = 'pull ./published os/main --repo ./target';
    const { stdout, exitCode } = await onTerminal(command, { TERM: 'xterm' }, world.cwd);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/\r\x1b\[K(\x1b\[32m)?\[[ =]{20}\]/);
    expect(stdout.slice(stdout.lastIndexOf('\x1b[K'))).toMatch(/^\x1b\[Kos\/main /);
  });

  test('colour is off with NO_COLOR and --color=never', async () => {
    const env = { TERM: 'xterm' };
    const command = `init --insecure --repo '${repo}' '${repo}'`;
    for (const words of [`${command} --color=never`, command]) {
      const { stdout, exitCode } = await onTerminal(words, { ...env, NO_COLOR: '1' });
      expect(stdout).not.toContain('\x1b[3');
      expect(exitCode).toBe(8);
    }
  });
});

describe('stderr of a program that is watched by another', () => {
  test('has one event for each line with --progress=json', async () => {
    await using world = await openWorld();
    await runCliJson(['init', '--insecure', './target'], world);
    const { stderr } = await runCli(['pull', './published', 'os/main', '--repo', './target', '--progress=json'], world);
    const phases = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).progress.phase);
    expect(phases).toContain('files');
    expect(phases).toContain('publish');
  });
});

test.each([
  ['fsck', 'fsck'],
  ['export', 'export os/main ./NEW'],
])('--jobs is how many threads are at work in %s', async (_title, command) => {
  await ensureBuilt();
  await using world = await openWorld();
  const count =
    "process.stderr.write(String(process.getBuiltinModule('node:fs').readdirSync('/proc/self/task').length))";
  const preload = `data:text/javascript,${encodeURIComponent(`process.on('exit', () => ${count})`)}`;
  /** At the end, all of the process. */
  const threads = async (jobs: number): Promise<number> => {
    const args = [...command.replace('NEW', `with-${jobs}`).split(' '), '--jobs', String(jobs), '--quiet'];
    const { exitCode, stderr } = await runCommand(process.execPath, ['--import', preload, PROGRAM, ...args], {
      cwd: world.cwd,
      env: cliEnvironment(world.env),
    });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.stringMatching(/^\d+$/) });
    return Number(stderr);
  };
  expect((await threads(7)) - (await threads(1))).toBe(6);
});

describe('start', () => {
  test('is refused under a Node that is too old, in one line', async () => {
    await ensureBuilt();
    // What the program sees of its Node is its version.
    const old = "Object.defineProperty(process.versions, 'node', { value: '20.19.0' });";
    const preload = `data:text/javascript,${encodeURIComponent(old)}`;
    const { exitCode, stdout, stderr } = await runCommand(process.execPath, ['--import', preload, PROGRAM, 'refs'], {
      env: cliEnvironment(),
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toBe('cfs-ostree needs Node.js 22.19 or newer; this is 20.19.0\n');
  });

  test('loads nothing that the command does not need', async () => {
    await ensureBuilt();
    const list = 'process.on("exit", () => process.stderr.write(JSON.stringify(process.moduleLoadList)))';
    const preload = `data:text/javascript,${encodeURIComponent(list)}`;
    const { stderr } = await runCommand(process.execPath, ['--import', preload, PROGRAM, '--version'], {
      env: cliEnvironment(),
    });
    const loaded: string[] = JSON.parse(stderr);
    expect(loaded.filter((name) => /NativeModule (crypto|http|https|tls|zlib)$/.test(name))).toEqual([]);
  });

  test('--version is one word', async () => {
    const { stdout } = await runCli(['--version']);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
