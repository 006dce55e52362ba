/**
 * Removing what nothing needs. Names go first and are durable before the first object goes, so that after a crash at any point no
 * name is left without its object (invariant I1).
 */

import { lstat, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { explainWriteError } from '../errors.ts';
import type { ObjectId } from '../formats/ids.ts';
import type { Progress } from '../progress.ts';
import type { LinkDirectory } from '../store/links.ts';
import type { Repository } from '../store/repository.ts';
import { isTemporaryObjectName, isTemporaryRootName } from '../store/temporaries.ts';
import type { LiveObjects } from './gc-mark.ts';

export interface SweepCounts {
  objectsRemoved: number;
  bytesRemoved: number;
  streamsRemoved: number;
  imagesRemoved: number;
  temporariesRemoved: number;
  objectsKept: number;
}

export interface SweepOptions {
  /** Count only. */
  dryRun: boolean;
  progress: Progress;
  signal?: AbortSignal;
}

/** Removals under way at the same time. */
const CONCURRENT_REMOVALS = 32;
const OBJECTS_DIRECTORY = 'objects';

/** @param deadRefs refs below `streams/refs/` that go with what they point at */
export async function sweep(
  repo: Repository,
  live: LiveObjects,
  deadRefs: string[],
  options: SweepOptions,
): Promise<SweepCounts> {
  if (!options.dryRun) for (const ref of deadRefs) await repo.streams.removeRef(ref);
  const streamsRemoved = await pruneLinks(repo.streams, (_, id) => live.hasStream(id), options);
  const imagesRemoved = await pruneLinks(repo.images, (name, id) => name === id && live.hasImage(id), options);
  if (!options.dryRun) await repo.barrier();
  const { temporaries, ...objects } = await sweepObjects(repo, live, options);
  const leftovers = [...temporaries, ...(await rootTemporaries(repo))];
  if (!options.dryRun) for (const path of leftovers) await removeFile(repo, path);
  return { ...objects, streamsRemoved, imagesRemoved, temporariesRemoved: leftovers.length };
}

async function pruneLinks(
  links: LinkDirectory,
  isLive: (name: string, id: ObjectId) => boolean,
  { dryRun, progress, signal }: SweepOptions,
): Promise<number> {
  let removed = 0;
  for await (const { name, linkText, id } of links.entries()) {
    signal?.throwIfAborted();
    if (id !== undefined && isLive(name, id)) continue;
    if (linkText === undefined) {
      progress.warn(`${links.kind}/${name} is no link; it stays`);
      continue;
    }
    if (!dryRun) await links.remove(name);
    removed++;
  }
  return removed;
}

interface SweptObjects extends Pick<SweepCounts, 'objectsRemoved' | 'bytesRemoved' | 'objectsKept'> {
  /** Paths of leftover temporaries, relative to the repository. */
  temporaries: string[];
}

/** One pass over the directories. */
async function sweepObjects(
  repo: Repository,
  live: LiveObjects,
  { dryRun, progress, signal }: SweepOptions,
): Promise<SweptObjects> {
  const swept: SweptObjects = { objectsRemoved: 0, bytesRemoved: 0, objectsKept: 0, temporaries: [] };
  let batch: ObjectId[] = [];
  const removeBatch = async (): Promise<void> => {
    signal?.throwIfAborted();
    for (const size of await Promise.all(batch.map((id) => removeObject(repo, id, dryRun)))) {
      if (size === undefined) continue;
      swept.objectsRemoved++;
      swept.bytesRemoved += size;
    }
    batch = [];
    progress.update({ phase: 'sweep', done: swept.objectsKept + swept.objectsRemoved, bytesDone: swept.bytesRemoved });
  };
  for await (const { path, id, kind } of repo.objects.list()) {
    if (id === undefined) {
      const name = path.slice(OBJECTS_DIRECTORY.length + 1);
      if (kind === 'file' && isTemporaryObjectName(name)) swept.temporaries.push(path);
      else progress.warn(`${path} is no object; it stays`);
    } else if (live.has(id)) swept.objectsKept++;
    else if (kind !== 'file') progress.warn(`${path} is no regular file; it stays`);
    else if (batch.push(id) >= CONCURRENT_REMOVALS) await removeBatch();
  }
  await removeBatch();
  return swept;
}

/** @returns its size in bytes, undefined when it was gone already */
async function removeObject(repo: Repository, id: ObjectId, dryRun: boolean): Promise<number | undefined> {
  const size = await repo.objects.sizeOf(id);
  if (size !== undefined && !dryRun) await repo.objects.remove(id);
  return size;
}

async function rootTemporaries(repo: Repository): Promise<string[]> {
  const paths: string[] = [];
  for (const name of await readdir(repo.path)) {
    if (!isTemporaryRootName(name)) continue;
    const stats = await lstat(join(repo.path, name));
    if (stats.isFile() || stats.isSymbolicLink()) paths.push(name);
  }
  return paths;
}

async function removeFile(repo: Repository, path: string): Promise<void> {
  try {
    await unlink(join(repo.path, path));
  } catch (error) {
    throw explainWriteError(error, { file: path });
  }
}
