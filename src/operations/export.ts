/** Gives commits away as an ostree repository that any ostree client can read. */

import type { Checksum } from '../formats/ids.ts';
import { native } from '../native.ts';
import { type Progress, silentProgress } from '../progress.ts';
import type { Repository } from '../store/repository.ts';
import { openCommit, type StoredCommit } from './commit-reader.ts';
import { readDetachedMetadata } from './commit-stream.ts';
import { forEachConcurrently } from './concurrently.ts';
import { collectObjects, type ExportedObject } from './exported-object.ts';
import type { ExportMode } from './ostree-file-stager.ts';
import { OstreeWriter } from './ostree-writer.ts';
import { findRef, resolveCommit } from './resolve-name.ts';
import { measureTree } from './tree-shape.ts';

export type { ExportMode } from './ostree-file-stager.ts';

export interface ExportOptions {
  /** Default: the mode of the repository that is there, else `archive`. */
  mode?: ExportMode;
  signal?: AbortSignal;
  progress?: Progress;
}

export interface ExportReport {
  refs: Array<{ ref: string; commit: Checksum }>;
  /** Objects written, and objects that were there already. */
  written: number;
  present: number;
  bytesWritten: number;
}

/** Objects of a batch: enough for all threads, and little to wait for after an abort. */
const BATCH_OBJECTS = 64;
const BATCHES_IN_FLIGHT = 4;
/** Of a batch, objects that are staged one by one at the same time: keeps the file system and zlib's threads busy. */
const IN_FLIGHT = 4;

/**
 * Writes each commit with everything below it, then all refs. Refs move only when everything is durable.
 * @param refs local refs, or commits; a commit by checksum gets no ref
 */
export async function exportCommits(
  repo: Repository,
  refs: string[],
  directory: string,
  options: ExportOptions = {},
): Promise<ExportReport> {
  const progress = options.progress ?? silentProgress;
  const resolved: Array<{ ref: string; commit: Checksum }> = [];
  const named: typeof resolved = [];
  for (const ref of refs) {
    const commit = await resolveCommit(repo, ref);
    resolved.push({ ref, commit });
    if ((await findRef(repo, ref)) !== undefined) named.push({ ref, commit });
  }
  await using writer = await OstreeWriter.open(repo, directory, options.mode, native);
  for (const { commit } of resolved) {
    const stored = await openCommit(repo, commit);
    measureTree(stored);
    await exportCommit(repo, stored, writer, options.signal, progress);
    const detached = await readDetachedMetadata(repo, commit);
    if (detached !== undefined) await writer.stageDetachedMetadata(commit, detached);
  }
  options.signal?.throwIfAborted();
  progress.update({ phase: 'publish', done: writer.written, total: writer.written });
  await writer.commit(named);
  if (writer.hasSummary)
    progress.warn(`${directory} has a summary file that does not know of this; run \`ostree summary -u\` there`);
  return { refs: resolved, written: writer.written, present: writer.present, bytesWritten: writer.bytesWritten };
}

async function exportCommit(
  repo: Repository,
  stored: StoredCommit,
  writer: OstreeWriter,
  signal: AbortSignal | undefined,
  progress: Progress,
): Promise<void> {
  const objects = collectObjects(stored);
  const batches: ExportedObject[][] = [];
  for (let start = 0; start < objects.length; start += BATCH_OBJECTS)
    batches.push(objects.slice(start, start + BATCH_OBJECTS));
  let done = 0;
  const tell = (count: number) => {
    done += count;
    progress.update({ phase: 'export', done, total: objects.length, bytesDone: writer.bytesWritten });
  };
  await forEachConcurrently(batches, BATCHES_IN_FLIGHT, async (batch) => {
    signal?.throwIfAborted();
    const rest = await writer.stageBatch(stored, batch);
    tell(batch.length - rest.length);
    await forEachConcurrently(rest, IN_FLIGHT, async ({ type, checksum }) => {
      signal?.throwIfAborted();
      if (type === 'file') await writer.stageFile(checksum, stored.file(checksum), (id) => repo.objects.path(id));
      else await writer.stageMetadata(checksum, type, stored.metadataBytes(checksum, type));
      tell(1);
    });
  });
}
