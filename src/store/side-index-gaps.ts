/**
 * `cfs-ostree/index/gaps`: stored commits whose objects the side index may not know, because they stood there under a commit that has
 * been removed. One checksum per line. Like the index itself it costs time when it is lost, and nothing else.
 */

import { lstat, readdir, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checksum, isChecksum } from '../formats/ids.ts';
import { makeDirectories } from './directories.ts';
import { parseStreamName } from './ostree-refs.ts';
import { openRegularFile, readWhole } from './regular-file.ts';
import { temporaryName } from './temporaries.ts';

const FILE = 'cfs-ostree/index/gaps';
const DIRECTORY = 'cfs-ostree/index';
const DIRECTORY_MODE = 0o755;
/** About a million commits. */
const MAX_FILE_BYTES = 64 << 20;
/** Removed by whoever holds the exclusive lock, with those of segments. */
const TEMPORARY_PREFIX = '.tmp-segment-';

/** @throws FormatError, LimitError, or what the file system says */
export async function readGaps(repositoryPath: string): Promise<Set<Checksum>> {
  const opened = await openRegularFile(join(repositoryPath, FILE), { file: FILE });
  if (opened === undefined) return new Set();
  await using handle = opened.handle;
  const bytes = await readWhole(handle, opened.stats.size, MAX_FILE_BYTES, { file: FILE });
  return new Set(Buffer.from(bytes).toString('latin1').split('\n').filter(isChecksum));
}

/** Replaces the list. */
export async function writeGaps(repositoryPath: string, commits: Iterable<Checksum>): Promise<void> {
  const path = join(repositoryPath, FILE);
  const lines = [...commits].map((commit) => `${commit}\n`).join('');
  if (lines === '') {
    await unlink(path).catch(ignoreAbsent);
    return;
  }
  const directory = join(repositoryPath, DIRECTORY);
  await makeDirectories(directory, DIRECTORY_MODE);
  if (!(await lstat(directory)).isDirectory()) return; // the index is not used either
  const temporary = join(directory, temporaryName(TEMPORARY_PREFIX));
  try {
    await writeFile(temporary, lines, { flag: 'wx', mode: 0o644 });
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(ignoreAbsent);
    throw error;
  }
}

/** All commits that are stored now. */
export async function storedCommits(repositoryPath: string): Promise<Checksum[]> {
  const names = await readdir(join(repositoryPath, 'streams'));
  return names.flatMap((name) => {
    const parsed = parseStreamName(name);
    return parsed?.kind === 'commit' ? [parsed.commit] : [];
  });
}

function ignoreAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}
