/** Reading files of a local repository: regular ones only, within a limit. */

import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
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
export async function statIfThere(path: string, where: Where): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw explainReadError(error, where);
  }
}

/**
 * The whole file, undefined when there is none. Looks before it opens: opening a device or pipe can already do something.
 * @param gate makes large ones wait for each other
 * @throws FormatError for anything but a regular file; LimitError, SourceError
 */
export async function readIfThere(
  path: string,
  maxBytes: number,
  where: Where,
  gate?: LargeBodyGate,
): Promise<Uint8Array | undefined> {
  const stats = await statIfThere(path, where);
  if (stats === undefined) return undefined;
  if (!stats.isFile()) throw new FormatError('not a regular file', where);
  if (stats.size > maxBytes) throw new LimitError(`has ${stats.size} bytes, more than ${maxBytes}`, where);
  if (gate === undefined || stats.size <= LARGE_BODY_BYTES) return readRegular(path, stats.size, where);
  const turn = {};
  await new Promise<void>((resolve) => {
    if (gate.enter(turn, resolve)) resolve();
  });
  try {
    return await readRegular(path, stats.size, where);
  } finally {
    gate.leave(turn);
  }
}

async function readRegular(path: string, sizeBytes: number, where: Where): Promise<Uint8Array> {
  try {
    // Neither a link nor a pipe that took its place meanwhile holds us up.
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      return await readExactly(handle, sizeBytes, where);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw explainReadError(error, where);
  }
}

async function readExactly(handle: FileHandle, sizeBytes: number, where: Where): Promise<Uint8Array> {
  const bytes = new Uint8Array(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const { bytesRead } = await handle.read(bytes, filled, sizeBytes - filled, filled);
    if (bytesRead === 0) throw new SourceError('became shorter while it was being read', where);
    filled += bytesRead;
  }
  return bytes;
}
