/** Reading files of a local repository: regular ones only, within a limit. */

import { closeSync, constants, lstatSync, openSync, readSync, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { FormatError, LimitError, SourceError, type Where } from '../errors.ts';
import { LARGE_BODY_BYTES, type LargeBodyGate } from './large-body-gate.ts';

const isAbsent = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes((error as NodeJS.ErrnoException).code ?? '');

/** A failed system call, as an error of the source. Anything else comes back unchanged. */
export function explainReadError(error: unknown, where: Where): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (!(error instanceof Error) || syscall === undefined) return error;
  const denied = code === 'EACCES' || code === 'EPERM';
  return new SourceError(denied ? 'permission denied' : error.message, where, { cause: error });
}

/** Symbolic links are not followed. @throws SourceError */
export function statIfThere(path: string, where: Where): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw explainReadError(error, where);
  }
}

/**
 * The whole file, undefined when there is none. Looks before it opens: opening a device or pipe can already do something.
 * Does not wait for the reading of all but large files: callers bound how many they read in a turn of the event loop.
 * @param gate makes large ones wait for each other
 * @throws FormatError for anything but a regular file; LimitError, SourceError
 */
export async function readIfThere(
  path: string,
  maxBytes: number,
  where: Where,
  gate?: LargeBodyGate,
): Promise<Uint8Array | undefined> {
  const stats = statIfThere(path, where);
  if (stats === undefined) return undefined;
  if (!stats.isFile()) throw new FormatError('not a regular file', where);
  if (stats.size > maxBytes) throw new LimitError(`has ${stats.size} bytes, more than ${maxBytes}`, where);
  if (stats.size <= LARGE_BODY_BYTES) return readSmall(path, stats.size, where);
  if (gate === undefined) return readLarge(path, stats.size, where);
  const turn = {};
  await new Promise<void>((resolve) => {
    if (gate.enter(turn, resolve)) resolve();
  });
  try {
    return await readLarge(path, stats.size, where);
  } finally {
    gate.leave(turn);
  }
}

/** Neither a link nor a pipe that took the file's place meanwhile holds us up. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

function readSmall(path: string, sizeBytes: number, where: Where): Uint8Array {
  try {
    const fd = openSync(path, OPEN_FLAGS);
    try {
      const bytes = new Uint8Array(sizeBytes);
      for (let filled = 0; filled < sizeBytes; )
        filled += notZero(readSync(fd, bytes, filled, sizeBytes - filled, filled), where);
      return bytes;
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw explainReadError(error, where);
  }
}

async function readLarge(path: string, sizeBytes: number, where: Where): Promise<Uint8Array> {
  try {
    const handle = await open(path, OPEN_FLAGS);
    try {
      const bytes = new Uint8Array(sizeBytes);
      for (let filled = 0; filled < sizeBytes; )
        filled += notZero((await handle.read(bytes, filled, sizeBytes - filled, filled)).bytesRead, where);
      return bytes;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw explainReadError(error, where);
  }
}

function notZero(bytesRead: number, where: Where): number {
  if (bytesRead === 0) throw new SourceError('became shorter while it was being read', where);
  return bytesRead;
}
