/** What a checkpoint holds before and after the map is complete. */

import { expect, test, vi } from 'vitest';
import { CommitMapBuilder } from '../../src/formats/commit-map-builder.ts';
import { type Checksum, toHex } from '../../src/formats/ids.ts';
import { type CheckpointInterval, Checkpoints } from '../../src/operations/checkpoint.ts';
import { findPartialCommit } from '../../src/operations/commit-reader.ts';
import { initRepository } from '../../src/store/init.ts';
import { openRepository } from '../../src/store/repository.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const clock = vi.hoisted(() => ({ nowMs: 0 }));
vi.mock('../../src/monotonic-time.ts', () => ({ monotonicMs: () => clock.nowMs }));

const COMMIT = new Uint8Array(32).fill(1);
const COMMIT_CHECKSUM = toHex(COMMIT) as Checksum;
const NEVER = { intervalMs: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };

async function withCheckpoints(
  work: (
    checkpoints: Checkpoints,
    builder: CommitMapBuilder,
    stored: () => Promise<number | undefined>,
  ) => Promise<void>,
  interval: CheckpointInterval = NEVER,
): Promise<void> {
  await using directory = await makeTemporaryDirectory('memory');
  await initRepository(directory.join('repo'), { algorithm: 'sha512', insecure: true });
  await using repo = await openRepository(directory.join('repo'), { lock: 'shared' });
  const builder = new CommitMapBuilder(repo.algorithm);
  builder.add(COMMIT, Uint8Array.of(1, 2, 3));
  await work(new Checkpoints(repo, builder, COMMIT_CHECKSUM, interval, () => {}), builder, async () => {
    const partial = await findPartialCommit(repo, COMMIT_CHECKSUM);
    return partial?.map.count;
  });
}

test('the last one holds what has come so far', () =>
  withCheckpoints(async (checkpoints, builder, stored) => {
    expect(await stored()).toBeUndefined();
    await checkpoints.last();
    expect(await stored()).toBe(1);
    builder.add(new Uint8Array(32).fill(2), Uint8Array.of(4));
    await checkpoints.last();
    expect(await stored()).toBe(2);
    await checkpoints.discard();
    expect(await stored()).toBeUndefined();
  }));

test('a complete map can still be kept as a partial one when it cannot be published', () =>
  withCheckpoints(async (checkpoints, builder, stored) => {
    builder.add(new Uint8Array(32).fill(2), Uint8Array.of(4));
    const { content } = await checkpoints.complete();
    await checkpoints.last();
    expect(await stored()).toBe(2);
    expect(content.length).toBeGreaterThan(0); // whoever asked for it goes on using it
  }));

test('the next one waits twenty times as long as the last one took', () =>
  withCheckpoints(
    async (checkpoints, builder, stored) => {
      const isStored = (count: number) => vi.waitFor(async () => expect(await stored()).toBe(count));
      checkpoints.added(10);
      clock.nowMs = 100;
      await isStored(1);
      builder.add(new Uint8Array(32).fill(2), Uint8Array.of(4));
      clock.nowMs = 2000;
      checkpoints.added(10);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(await stored()).toBe(1);
      clock.nowMs = 2100;
      checkpoints.added(1);
      await isStored(2);
    },
    { intervalMs: Number.POSITIVE_INFINITY, bytes: 10 },
  ));
