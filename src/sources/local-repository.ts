/** An ostree repository on this machine, and those that it falls back to. */

import { realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { RepositoryError } from '../errors.ts';
import type { RepositoryMode } from '../formats/file-body.ts';
import { MAX_CONFIG_BYTES } from '../formats/ostree/limits.ts';
import { parseRepoConfig } from '../formats/ostree/repo-config.ts';
import { MAX_PARENT_REPOSITORIES } from './limits.ts';
import { readIfThere } from './local-files.ts';

export interface LocalRepository {
  /** As it was named, absolute; with `realPath` where symbolic links lead. */
  path: string;
  realPath: string;
  mode: RepositoryMode;
  collectionId?: string;
  /** `core.disable-xattrs`: extended attributes of the files are not the objects'. */
  disableXattrs: boolean;
}

/**
 * The repository at an absolute path, then its parent (`core.parent`), the parent's parent and so on.
 * @throws RepositoryError, FormatError, SourceError: see openSource
 */
export async function openLocalRepositories(path: string): Promise<[LocalRepository, ...LocalRepository[]]> {
  const { repository, parent } = await openOne(path);
  const chain: [LocalRepository, ...LocalRepository[]] = [repository];
  for (let next = parent; next !== undefined; ) {
    const opened = await openOne(next);
    if (chain.some((known) => known.realPath === opened.repository.realPath))
      throw new RepositoryError('parent repositories form a circle', {
        file: join(path, 'config'),
        field: 'core.parent',
      });
    if (chain.length > MAX_PARENT_REPOSITORIES)
      throw new RepositoryError(`more than ${MAX_PARENT_REPOSITORIES} parent repositories`, {
        file: join(path, 'config'),
        field: 'core.parent',
      });
    chain.push(opened.repository);
    next = opened.parent;
  }
  return chain;
}

async function openOne(path: string): Promise<{ repository: LocalRepository; parent?: string }> {
  const realPath = await realDirectory(path, '');
  await realDirectory(path, 'objects');
  const configPath = join(path, 'config');
  const bytes = await readIfThere(configPath, MAX_CONFIG_BYTES, { file: configPath });
  if (bytes === undefined) throw new RepositoryError('not an ostree repository: it has no config', { file: path });
  const { mode, collectionId, parent, disableXattrs } = parseRepoConfig(bytes, { file: configPath });
  // A relative parent is relative to the repository: the working directory, as in libostree, would mean another one each time.
  return {
    repository: { path, realPath, mode, collectionId, disableXattrs },
    parent: parent === undefined || parent === '' ? undefined : resolve(path, parent),
  };
}

/** @throws RepositoryError naming the repository, unless `name` ('' for itself) is a directory of it */
async function realDirectory(repositoryPath: string, name: string): Promise<string> {
  const path = join(repositoryPath, name);
  const what = name === '' ? 'there is no such directory' : `not an ostree repository: it has no directory ${name}`;
  try {
    if ((await stat(path)).isDirectory()) return await realpath(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isAbsent = code === 'ENOENT' || code === 'ENOTDIR';
    const isDenied = code === 'EACCES' || code === 'EPERM';
    const reason = isAbsent ? what : isDenied ? 'permission denied' : message;
    throw new RepositoryError(reason, { file: repositoryPath }, { cause: error });
  }
  throw new RepositoryError(name === '' ? 'not a directory' : what, { file: repositoryPath });
}
