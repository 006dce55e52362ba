/** `meta.json` on disk: reading it with its fs-verity state, and writing it once (composefs-rs 0.9, `write_repo_metadata`). */

import { closeSync, constants, openSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { AddonNeededError, RepositoryError, type Where } from '../errors.ts';
import type { Algorithm } from '../formats/ids.ts';
import { native } from '../native.ts';
import { openRegularFileSync, readWholeSync } from './regular-file.ts';
import { TEMPORARY_METADATA_PREFIX, temporaryName } from './temporaries.ts';
import { enableVerity, measureVerity, type VerityState } from './verity.ts';

export const METADATA_FILE = 'meta.json';
/** Real ones have 219 to 300 bytes. */
const MAX_METADATA_FILE_BYTES = 1 << 20;
const METADATA_MODE = 0o644;

export interface MetadataFile {
  bytes: Uint8Array;
  verity: VerityState;
}

/**
 * @returns undefined where there is none
 * @throws FormatError when it is no regular file; LimitError; AddonNeededError when it looks like fs-verity and there is no addon
 */
export function readMetadataFile(repositoryPath: string): MetadataFile | undefined {
  const where: Where = { file: METADATA_FILE };
  const path = join(repositoryPath, METADATA_FILE);
  const opened = openRegularFileSync(path, where);
  if (opened === undefined) return undefined;
  const { fd, stats } = opened;
  try {
    const verity = measureVerity(fd);
    if (verity === 'unknown' && refusesWriters(path))
      throw new AddonNeededError(
        'the repository seems to be secure, which needs the native addon (doc/native.md)',
        where,
      );
    return { bytes: readWholeSync(fd, stats.size, MAX_METADATA_FILE_BYTES, where), verity };
  } finally {
    closeSync(fd);
  }
}

/** Files with fs-verity cannot be opened for writing by anybody, EPERM; opening alone changes nothing. */
function refusesWriters(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDWR | constants.O_NOFOLLOW));
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Creates `meta.json`, complete and durable or not at all.
 * @param secure turns fs-verity on, which makes the repository a secure one
 * @returns false when there is one already; it was not touched
 * @throws RepositoryError where the file system has no fs-verity; AddonNeededError
 */
export async function createMetadataFile(
  repositoryPath: string,
  bytes: Uint8Array,
  { algorithm, secure }: { algorithm: Algorithm; secure: boolean },
): Promise<boolean> {
  if (secure && native === undefined)
    throw new AddonNeededError('a secure repository needs the native addon (doc/native.md); --insecure does without', {
      file: repositoryPath,
    });
  const temporary = join(repositoryPath, temporaryName(TEMPORARY_METADATA_PREFIX));
  try {
    await writeDurably(temporary, bytes);
    if (secure) {
      await using handle = await fs.open(temporary, constants.O_RDONLY);
      await enableVerity(handle, algorithm, undefined, { file: repositoryPath });
    }
    if (!(await linkIfFree(temporary, join(repositoryPath, METADATA_FILE)))) return false;
  } finally {
    await fs.unlink(temporary).catch(() => {}); // gc sweeps what stays
  }
  try {
    await syncDirectory(repositoryPath);
  } catch (error) {
    await fs.unlink(join(repositoryPath, METADATA_FILE)).catch(() => {}); // the first error is the one to tell
    throw error;
  }
  return true;
}

async function linkIfFree(from: string, to: string): Promise<boolean> {
  try {
    await fs.link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await using handle: FileHandle = await fs.open(path, 'wx', METADATA_MODE);
  await handle.writeFile(bytes);
  await handle.sync();
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  await using handle = await fs.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await handle.sync();
}

/** Which kind of repository the state of `meta.json` says it is. @throws RepositoryError when its fs-verity is of another algorithm */
export function isSecure(verity: VerityState, algorithm: Algorithm): boolean {
  if (typeof verity === 'string') return false;
  if (verity.algorithm !== algorithm)
    throw new RepositoryError(`has fs-verity with ${verity.algorithm}, the repository uses ${algorithm}`, {
      file: METADATA_FILE,
    });
  return true;
}
