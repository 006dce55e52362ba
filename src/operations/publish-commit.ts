/** The names of one commit. */

import { CfsError, FormatError, type Where } from '../errors.ts';
import type { Checksum, ObjectId } from '../formats/ids.ts';
import { commitmetaRefPath, commitmetaStreamName, commitStreamName, ostreeRefPath } from '../store/ostree-refs.ts';
import { publish } from '../store/publish.ts';
import type { Repository } from '../store/repository.ts';

export interface CommitToPublish {
  commit: Checksum;
  /** None: the commit's stream is published already. */
  streamId?: ObjectId;
  /** Its `.commitmeta`, where it has one. */
  detached?: Uint8Array;
  localRef?: string;
}

/**
 * One barrier, then every name that is not there yet.
 * @param where where the commit comes from
 * @throws LimitError for detached metadata that could not be read again
 */
export async function publishCommit(
  repo: Repository,
  { commit, streamId, detached, localRef }: CommitToPublish,
  where: Where,
): Promise<void> {
  const name = commitStreamName(commit);
  const streams = streamId === undefined ? [] : [{ name, id: streamId }];
  const streamRefs: Array<{ ref: string; name: string }> = [];
  if (detached !== undefined) {
    const commitmeta = { ref: commitmetaRefPath(commit), name: commitmetaStreamName(commit) };
    if (!(await isStored(repo, commit, detached))) {
      const { storeDetachedMetadata } = await import('./commit-stream.ts');
      const at = { ...where, object: `${commit}.commitmeta` };
      streams.push({ name: commitmeta.name, id: await storeDetachedMetadata(repo, detached, at) });
    }
    streamRefs.push(commitmeta);
  }
  if (localRef !== undefined) streamRefs.push({ ref: ostreeRefPath(localRef), name });
  const missingRefs = [];
  for (const entry of streamRefs) if (!(await leadsTo(repo, entry))) missingRefs.push(entry);
  if (streams.length + missingRefs.length > 0) await publish(repo, { streams, streamRefs: missingRefs });
}

/** The same detached metadata, undamaged. */
async function isStored(repo: Repository, commit: Checksum, detached: Uint8Array): Promise<boolean> {
  const { readDetachedMetadata } = await import('./commit-stream.ts');
  try {
    const stored = await readDetachedMetadata(repo, commit);
    return stored !== undefined && stored.length === detached.length && stored.every((byte, i) => byte === detached[i]);
  } catch (error) {
    if (error instanceof CfsError) return false;
    throw error;
  }
}

/** What is no sound ref leads nowhere, and is replaced. */
async function leadsTo(repo: Repository, { ref, name }: { ref: string; name: string }): Promise<boolean> {
  try {
    return (await repo.streams.resolveRef(ref)) === name;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}
