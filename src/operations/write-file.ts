/** A result that the user wants in a file. */

import { lstat, open, rename, unlink } from 'node:fs/promises';
import { explainWriteError, NotFoundError } from '../errors.ts';

/**
 * The file appears complete or not at all, unless something that is no regular file (a device, a pipe) has the name: then it
 * is written to.
 */
export async function writeWholeFile(path: string, bytes: Uint8Array): Promise<void> {
  const where = { file: path };
  try {
    const existing = await lstat(path).catch(() => undefined);
    const direct = existing !== undefined && !existing.isFile();
    const target = direct ? path : `${path}.${process.pid}.tmp`;
    await using file = await open(target, direct ? 'w' : 'wx', 0o644);
    if (direct) return await file.writeFile(bytes);
    try {
      await file.writeFile(bytes);
      await file.sync();
      await rename(target, path);
    } catch (error) {
      await unlink(target).catch(() => {});
      throw error;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new NotFoundError('there is no such directory to write to', where, { cause: error });
    throw explainWriteError(error, where);
  }
}
