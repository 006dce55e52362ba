/** Keeping the work of an unfinished pull: a partial commit stream, written beside the running ingest. */

import type { CommitMapBuilder } from '../formats/commit-map-builder.ts';
import { type Checksum, idToBytes } from '../formats/ids.ts';
import { monotonicMs } from '../monotonic-time.ts';
import { partialRefPath, partialStreamName } from '../store/ostree-refs.ts';
import { publish, unpublishStream } from '../store/publish.ts';
import type { Repository } from '../store/repository.ts';
import { type BuiltCommitMap, storeAndReleasePartial, storeCommitMap } from './commit-stream.ts';

export interface CheckpointInterval {
  /** Time between checkpoints. */
  intervalMs: number;
  /** New bytes after which one is due earlier. */
  bytes: number;
  /** New objects after which one is due at once; for tests of interrupted pulls. */
  objects?: number;
}

export const DEFAULT_CHECKPOINT_INTERVAL: CheckpointInterval = { intervalMs: 10_000, bytes: 1 << 30 };

/** Objects that arrive between two looks at the clock. */
const OBJECTS_PER_LOOK = 16;
/** What one takes grows with what has arrived, so that at fixed intervals all of them would take ever more of the pull's time. */
const LARGEST_SHARE_OF_TIME = 1 / 20;

export class Checkpoints {
  readonly #repo: Repository;
  readonly #builder: CommitMapBuilder;
  readonly #commit: Checksum;
  readonly #interval: CheckpointInterval;
  readonly #onFailure: (error: unknown) => void;
  #bytes = 0;
  #objects = 0;
  /** Objects since the last look at the clock. */
  #unlooked = 0;
  #lastMs = monotonicMs();
  /** After the last one, so that it stays below its share. */
  #pauseMs = 0;
  #running: Promise<void> | undefined;
  /** The builder's place is taken by what it has built. */
  #complete: BuiltCommitMap | undefined;
  #failure: unknown;

  /** @param onFailure told of the first checkpoint that fails: a full disk should end the pull, and soon */
  constructor(
    repo: Repository,
    builder: CommitMapBuilder,
    commit: Checksum,
    interval: CheckpointInterval,
    onFailure: (error: unknown) => void,
  ) {
    this.#repo = repo;
    this.#builder = builder;
    this.#commit = commit;
    this.#interval = interval;
    this.#onFailure = onFailure;
  }

  /** Tells of objects that were added; starts a checkpoint when one is due, never more than one at a time. */
  added(bytes: number, objects = 1): void {
    this.#bytes += bytes;
    this.#objects += objects;
    this.#unlooked += objects;
    if (this.#running !== undefined || !this.#isDue()) return;
    this.#running = this.#write().catch((error: unknown) => {
      this.#failure ??= error;
      this.#onFailure(error);
    });
  }

  /**
   * Waits for a checkpoint under way, and builds the map of everything. The builder is released.
   * @returns besides the map the checksums of what was not taken over from a base, where there was one
   * @throws what made a checkpoint fail
   */
  async complete(): Promise<BuiltCommitMap & { added?: Uint8Array }> {
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
    this.#complete = this.#builder.buildLast(idToBytes(this.#commit));
    const added = this.#builder.addedChecksums();
    this.#builder.release();
    return { ...this.#complete, added };
  }

  /** One more, with everything that has arrived. */
  async last(): Promise<void> {
    await this.#running;
    if (this.#complete !== undefined || this.#builder.count > 0) await this.#write();
  }

  /** Forgets the partial stream: the commit is complete, or the source's data is wrong. */
  async discard(): Promise<void> {
    await this.#running;
    await unpublishStream(this.#repo, partialStreamName(this.#commit), partialRefPath(this.#commit));
  }

  #isDue(): boolean {
    const { intervalMs, bytes, objects } = this.#interval;
    if (objects !== undefined && this.#objects >= objects) return true;
    const isMuch = this.#bytes >= bytes;
    // a look at the clock takes longer than adding what a base has
    if (!isMuch && this.#unlooked < OBJECTS_PER_LOOK) return false;
    this.#unlooked = 0;
    const passedMs = monotonicMs() - this.#lastMs;
    return passedMs >= this.#pauseMs && (isMuch || passedMs >= intervalMs);
  }

  async #write(): Promise<void> {
    this.#bytes = 0;
    this.#objects = 0;
    const startMs = monotonicMs();
    const id =
      this.#complete === undefined
        ? await storeAndReleasePartial(this.#repo, this.#builder.build(idToBytes(this.#commit)))
        : await storeCommitMap(this.#repo, this.#complete, 'partial');
    const name = partialStreamName(this.#commit);
    await publish(this.#repo, { streams: [{ name, id }], streamRefs: [{ ref: partialRefPath(this.#commit), name }] });
    this.#lastMs = monotonicMs();
    this.#pauseMs = (this.#lastMs - startMs) / LARGEST_SHARE_OF_TIME;
    this.#running = undefined;
  }
}
