/** Refs of a local repository: files with a checksum, or links to other refs. */

import type { Dirent } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { CfsError, FormatError, type Where } from '../errors.ts';
import type { Checksum } from '../formats/ids.ts';
import { MAX_REF_FILE_BYTES } from '../formats/ostree/limits.ts';
import { parseRefFile, validateRefName } from '../formats/ostree/refs.ts';
import { explainReadError, readIfThere, statIfThere } from './local-files.ts';
import type { LocalRepository } from './local-repository.ts';

/** Nested directories under `refs/heads`; a path of 4096 bytes has no more components than this. */
const MAX_REF_DEPTH = 2048;

/**
 * `ref` as a branch, as `remote/branch` of a remote, or as `collection/branch` of a mirrored collection; `remote:branch` names the remote
 * outright.
 * @returns undefined when the repository has no such ref
 * @throws FormatError for a name that is none, a value that is no checksum, a link that leads out of `refs/`; SourceError
 */
export async function resolveLocalRef(repository: LocalRepository, ref: string): Promise<Checksum | undefined> {
  const where = { file: repository.path };
  const colon = ref.indexOf(':');
  if (colon >= 0) {
    const [remote, name] = [ref.slice(0, colon), ref.slice(colon + 1)];
    validateRefName(remote, where);
    validateRefName(name, where);
    return readRef(repository, join('remotes', remote, name));
  }
  validateRefName(ref, where);
  for (const kind of ['heads', 'remotes', 'mirrors']) {
    const checksum = await readRef(repository, join(kind, ref));
    if (checksum !== undefined) return checksum;
  }
  return undefined;
}

/** The branches (`refs/heads`), sorted. Entries whose names cannot be refs are skipped, as libostree does. */
export async function listLocalRefs(repository: LocalRepository, signal?: AbortSignal): Promise<Map<string, Checksum>> {
  const refs = new Map<string, Checksum>();
  const names: string[] = [];
  await collectNames(join(repository.path, 'refs/heads'), '', names, 0);
  for (const name of names.sort()) {
    signal?.throwIfAborted();
    const checksum = await readRef(repository, join('heads', name));
    if (checksum !== undefined) refs.set(name, checksum);
  }
  return refs;
}

async function collectNames(directory: string, prefix: string, names: string[], depth: number): Promise<void> {
  if (depth > MAX_REF_DEPTH) throw new FormatError(`refs nested deeper than ${MAX_REF_DEPTH}`, { file: directory });
  for (const entry of await entriesOf(directory)) {
    const name = prefix + entry.name;
    if (!isRefName(entry.name)) continue;
    if (entry.isDirectory()) await collectNames(join(directory, entry.name), `${name}/`, names, depth + 1);
    else if (entry.isFile() || entry.isSymbolicLink()) names.push(name);
  }
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  if (statIfThere(directory, { file: directory }) === undefined) return [];
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    throw explainReadError(error, { file: directory });
  }
}

function isRefName(name: string): boolean {
  try {
    validateRefName(name, {});
    return true;
  } catch (error) {
    if (error instanceof CfsError) return false;
    throw error;
  }
}

/** @param relativePath below `refs/` */
async function readRef(repository: LocalRepository, relativePath: string): Promise<Checksum | undefined> {
  const path = join(repository.path, 'refs', relativePath);
  const where = { file: path };
  const real = await followAlias(path, where);
  if (real === undefined) return undefined;
  if (!real.startsWith(`${repository.realPath}/refs/`))
    throw new FormatError('is a link that leads out of the refs of its repository', where);
  if (statIfThere(real, where)?.isDirectory()) return undefined; // part of the names of other refs
  const bytes = await readIfThere(real, MAX_REF_FILE_BYTES, where);
  return bytes && parseRefFile(bytes, where);
}

async function followAlias(path: string, where: Where): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
      case 'ENOTDIR':
      case 'ENAMETOOLONG':
        return undefined;
      case 'ELOOP':
        throw new FormatError('links to itself', where, { cause: error });
      default:
        throw explainReadError(error, where);
    }
  }
}
