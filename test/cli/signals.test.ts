import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { ensureBuilt, runCli, runCliError, runCliJson, startCli } from './run-cli.ts';

let directory: TemporaryDirectory;
let repo: string;
/** util-linux, holding the lock that gc holds. */
let locker: ChildProcess;

beforeAll(async () => {
  await ensureBuilt();
  directory = await makeTemporaryDirectory();
  repo = directory.join('store');
  await runCliJson(['init', '--insecure', repo]);
  locker = spawn('flock', ['--exclusive', repo, 'sh', '-c', 'echo locked; read line'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(locker.stdout as NodeJS.ReadableStream, 'data');
});
afterAll(async () => {
  locker.stdin?.end();
  await directory[Symbol.asyncDispose]();
});

const outcome = async (child: ChildProcess) => {
  let stderr = '';
  let stdout = '';
  child.stderr?.on('data', (chunk) => (stderr += chunk));
  child.stdout?.on('data', (chunk) => (stdout += chunk));
  const [exitCode, signal] = await once(child, 'close');
  return { exitCode, signal, stdout, stderr };
};

/** Until the program listens for signals: the last one that it asks for is SIGHUP, which Node leaves alone. */
const catchesSignals = (child: ChildProcess): Promise<void> =>
  vi.waitFor(
    async () => {
      const status = await readFile(`/proc/${child.pid}/status`, 'latin1');
      const caught = BigInt(`0x${/^SigCgt:\t([0-9a-f]+)$/m.exec(status)?.[1]}`);
      expect(caught & (1n << BigInt(constants.signals.SIGHUP - 1))).not.toBe(0n);
    },
    { timeout: 30_000, interval: 20 },
  );

describe('a locked repository', () => {
  test('ends with 11 after --lock-timeout', async () => {
    expect(await runCliError(['refs', '--repo', repo, '--lock-timeout', '0'])).toMatchObject({
      exitCode: 11,
      error: { code: 'CFS_LOCKED', where: { file: repo } },
    });
  });

  test('is waited for, and that is said once', async () => {
    const { exitCode, stderr } = await runCli(['refs', '--repo', repo, '--lock-timeout', '3']);
    expect(exitCode).toBe(11);
    expect(stderr.split('\n')[0]).toMatch(/^warning: waiting for the shared lock of /);
    expect(stderr.match(/waiting/g)).toHaveLength(1);
  });
});

describe('a signal while the program works', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s ends it with %d', async (signal, expected) => {
    const child = startCli(['refs', '--repo', repo]);
    const ended = outcome(child);
    await catchesSignals(child);
    child.kill(signal);
    const { exitCode, stdout, stderr } = await ended;
    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: expected,
      stdout: '',
      stderr: `cfs-ostree: interrupted by ${signal}\n`,
    });
  });

  test('is a JSON error where JSON was asked for', async () => {
    const child = startCli(['refs', '--repo', repo, '--json']);
    const ended = outcome(child);
    await catchesSignals(child);
    child.kill('SIGTERM');
    const { exitCode, stderr } = await ended;
    expect(exitCode).toBe(143);
    expect(JSON.parse(stderr)).toEqual({ error: { code: 'CFS_INTERRUPTED', message: 'interrupted by SIGTERM' } });
  });
});

describe('a second signal', () => {
  /** Work that does not react to the first one. */
  const stubborn = `
    import { Interruption } from ${JSON.stringify(resolve(import.meta.dirname, '../../src/cli/interruption.ts'))};
    new Interruption().listen(() => console.log('first'));
    setInterval(() => {}, 1000);
    console.log('ready');`;
  const start = async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', stubborn], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    return child;
  };

  test('ends the program at once', async () => {
    const child = await start();
    child.kill('SIGINT');
    await once(child.stdout, 'data');
    await sleep(500);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([143, null]);
  });

  test('right after the first one is the same: npm and the terminal both send it', async () => {
    const child = await start();
    child.kill('SIGINT');
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    await sleep(400);
    expect(child.exitCode).toBeNull();
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([130, null]);
  });
});
