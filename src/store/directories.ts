/** Making directories. Node's own recursive way tells ENOENT for every error that it does not know, such as EROFS and EIO. */

import { lstatSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { FormatError } from '../errors.ts';
import { isAbsent } from './absence.ts';

/**
 * @returns whether it had to be made
 * @throws FormatError when something else has that name, a symlink included
 */
export async function makeDirectory(path: string, mode?: number): Promise<boolean> {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!lstatSync(path).isDirectory()) throw new FormatError('is not a directory', { file: path }, { cause: error });
    return false;
  }
}

/** The directory and its parents, which may be symlinks, as far as they are not there. @returns the first that had to be made, if any */
export async function makeDirectories(path: string, mode?: number): Promise<string | undefined> {
  if (isDirectory(path)) return undefined;
  const first = await makeDirectories(dirname(path), mode);
  return (await makeDirectory(path, mode)) ? (first ?? path) : first;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}
