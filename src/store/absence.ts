/** What is not there, or is gone meanwhile. */

import { unlinkSync } from 'node:fs';

/** Whether the file system said that there is no such entry. */
export const isAbsent = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** The same for a path with directories of its own: one of them may be something else. */
export const isPathAbsent = (error: unknown): boolean =>
  isAbsent(error) || (error as NodeJS.ErrnoException).code === 'ENOTDIR';

/** To be passed to `catch`: undefined for what is absent. @throws every other error */
export function ignoreAbsent(error: unknown): undefined {
  if (!isAbsent(error)) throw error;
  return undefined;
}

/** @returns whether the name was there */
export function unlinkIfThere(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (!isAbsent(error)) throw error;
    return false;
  }
}
