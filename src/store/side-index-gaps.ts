/**
 * `cfs-ostree/index/gaps`: stored commits whose objects the side index may not know, because they stood there under a commit that has
 * been removed. One checksum per line. Like the index itself it costs time when it is lost, and nothing else.
 */

import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checksum, isChecksum } from '../formats/ids.ts';
import { ignoreAbsent } from './absence.ts';
import { parseStreamName } from './ostree-refs.ts';
import { openRegularFile, readWhole } from './regular-file.ts';
import { SIDE_INDEX_DIRECTORY, writeIndexFile } from './side-index-files.ts';

const NAME = 'gaps';
const FILE = `${SIDE_INDEX_DIRECTORY}/${NAME}`;
/** About a million commits. */
const MAX_FILE_BYTES = 64 << 20;

/** @throws FormatError, LimitError, or what the file system says */
export async function readGaps(repositoryPath: string): Promise<Set<Checksum>> {
  const opened = await openRegularFile(join(repositoryPath, FILE), { file: FILE });
  if (opened === undefined) return new Set();
  await using handle = opened.handle;
  const bytes = await readWhole(handle, opened.stats.size, MAX_FILE_BYTES, { file: FILE });
  return new Set(Buffer.from(bytes).toString('latin1').split('\n').filter(isChecksum));
}

/** Replaces the list. @throws as writeIndexFile */
export async function writeGaps(repositoryPath: string, commits: Iterable<Checksum>): Promise<void> {
  const lines = [...commits].map((commit) => `${commit}\n`).join('');
  if (lines === '') await unlink(join(repositoryPath, FILE)).catch(ignoreAbsent);
  else await writeIndexFile(repositoryPath, NAME, lines);
}

/** All commits that are stored now. */
export async function storedCommits(repositoryPath: string): Promise<Checksum[]> {
  const names = await readdir(join(repositoryPath, 'streams'));
  return names.flatMap((name) => {
    const parsed = parseStreamName(name);
    return parsed?.kind === 'commit' ? [parsed.commit] : [];
  });
}
