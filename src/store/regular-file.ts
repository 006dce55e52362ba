/** Opening files of a repository: never through a symlink, never a fifo or device, however the repository came here. */

import type { Stats } from 'node:fs';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import fs from 'node:fs/promises';
import { FormatError, LimitError, type Where } from '../errors.ts';
import type { OwnedBytes } from '../formats/owned-bytes.ts';

// O_NONBLOCK: opening a fifo for reading returns at once instead of waiting for a writer
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** One read call moves at most this many bytes (Linux stops at 2 GiB). */
const READ_BYTES = 1 << 30;

/**
 * @returns undefined where there is no such file
 * @throws FormatError when it is something other than a regular file
 */
export async function openRegularFile(
  path: string,
  where: Where,
): Promise<{ handle: FileHandle; stats: Stats } | undefined> {
  let handle: FileHandle;
  try {
    handle = await fs.open(path, OPEN_FLAGS);
  } catch (error) {
    return undefinedWhereAbsent(error, where);
  }
  try {
    const stats = await handle.stat();
    requireRegular(stats, where);
    return { handle, stats };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The same at once, for small files that are read when a repository is opened. The caller closes it. */
export function openRegularFileSync(path: string, where: Where): { fd: number; stats: Stats } | undefined {
  let fd: number;
  try {
    fd = openSync(path, OPEN_FLAGS);
  } catch (error) {
    return undefinedWhereAbsent(error, where);
  }
  try {
    const stats = fstatSync(fd);
    requireRegular(stats, where);
    return { fd, stats };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function undefinedWhereAbsent(error: unknown, where: Where): undefined {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return undefined;
    case 'ELOOP':
      throw new FormatError('is a symlink, expected a regular file', where, { cause: error });
    case 'ENXIO': // a socket
      throw new FormatError('is not a regular file', where, { cause: error });
    default:
      throw error;
  }
}

function requireRegular(stats: Stats, where: Where): void {
  if (!stats.isFile()) throw new FormatError('is not a regular file', where);
}

/**
 * The whole file, whose size was taken when it was opened.
 * @throws LimitError above `maxBytes`, before anything is allocated; FormatError when it shrinks meanwhile or cannot be read
 */
export async function readWhole(
  handle: FileHandle,
  sizeBytes: number,
  maxBytes: number,
  where: Where,
): Promise<OwnedBytes> {
  const bytes = allocate(sizeBytes, maxBytes, where);
  for (let at = 0; at < sizeBytes; ) {
    const { bytesRead } = await handle
      .read(bytes, at, Math.min(READ_BYTES, sizeBytes - at), at)
      .catch((error: unknown) => {
        throw explainReadError(error, where);
      });
    at += requireProgress(bytesRead, at, sizeBytes, where);
  }
  return bytes;
}

/** The same at once. @throws as `readWhole` */
export function readWholeSync(fd: number, sizeBytes: number, maxBytes: number, where: Where): OwnedBytes {
  const bytes = allocate(sizeBytes, maxBytes, where);
  fillSync(fd, bytes, { start: 0, sizeBytes }, where);
  return bytes;
}

/**
 * Fills `bytes` from `start` on with what a file of `sizeBytes` has there.
 * @throws FormatError when it shrinks meanwhile or cannot be read
 */
export function fillSync(fd: number, bytes: OwnedBytes, { start, sizeBytes }: FilePart, where: Where): void {
  try {
    for (let at = 0; at < bytes.length; ) {
      const position = start + at;
      const bytesRead = readSync(fd, bytes, at, Math.min(READ_BYTES, bytes.length - at), position);
      at += requireProgress(bytesRead, position, sizeBytes, where);
    }
  } catch (error) {
    throw explainReadError(error, where);
  }
}

interface FilePart {
  start: number;
  /** Of the whole file. */
  sizeBytes: number;
}

function allocate(sizeBytes: number, maxBytes: number, where: Where): OwnedBytes {
  if (sizeBytes > maxBytes) throw new LimitError(`has ${sizeBytes} bytes, the limit is ${maxBytes}`, where);
  return new Uint8Array(sizeBytes);
}

function requireProgress(bytesRead: number, at: number, sizeBytes: number, where: Where): number {
  if (bytesRead === 0) throw new FormatError(`became shorter while it was read: ${at} of ${sizeBytes} bytes`, where);
  return bytesRead;
}

/** The kernel says EIO where fs-verity finds other content than was measured, and where the disk fails. */
export function explainReadError(error: unknown, where: Where): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'EIO') return error;
  return new FormatError('cannot be read: its content is damaged, or the disk fails', where, { cause: error });
}
