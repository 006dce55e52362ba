/** Lets the side index know every stored commit: those that another program stored, and those that a collected commit stood in for. */

import { CfsError, problemText } from '../errors.ts';
import type { Checksum } from '../formats/ids.ts';
import { listStoredCommits } from '../store/ostree-refs.ts';
import type { Repository } from '../store/repository.ts';
import type { SideIndex } from '../store/side-index.ts';
import { readGaps, writeGaps } from '../store/side-index-gaps.ts';
import { findCommit } from './commit-reader.ts';

/**
 * Adds what is missing in the index; takes time once for each such commit.
 * @param except commits whose objects are asked for without the index: they can wait
 * @param warn told of trouble, which is never an error: what the index does not know is fetched again
 * @returns those of `except` that the index may not know all objects of; undefined when there was trouble
 */
export async function coverStoredCommits(
  repo: Repository,
  index: SideIndex,
  except: ReadonlySet<Checksum>,
  warn: (message: string) => void,
): Promise<ReadonlySet<Checksum> | undefined> {
  try {
    const gaps = await readGaps(repo.path);
    const waiting: Checksum[] = [];
    for (const commit of await listStoredCommits(repo.streams)) {
      if (index.isComplete && index.hasCommit(commit) && !gaps.has(commit)) continue;
      if (!except.has(commit)) await cover(repo, index, commit);
      else if (gaps.has(commit) || !index.isComplete) waiting.push(commit);
    }
    if (gaps.size > 0 || waiting.length > 0) await writeGaps(repo.path, waiting);
    return new Set(waiting);
  } catch (error) {
    warn(`the side index was not brought up to date: ${problemText(error)}`);
    return undefined;
  }
}

/** A damaged commit is not for the index; fsck tells of it. */
async function cover(repo: Repository, index: SideIndex, commit: Checksum): Promise<void> {
  try {
    const stored = await findCommit(repo, commit);
    if (stored !== undefined) await index.append(commit, stored.map);
  } catch (error) {
    if (!(error instanceof CfsError)) throw error;
  }
}
