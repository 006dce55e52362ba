/**
 * The directory of the side index, and how files come into it. By synchronous calls: they are done before node:fs/promises would be loaded,
 * which gc does not need otherwise.
 */

import { lstatSync, readdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError } from '../errors.ts';
import { makeDirectories } from './directories.ts';
import { temporaryName } from './temporaries.ts';

/** Relative to the repository. */
export const SIDE_INDEX_DIRECTORY = 'cfs-ostree/index';
/** Leftovers are removed by whoever holds the exclusive lock. */
export const TEMPORARY_PREFIX = '.tmp-segment-';
const DIRECTORY_MODE = 0o755;

/** A segment is named after its content, so that two writers of the same segment write the same file. */
export const isSegmentName = (name: string): boolean => /^[0-9a-f]{32}\.segment$/.test(name);

/** Everything in the directory; nothing where there is none. @throws FormatError where the index is no directory */
export function listIndexFiles(repositoryPath: string): string[] {
  const directory = join(repositoryPath, SIDE_INDEX_DIRECTORY);
  const stats = lstatSync(directory, { throwIfNoEntry: false });
  if (stats === undefined) return [];
  if (!stats.isDirectory()) throw new FormatError('is no directory', { file: SIDE_INDEX_DIRECTORY });
  return readdirSync(directory);
}

/** Writes a whole file, or replaces it. @throws FormatError where the index is no directory; what the file system says */
export async function writeIndexFile(
  repositoryPath: string,
  name: string,
  content: Uint8Array | string,
): Promise<void> {
  const directory = join(repositoryPath, SIDE_INDEX_DIRECTORY);
  await makeDirectories(directory, DIRECTORY_MODE);
  if (!lstatSync(directory).isDirectory()) throw new FormatError('is no directory', { file: SIDE_INDEX_DIRECTORY });
  const temporary = join(directory, temporaryName(TEMPORARY_PREFIX));
  try {
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o644 });
    renameSync(temporary, join(directory, name));
  } catch (error) {
    try {
      unlinkSync(temporary);
    } catch {
      // the first error is the one to tell
    }
    throw error;
  }
}
