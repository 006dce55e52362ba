/** fs-verity of open files: asking the kernel, and turning it on for files that we have just written. */

import type { FileHandle } from 'node:fs/promises';
import timers from 'node:timers/promises';
import { AddonNeededError, DigestMismatchError, RepositoryError, type Where } from '../errors.ts';
import { type Algorithm, toHex } from '../formats/ids.ts';
import { native } from '../native.ts';

/**
 * `off`: the file has no fs-verity. `unsupported`: nor has its file system or this kernel. `unknown`: no addon to ask with.
 */
export type VerityState = { algorithm: Algorithm; digest: Uint8Array } | 'off' | 'unsupported' | 'unknown';

/** One ioctl; reads no file data. What the kernel has measured, it checks again on every read. */
export function measureVerity(fd: number): VerityState {
  const addon = native;
  if (addon === undefined) return 'unknown';
  try {
    return addon.measureVerity(fd) ?? 'off';
  } catch (error) {
    if (isUnsupported(error)) return 'unsupported';
    throw error;
  }
}

/** Times to ask again while somebody has the file open for writing (another thread between fork and exec). */
const BUSY_TRIES = 10;
const BUSY_PAUSE_MS = 1;

/**
 * Turns fs-verity on and compares what the kernel measures with `expected`.
 * @param file open for reading only; nobody may have it open for writing
 * @throws RepositoryError where the file system has no fs-verity; DigestMismatchError
 */
export async function enableVerity(
  file: FileHandle,
  algorithm: Algorithm,
  expected: Uint8Array | undefined,
  where: Where,
): Promise<void> {
  const addon = native;
  if (addon === undefined) throw new AddonNeededError('fs-verity needs the native addon; see doc/native.md', where);
  for (let attempt = 1; ; attempt++) {
    try {
      addon.enableVerity(file.fd, algorithm);
      break;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') break; // on already; what it measures is judged below
      if (isUnsupported(error))
        throw new RepositoryError('the file system has no fs-verity; --insecure makes a repository without it', where, {
          cause: error,
        });
      if (code !== 'ETXTBSY' || attempt === BUSY_TRIES) throw error;
      await timers.setTimeout(BUSY_PAUSE_MS * attempt);
    }
  }
  const measured = measureVerity(file.fd);
  if (typeof measured === 'string') throw new RepositoryError('fs-verity was turned on, but is not there', where);
  if (measured.algorithm !== algorithm)
    throw new RepositoryError(`fs-verity is on with ${measured.algorithm}, the repository uses ${algorithm}`, where);
  if (expected !== undefined && Buffer.compare(measured.digest, expected) !== 0)
    throw new DigestMismatchError(toHex(expected), toHex(measured.digest), where);
}

function isUnsupported(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOTTY' || code === 'EOPNOTSUPP' || code === 'ENOTSUP';
}
