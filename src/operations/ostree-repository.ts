/** Making an ostree repository, or finding out which kind one is (ostree-repo facts of libostree 2026.4). */

import { open, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ConflictError, FormatError, RepositoryError } from '../errors.ts';
import { parseRepoConfig } from '../formats/ostree/repo-config.ts';
import { makeDirectories } from '../store/directories.ts';
import { temporaryName } from '../store/temporaries.ts';
import type { ExportMode } from './ostree-file-stager.ts';

const MODE_IN_CONFIG: Record<ExportMode, string> = {
  archive: 'archive-z2',
  bare: 'bare',
  'bare-user': 'bare-user',
  'bare-user-only': 'bare-user-only',
};
/** The directory of objects comes last: it is what makes a directory a repository. */
const INITIAL_DIRECTORIES = [
  'tmp',
  'tmp/cache',
  'extensions',
  'state',
  'refs',
  'refs/heads',
  'refs/mirrors',
  'refs/remotes',
  'objects',
];
export const METADATA_FILE_MODE = 0o644;
const TEMPORARY_CONFIG_PREFIX = '.tmp-config-';

/** @throws RepositoryError when something else is there; ConflictError when the repository has another mode */
export async function openOrCreateRepository(path: string, mode: ExportMode | undefined): Promise<ExportMode> {
  const config = await readFile(join(path, 'config')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (config !== undefined) {
    const actual = parseRepoConfig(config, { file: join(path, 'config') }).mode;
    if (mode !== undefined && mode !== actual)
      throw new ConflictError(`is a repository of mode ${actual}, not ${mode}`, { file: path });
    if (actual === 'bare-split-xattrs')
      throw new RepositoryError('bare-split-xattrs repositories can only be read', { file: path });
    for (const name of INITIAL_DIRECTORIES) await makeDirectories(join(path, name));
    return actual;
  }
  await makeDirectories(path).catch((error: unknown) => {
    if (error instanceof FormatError || (error as NodeJS.ErrnoException).code === 'ENOTDIR')
      throw new RepositoryError('is no directory', { file: path });
    throw error;
  });
  const entries = await readdir(path);
  if (entries.some((name) => !name.startsWith(TEMPORARY_CONFIG_PREFIX)))
    throw new RepositoryError('is neither empty nor an ostree repository; name a new directory', { file: path });
  const chosen = mode ?? 'archive';
  for (const leftover of entries) await unlink(join(path, leftover));
  await writeConfig(path, `[core]\nrepo_version=1\nmode=${MODE_IN_CONFIG[chosen]}\n`);
  for (const name of INITIAL_DIRECTORIES) await makeDirectories(join(path, name));
  return chosen;
}

/** Whole or not at all: what is no repository and not empty would be refused from then on. */
async function writeConfig(path: string, text: string): Promise<void> {
  const temporary = join(path, temporaryName(TEMPORARY_CONFIG_PREFIX));
  try {
    await writeNew(temporary, new TextEncoder().encode(text));
    await rename(temporary, join(path, 'config'));
  } catch (error) {
    await unlink(temporary).catch(() => {}); // the first error is the one to tell
    throw error;
  }
}

export async function writeNew(path: string, bytes: Uint8Array, flags: 'wx' | 'w' = 'wx'): Promise<void> {
  const file = await open(path, flags, METADATA_FILE_MODE);
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
}
