/** What the side index loses when commits were removed. A segment of which nothing stays goes unread: its head says whose entries it has. */

import { closeSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError } from '../errors.ts';
import { peekSegmentCommits, SEGMENT_HEAD_BYTES } from '../formats/side-index.ts';
import { unlinkIfThere } from './absence.ts';
import { listStoredCommits } from './ostree-refs.ts';
import { openRegularFileSync } from './regular-file.ts';
import type { Repository } from './repository.ts';
import { changeSideIndex, SideIndex, type Warn } from './side-index.ts';
import { isSegmentName, listIndexFiles, SIDE_INDEX_DIRECTORY } from './side-index-files.ts';
import { writeGaps } from './side-index-gaps.ts';

/**
 * Drops the entries of all commits that are not stored any more, damaged segments, and leftover temporaries: for whoever holds the
 * exclusive lock. Other commits may have relied on what goes, so that they are noted before.
 */
export const pruneSideIndex = (repo: Repository, warn: Warn): Promise<void> =>
  changeSideIndex(repo, warn, async () => {
    const stored = new Set(await listStoredCommits(repo.streams));
    const dead = deadSegments(repo, stored);
    if (dead.length > 0) await writeGaps(repo.path, stored);
    for (const name of dead) unlinkIfThere(join(repo.path, SIDE_INDEX_DIRECTORY, name));
    const index = new SideIndex(repo.path, repo.algorithm, warn);
    await index.load();
    const { goneCommits } = index;
    if (goneCommits.size > 0) await writeGaps(repo.path, stored);
    await index.dropCommits(goneCommits);
    index.removeLeftovers();
  });

/** Names of the segments none of whose commits is stored. */
function deadSegments(repo: Repository, stored: ReadonlySet<string>): string[] {
  const head = new Uint8Array(SEGMENT_HEAD_BYTES);
  return listIndexFiles(repo.path)
    .filter(isSegmentName)
    .filter((name) => {
      const length = readHead(join(repo.path, SIDE_INDEX_DIRECTORY, name), head);
      const commits = peekSegmentCommits(head.subarray(0, length), repo.algorithm);
      return commits?.every((commit) => !stored.has(commit));
    });
}

/** @returns how much there is; nothing of what is no file: whoever reads the segments says so */
function readHead(path: string, head: Uint8Array): number {
  try {
    const file = openRegularFileSync(path, { file: path });
    if (file === undefined) return 0;
    try {
      return readSync(file.fd, head, 0, head.length, 0);
    } finally {
      closeSync(file.fd);
    }
  } catch (error) {
    if (error instanceof FormatError) return 0;
    throw error;
  }
}
