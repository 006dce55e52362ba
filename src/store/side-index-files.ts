/** The directory of the side index, and how files come into it. */

import { lstat, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FormatError } from '../errors.ts';
import { makeDirectories } from './directories.ts';
import { temporaryName } from './temporaries.ts';

/** Relative to the repository. */
export const SIDE_INDEX_DIRECTORY = 'cfs-ostree/index';
/** Leftovers are removed by whoever holds the exclusive lock. */
export const TEMPORARY_PREFIX = '.tmp-segment-';
const DIRECTORY_MODE = 0o755;

/** Writes a whole file, or replaces it. @throws FormatError where the index is no directory; what the file system says */
export async function writeIndexFile(
  repositoryPath: string,
  name: string,
  content: Uint8Array | string,
): Promise<void> {
  const directory = join(repositoryPath, SIDE_INDEX_DIRECTORY);
  await makeDirectories(directory, DIRECTORY_MODE);
  if (!(await lstat(directory)).isDirectory()) throw new FormatError('is no directory', { file: SIDE_INDEX_DIRECTORY });
  const temporary = join(directory, temporaryName(TEMPORARY_PREFIX));
  try {
    await writeFile(temporary, content, { flag: 'wx', mode: 0o644 });
    await rename(temporary, join(directory, name));
  } catch (error) {
    await unlink(temporary).catch(() => {}); // the first error is the one to tell
    throw error;
  }
}
