/** sha256 fs-verity digests of a commit's external files, for a sha512 repository: from the side index, else read and hashed. */

import { createReadStream } from 'node:fs';
import { FsVerityHasher } from '../formats/fs-verity.ts';
import { type Checksum, type ObjectId, objectIdFromBytes } from '../formats/ids.ts';
import { native } from '../native.ts';
import type { Repository } from '../store/repository.ts';
import { openSideIndex, type SideIndex } from '../store/side-index.ts';
import type { StoredCommit } from './commit-reader.ts';
import { forEachConcurrently } from './concurrently.ts';

/** Files hashed at the same time: enough for all cores to stay busy. */
const IN_FLIGHT = 32;

/** @param opened the side index, where the caller has it open */
export async function contentDigests(
  repo: Repository,
  commit: StoredCommit,
  signal: AbortSignal | undefined,
  opened?: SideIndex,
): Promise<Map<Checksum, ObjectId>> {
  const index = opened ?? (await openSideIndex(repo.path, repo.algorithm, () => {}));
  const digests = new Map<Checksum, ObjectId>();
  const missing: Array<{ checksum: Checksum; object: ObjectId }> = [];
  for (let i = 0; i < commit.map.count; i++) {
    const object = commit.map.externalAt(i);
    if (object === undefined) continue;
    const checksum = commit.map.checksumAt(i);
    const known = index.lookup(commit.map.checksumBytesAt(i));
    // A digest that was recorded for another object proves nothing about this one.
    if (known?.sha256Digest !== undefined && known.object !== undefined && objectIdFromBytes(known.object) === object)
      digests.set(checksum, objectIdFromBytes(known.sha256Digest));
    else missing.push({ checksum, object });
  }
  await forEachConcurrently(missing, IN_FLIGHT, async ({ checksum, object }) => {
    signal?.throwIfAborted();
    digests.set(checksum, objectIdFromBytes(await hashFile(repo.objects.path(object))));
  });
  return digests;
}

async function hashFile(path: string): Promise<Uint8Array> {
  if (native !== undefined) return native.fsVerityFile(path, 'sha256');
  const hasher = new FsVerityHasher('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 })) hasher.update(chunk as Uint8Array);
  return hasher.digest();
}
