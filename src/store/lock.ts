/**
 * The repository lock: BSD `flock` on the repository directory itself, shared for work, exclusive for gc (composefs-rs 0.9).
 * A lock is never converted: conversion drops the old one first, and another collector may slip in between.
 */

import { constants, fstatSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import fs from 'node:fs/promises';
import { createRequire } from 'node:module';
import timers from 'node:timers/promises';
import { LockedError } from '../errors.ts';
import { monotonicMs } from '../monotonic-time.ts';
import { native } from '../native.ts';

export type LockMode = 'shared' | 'exclusive';

export interface LockOptions {
  /** Default 300 s. */
  timeoutMs?: number;
  /** Called once, after 2 s of waiting, with a sentence for the user. */
  onWait?: (message: string) => void;
  signal?: AbortSignal;
}

export const DEFAULT_LOCK_TIMEOUT_MS = 300_000;
const MESSAGE_AFTER_MS = 2_000;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 100;

/** Tries once, without waiting. */
type TryLock = (fd: number, mode: LockMode) => Promise<boolean>;

/** Locks of this process by device and inode: two handles of one process would wait for themselves. */
const held = new Map<string, { mode: LockMode; count: number }>();

export class RepositoryLock {
  readonly mode: LockMode;
  /** False where this machine offers no way to lock: then nothing may be written. */
  readonly effective: boolean;
  #key: string | undefined;

  private constructor(mode: LockMode, effective: boolean, key: string) {
    this.mode = mode;
    this.effective = effective;
    this.#key = key;
  }

  /**
   * @param directory open for reading; closing it gives the kernel's lock back
   * @throws LockedError after the timeout, or at once when this process itself holds a conflicting lock
   */
  static async acquire(
    directory: { readonly fd: number },
    path: string,
    mode: LockMode,
    options: LockOptions,
  ): Promise<RepositoryLock> {
    const { dev, ino } = fstatSync(directory.fd, { bigint: true });
    const key = `${dev}:${ino}`;
    const mine = held.get(key);
    if (mine !== undefined && (mine.mode === 'exclusive' || mode === 'exclusive'))
      throw new LockedError(`this process has the repository open already (${mine.mode} lock)`, { file: path });
    if (mine === undefined) held.set(key, { mode, count: 1 });
    else mine.count++;
    try {
      const tryLock = await findTryLock();
      if (tryLock !== undefined) await waitForLock(tryLock, directory.fd, path, mode, options);
      return new RepositoryLock(mode, tryLock !== undefined, key);
    } catch (error) {
      forget(key);
      throw error;
    }
  }

  /** For this process only: the kernel's lock goes when the directory is closed. */
  release(): void {
    if (this.#key !== undefined) forget(this.#key);
    this.#key = undefined;
  }
}

/**
 * An exclusive lock of any directory for a moment, against other processes and other holders in this one: each has its own open file.
 * Closing the handle gives it back.
 */
export async function lockDirectory(path: string): Promise<FileHandle> {
  const directory = await fs.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const tryLock = await findTryLock();
    if (tryLock !== undefined) await waitForLock(tryLock, directory.fd, path, 'exclusive', {});
    return directory;
  } catch (error) {
    await directory.close();
    throw error;
  }
}

function forget(key: string): void {
  const entry = held.get(key);
  if (entry !== undefined && --entry.count === 0) held.delete(key);
}

async function waitForLock(
  tryLock: TryLock,
  fd: number,
  path: string,
  mode: LockMode,
  { timeoutMs = DEFAULT_LOCK_TIMEOUT_MS, onWait, signal }: LockOptions,
): Promise<void> {
  const start = monotonicMs();
  let told = false;
  for (let pauseMs = FIRST_PAUSE_MS; !(await tryLock(fd, mode)); pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const waitedMs = monotonicMs() - start;
    if (waitedMs >= timeoutMs)
      throw new LockedError(`still locked by another process after ${Math.round(timeoutMs / 1000)} s`, { file: path });
    if (!told && waitedMs >= MESSAGE_AFTER_MS) {
      told = true;
      onWait?.(`waiting for the ${mode} lock of ${path}, another process holds it`);
    }
    await timers.setTimeout(Math.min(pauseMs, timeoutMs - waitedMs), undefined, { signal });
  }
}

let found: Promise<TryLock | undefined> | undefined;

/** The first way to `flock` that works here: the addon, the fs-ext package, the `flock` program of util-linux. */
function findTryLock(): Promise<TryLock | undefined> {
  found ??= (async () => nativeTryLock() ?? fsExtTryLock() ?? (await flockProgramTryLock()))();
  return found;
}

function nativeTryLock(): TryLock | undefined {
  const addon = native;
  return addon === undefined ? undefined : async (fd, mode) => addon.flock(fd, mode === 'shared' ? 'sh' : 'ex');
}

function fsExtTryLock(): TryLock | undefined {
  let flockSync: (fd: number, flags: 'shnb' | 'exnb') => void;
  try {
    ({ flockSync } = createRequire(import.meta.url)('fs-ext') as { flockSync: typeof flockSync });
  } catch {
    return undefined; // an optional dependency: absent, or built for another Node
  }
  return async (fd, mode) => {
    try {
      flockSync(fd, mode === 'shared' ? 'shnb' : 'exnb');
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN' || code === 'EWOULDBLOCK') return false;
      throw error;
    }
  };
}

/** Exit status of `flock -n` when somebody else holds the lock. */
const FLOCK_PROGRAM_CONFLICT = 1;
const FLOCK_PROGRAM_FD = 3;

async function flockProgramTryLock(): Promise<TryLock | undefined> {
  const version = await run('flock', ['--version']).catch(() => undefined);
  if (version !== 0) return undefined;
  // The child locks the open file description that it shares with us, so the lock outlives it.
  return async (fd, mode) => {
    const status = await run('flock', [mode === 'shared' ? '-s' : '-x', '-n', `${FLOCK_PROGRAM_FD}`], fd);
    if (status !== 0 && status !== FLOCK_PROGRAM_CONFLICT) throw new Error(`flock ended with status ${status}`);
    return status === 0;
  };
}

const run = (program: string, args: string[], fd?: number): Promise<number | null> =>
  new Promise((resolve, reject) => {
    const { spawn } = process.getBuiltinModule('node:child_process');
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'ignore', ...(fd === undefined ? [] : [fd])] });
    child.on('error', reject);
    child.on('close', resolve);
  });
