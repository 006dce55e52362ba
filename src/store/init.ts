/** Making a repository: the directory and its `meta.json`; everything else appears when it is first needed. */

import { mkdir, rmdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { ConflictError, explainWriteError, FormatError } from '../errors.ts';
import type { Algorithm } from '../formats/ids.ts';
import { parseRepositoryMeta, type RepositoryMeta, serializeRepositoryMeta } from '../formats/repository-meta.ts';
import { makeDirectories } from './directories.ts';
import { createMetadataFile, isSecure, METADATA_FILE, readMetadataFile } from './metadata-file.ts';
import { inferSettings, OLD_FORMAT_EROFS_VERSION } from './old-format.ts';

export interface InitOptions {
  algorithm?: Algorithm;
  erofsVersion?: 0 | 1 | 2;
  /** Without fs-verity: everything is hashed on reading. */
  insecure?: boolean;
  /** A repository with the same settings is fine. */
  ensure?: boolean;
}

export interface InitReport {
  path: string;
  algorithm: Algorithm;
  erofsVersion: 0 | 1 | 2;
  insecure: boolean;
  created: boolean;
}

const REPOSITORY_MODE = 0o700;

/**
 * Missing parents are created too. A failed call leaves nothing behind.
 * @throws ConflictError when a repository is there (with `ensure`: one with other settings); RepositoryError when the file system
 * has no fs-verity or nothing may be written; AddonNeededError for a secure one without the addon
 */
export async function initRepository(
  path: string,
  { algorithm = 'sha512', erofsVersion = 1, insecure = false, ensure = false }: InitOptions = {},
): Promise<InitReport> {
  const absolute = resolve(path);
  const wanted = { path: absolute, algorithm, erofsVersion, insecure };
  const made = await makeRepositoryDirectory(absolute);
  try {
    if (made === undefined && (await compareWithExisting(wanted, ensure))) return { ...wanted, created: false };
    const bytes = serializeRepositoryMeta({ algorithm, erofs: { default: erofsVersion, extra: [] } });
    if (await createMetadataFile(absolute, bytes, { algorithm, secure: !insecure }))
      return { ...wanted, created: true };
    await compareWithExisting(wanted, ensure); // somebody else was quicker
    return { ...wanted, created: false };
  } catch (error) {
    if (made !== undefined) await removeEmpty(absolute, made);
    throw explainWriteError(error, { file: absolute });
  }
}

/** @returns the first directory that had to be made, if any */
async function makeRepositoryDirectory(path: string): Promise<string | undefined> {
  try {
    const madeParent = await makeDirectories(dirname(path));
    await mkdir(path, { mode: REPOSITORY_MODE });
    return madeParent ?? path;
  } catch (error) {
    if (error instanceof FormatError) throw new ConflictError('is not a directory', error.where, { cause: error });
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw explainWriteError(error, { file: path });
    if (!(await stat(path)).isDirectory())
      throw new ConflictError('is not a directory', { file: path }, { cause: error });
    return undefined;
  }
}

/** Takes back what `makeRepositoryDirectory` made, as far as nobody else used it. */
async function removeEmpty(path: string, first: string): Promise<void> {
  for (let directory = path; directory.length >= first.length; directory = resolve(directory, '..')) {
    try {
      await rmdir(directory);
    } catch {
      return;
    }
  }
}

type Wanted = Omit<InitReport, 'created'>;

/** @returns false where there is no repository; true for one that will do. @throws ConflictError for any other */
async function compareWithExisting(wanted: Wanted, ensure: boolean): Promise<boolean> {
  const existing = await describeExisting(wanted.path);
  if (existing === undefined) return false;
  if (!ensure) throw new ConflictError('there is a repository here already', { file: wanted.path });
  const differences = (['algorithm', 'erofsVersion', 'insecure'] as const).filter(
    (key) => existing[key] !== wanted[key],
  );
  if (differences.length > 0 || existing.extraVersions)
    throw new ConflictError(
      `there is a repository with other settings: ${describe(existing)} instead of ${describe(wanted)}`,
      { file: wanted.path },
    );
  return existing.hasMetadata;
}

interface Existing extends Omit<Wanted, 'path'> {
  hasMetadata: boolean;
  extraVersions: boolean;
}

async function describeExisting(path: string): Promise<Existing | undefined> {
  const file = readMetadataFile(path);
  if (file === undefined) {
    const inferred = inferSettings(path);
    return (
      inferred && {
        algorithm: inferred.algorithm,
        erofsVersion: OLD_FORMAT_EROFS_VERSION,
        insecure: !inferred.secure,
        hasMetadata: false,
        extraVersions: false,
      }
    );
  }
  const meta: RepositoryMeta = parseRepositoryMeta(file.bytes, { file: METADATA_FILE });
  return {
    algorithm: meta.algorithm,
    erofsVersion: meta.erofs.default,
    insecure: !isSecure(file.verity, meta.algorithm),
    hasMetadata: true,
    extraVersions: meta.erofs.extra.length > 0,
  };
}

const describe = ({ algorithm, erofsVersion, insecure }: Omit<Wanted, 'path'>): string =>
  `${algorithm}, EROFS version ${erofsVersion}, ${insecure ? 'insecure' : 'secure'}`;
