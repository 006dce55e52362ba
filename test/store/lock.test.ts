/** The repository lock, against other processes and against ourselves. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { LockedError } from '../../src/errors.ts';
import { type LockMode, type LockOptions, RepositoryLock } from '../../src/store/lock.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

/** A process that holds the lock until its standard input ends. */
async function holdLock(path: string, mode: LockMode): Promise<AsyncDisposable> {
  const child = spawn('flock', [mode === 'shared' ? '-s' : '-x', path, 'sh', '-c', 'echo held; cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return {
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await once(child, 'close');
    },
  };
}

async function lock(
  path: string,
  mode: LockMode,
  options: LockOptions = {},
): Promise<AsyncDisposable & { lock: RepositoryLock }> {
  const directory = await open(path, 'r');
  try {
    const acquired = await RepositoryLock.acquire(directory, path, mode, options);
    return {
      lock: acquired,
      async [Symbol.asyncDispose]() {
        acquired.release();
        await directory.close();
      },
    };
  } catch (error) {
    await directory.close();
    throw error;
  }
}

test.each([
  ['shared', 'exclusive'],
  ['exclusive', 'shared'],
  ['exclusive', 'exclusive'],
] as const)('a %s lock of another process keeps our %s one waiting until the timeout', async (theirs, ours) => {
  await using directory = await makeTemporaryDirectory('memory');
  await using _held = await holdLock(directory.path, theirs);
  await expect(lock(directory.path, ours, { timeoutMs: 50 })).rejects.toThrow(LockedError);
  await expect(lock(directory.path, ours, { timeoutMs: 0 })).rejects.toMatchObject({ exitCode: 11 });
});

test('shared locks go together', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  await using _held = await holdLock(directory.path, 'shared');
  await using first = await lock(directory.path, 'shared', { timeoutMs: 0 });
  await using second = await lock(directory.path, 'shared', { timeoutMs: 0 });
  expect([first.lock.effective, second.lock.effective]).toEqual([true, true]);
});

test('waits until the other process lets go, and says after two seconds that it does', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  const held = await holdLock(directory.path, 'exclusive');
  const messages: string[] = [];
  const waiting = lock(directory.path, 'shared', { onWait: (message) => messages.push(message) });
  await sleep(2300);
  expect(messages).toEqual([expect.stringContaining(directory.path)]);
  await held[Symbol.asyncDispose]();
  await (await waiting)[Symbol.asyncDispose]();
  expect(messages).toHaveLength(1);
});

test('another process sees our lock, and no longer when it is gone', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  const tryOther = async (): Promise<number> => {
    const child = spawn('flock', ['-n', '-s', directory.path, 'true']);
    return (await once(child, 'close'))[0] as number;
  };
  {
    await using _ours = await lock(directory.path, 'exclusive');
    expect(await tryOther()).toBe(1);
  }
  expect(await tryOther()).toBe(0);
});

test('a second handle of this process fails at once instead of waiting for itself', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  await using shared = await lock(directory.path, 'shared');
  await expect(lock(directory.path, 'exclusive')).rejects.toThrow(/this process/);
  await shared[Symbol.asyncDispose]();
  await using _exclusive = await lock(directory.path, 'exclusive');
  await expect(lock(directory.path, 'shared')).rejects.toThrow(LockedError);
});

test('giving up on a signal leaves no lock behind', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  const held = await holdLock(directory.path, 'exclusive');
  const controller = new AbortController();
  const waiting = lock(directory.path, 'shared', { signal: controller.signal });
  await sleep(30);
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  await held[Symbol.asyncDispose]();
  await using _exclusive = await lock(directory.path, 'exclusive', { timeoutMs: 0 });
});
