/**
 * `cfs-ostree/index/gaps`: stored commits whose objects the side index may not know, because they stood there under a commit that has
 * been removed. One checksum per line. Like the index itself it costs time when it is lost, and nothing else.
 */

import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { type Checksum, isChecksum } from '../formats/ids.ts';
import { unlinkIfThere } from './absence.ts';
import { openRegularFileSync, readWholeSync } from './regular-file.ts';
import { SIDE_INDEX_DIRECTORY, writeIndexFile } from './side-index-files.ts';

const NAME = 'gaps';
const FILE = `${SIDE_INDEX_DIRECTORY}/${NAME}`;
/** About a million commits. */
const MAX_FILE_BYTES = 64 << 20;

/** @throws FormatError, LimitError, or what the file system says */
export async function readGaps(repositoryPath: string): Promise<Set<Checksum>> {
  const opened = openRegularFileSync(join(repositoryPath, FILE), { file: FILE });
  if (opened === undefined) return new Set();
  try {
    const bytes = readWholeSync(opened.fd, opened.stats.size, MAX_FILE_BYTES, { file: FILE });
    return new Set(Buffer.from(bytes).toString('latin1').split('\n').filter(isChecksum));
  } finally {
    closeSync(opened.fd);
  }
}

/** Replaces the list. @throws as writeIndexFile */
export async function writeGaps(repositoryPath: string, commits: Iterable<Checksum>): Promise<void> {
  const lines = [...commits].map((commit) => `${commit}\n`).join('');
  if (lines === '') unlinkIfThere(join(repositoryPath, FILE));
  else await writeIndexFile(repositoryPath, NAME, lines);
}
