import { CfsError } from '../errors.ts';
import type { Progress } from '../progress.ts';
import type { StoredCommit } from './commit-reader.ts';

/** A damaged base that nobody asked for costs a download; fsck tells of it. */
export async function ifUsable(
  found: Promise<StoredCommit | undefined>,
  progress: Progress,
): Promise<StoredCommit | undefined> {
  try {
    return await found;
  } catch (error) {
    if (!(error instanceof CfsError)) throw error;
    progress.warn(`not used as base: ${error.message}`);
    return undefined;
  }
}
