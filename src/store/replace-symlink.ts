/** Atomic creation and replacement of a symlink, with the temporary where composefs-rs 0.9 puts it (`replace_symlinkat`). */

import fs from 'node:fs/promises';
import { join } from 'node:path';
import { TEMPORARY_LINK_PREFIX, TEMPORARY_NAME_TRIES, temporaryName } from './temporaries.ts';

/** @returns false when the link was there already, with this target */
export async function replaceSymlink(repositoryPath: string, target: string, path: string): Promise<boolean> {
  if (await createSymlink(target, path)) return true;
  if ((await fs.readlink(path).catch(() => undefined)) === target) return false;
  const temporary = await createTemporaryLink(repositoryPath, target);
  try {
    await fs.rename(temporary, path);
    return true;
  } catch (error) {
    await fs.unlink(temporary).catch(() => {}); // gc sweeps it; the rename's error is the one to show
    throw error;
  }
}

async function createTemporaryLink(repositoryPath: string, target: string): Promise<string> {
  for (let attempt = 1; attempt <= TEMPORARY_NAME_TRIES; attempt++) {
    const path = join(repositoryPath, temporaryName(TEMPORARY_LINK_PREFIX));
    if (await createSymlink(target, path)) return path;
  }
  throw new Error(`every temporary name tried in ${repositoryPath} is taken`);
}

async function createSymlink(target: string, path: string): Promise<boolean> {
  try {
    await fs.symlink(target, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
