/**
 * Removing what nothing needs. Names go first and are durable before the first object goes, so that after a crash at any point no
 * name is left without its object (invariant I1).
 */

import { lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { explainWriteError } from '../errors.ts';
import type { ObjectId } from '../formats/ids.ts';
import type { Progress } from '../progress.ts';
import type { LinkDirectory } from '../store/links.ts';
import { FANOUTS } from '../store/object-sweep.ts';
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

/** Directories of objects between two chances to stop. */
const FANOUTS_AT_ONCE = 32;
const OBJECTS_DIRECTORY = 'objects';

/** @param deadRefs refs below `streams/refs/` that go with what they point at */
export async function sweepNames(
  repo: Repository,
  live: LiveObjects,
  deadRefs: string[],
  options: SweepOptions,
): Promise<Pick<SweepCounts, 'streamsRemoved' | 'imagesRemoved'>> {
  if (!options.dryRun) for (const ref of deadRefs) await repo.streams.removeRef(ref);
  const streamsRemoved = await pruneLinks(repo.streams, (_, id) => live.hasStream(id), options);
  const imagesRemoved = await pruneLinks(repo.images, (name, id) => name === id && live.hasImage(id), options);
  if (!options.dryRun) await repo.barrier();
  return { streamsRemoved, imagesRemoved };
}

/** After sweepNames. */
export async function sweepFiles(
  repo: Repository,
  live: LiveObjects,
  options: SweepOptions,
): Promise<Omit<SweepCounts, 'streamsRemoved' | 'imagesRemoved'>> {
  const { temporaries, ...objects } = await sweepObjects(repo, live, options);
  const leftovers = [...temporaries, ...rootTemporaries(repo)];
  if (!options.dryRun) for (const path of leftovers) removeFile(repo, path);
  return { ...objects, temporariesRemoved: leftovers.length };
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

interface SweptStore extends Pick<SweepCounts, 'objectsRemoved' | 'bytesRemoved' | 'objectsKept'> {
  /** Paths of leftover temporaries, relative to the repository. */
  temporaries: string[];
}

/** One pass over the directories, a few of them at a time. */
async function sweepObjects(
  repo: Repository,
  live: LiveObjects,
  { dryRun, progress, signal }: SweepOptions,
): Promise<SweptStore> {
  const swept: SweptStore = { objectsRemoved: 0, bytesRemoved: 0, objectsKept: 0, temporaries: [] };
  for (let first = 0; first < FANOUTS; first += FANOUTS_AT_ONCE) {
    signal?.throwIfAborted();
    const part = await live.sweep.sweep(first, FANOUTS_AT_ONCE, { remove: !dryRun });
    swept.objectsKept += part.kept;
    swept.objectsRemoved += part.removed;
    swept.bytesRemoved += part.removedBytes;
    for (const path of part.others) progress.warn(`${OBJECTS_DIRECTORY}/${path} is no object; it stays`);
    progress.update({ phase: 'sweep', done: swept.objectsKept + swept.objectsRemoved, bytesDone: swept.bytesRemoved });
  }
  for (const { path, kind } of repo.objects.outsiders()) {
    if (kind === 'file' && isTemporaryObjectName(basename(path))) swept.temporaries.push(path);
    else progress.warn(`${path} is no object; it stays`);
  }
  return swept;
}

function rootTemporaries(repo: Repository): string[] {
  const paths: string[] = [];
  for (const name of readdirSync(repo.path)) {
    if (!isTemporaryRootName(name)) continue;
    const stats = lstatSync(join(repo.path, name));
    if (stats.isFile() || stats.isSymbolicLink()) paths.push(name);
  }
  return paths;
}

function removeFile(repo: Repository, path: string): void {
  try {
    unlinkSync(join(repo.path, path));
  } catch (error) {
    throw explainWriteError(error, { file: path });
  }
}
