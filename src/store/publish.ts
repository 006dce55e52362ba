/**
 * Giving names to what is stored. The order is the same everywhere and stands here only:
 *
 *   objects (stored before the call) → one barrier → first-level links → refs
 *
 * After a crash at any point every name that is there leads to complete, durable data (invariants I1, I2).
 */

import type { ObjectId } from '../formats/ids.ts';
import type { Repository } from './repository.ts';

export interface Publication {
  /** First-level names under `streams/`; an existing one is replaced atomically, and every ref moves with it. */
  streams?: Array<{ name: string; id: ObjectId }>;
  /** Images, linked by their id. */
  images?: ObjectId[];
  /** Refs below `streams/refs/`: `name` is a first-level name, of this publication or an earlier one. */
  streamRefs?: Array<{ ref: string; name: string }>;
  /** Refs below `images/refs/`; `name` is an image id. */
  imageRefs?: Array<{ ref: string; name: string }>;
}

/**
 * Images come before streams, because streams name them.
 * @throws RepositoryError where nothing may be written; MissingObjectError, NotFoundError when something named is not there
 */
export async function publish(
  repo: Repository,
  { streams = [], images = [], streamRefs = [], imageRefs = [] }: Publication,
): Promise<void> {
  await repo.requireWritable();
  if (streams.length + images.length > 0) await repo.barrier();
  await using _ = streams.length + streamRefs.length > 0 ? await repo.streams.lock() : undefined;
  for (const id of images) await repo.images.publish(id, id);
  for (const { name, id } of streams) await repo.streams.publish(name, id);
  for (const { ref, name } of imageRefs) await repo.images.setRef(ref, name);
  for (const { ref, name } of streamRefs) await repo.streams.setRef(ref, name);
}

/** Takes a stream's names away again, the ref first: a ref must never lead nowhere. @returns false when there were none */
export async function unpublishStream(repo: Repository, name: string, refPath: string): Promise<boolean> {
  const changedAt = repo.streams.refChangedAt(refPath) ?? repo.streams.linkChangedAt(name);
  if (changedAt === undefined) return false;
  await using _ = await repo.streams.lock();
  const hadRef = await repo.streams.removeRef(refPath);
  return (await repo.streams.remove(name)) || hadRef;
}
