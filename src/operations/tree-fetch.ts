/**
 * The object phase of a pull: fetches what the walk through the trees is missing. Metadata and files are under way at the same time,
 * every object is asked for once, and nothing that is known is asked for at all.
 */

import type { Where } from '../errors.ts';
import type { CommitMapBuilder } from '../formats/commit-map-builder.ts';
import type { LooseObjects } from '../formats/file-body.ts';
import { CHECKSUM_BYTES, type Checksum, checksumFromBytes, idToBytes } from '../formats/ids.ts';
import type { Commit } from '../formats/ostree/commit.ts';
import { native } from '../native.ts';
import type { Progress } from '../progress.ts';
import type { Source } from '../sources/source.ts';
import type { FileIngest, IngestedFile } from '../store/ingest.ts';
import type { KnownObjects } from './known-objects.ts';
import type { TreeShape } from './tree-shape.ts';
import { type MetadataItem, TreeWalk } from './tree-walk.ts';
import { verifyChecksum } from './verify-checksum.ts';

/** For each ingest thread, bodies that are under way to it: more gains nothing, and costs memory. */
const MAX_INGEST_BYTES = 2 << 20;
const MAX_INGEST_OBJECTS = 64;
/** Loose objects of a source on this machine go to the ingest so many at a time: many are of like size then, and hashed side by side. */
const LOOSE_BATCH_OBJECTS = 1024;
/** For each ingest thread, batches that are under way. */
const LOOSE_BATCHES = 2;

export interface FetchCounts {
  fetched: { metadata: number; files: number };
  reused: { metadata: number; files: number };
}

export interface TreeFetchOptions {
  source: Source;
  known: KnownObjects;
  builder: CommitMapBuilder;
  /** None: count what would be fetched (dry run). */
  ingest: FileIngest | undefined;
  progress: Progress;
  signal: AbortSignal;
  where: Where;
  /** Called after objects were added, with the bytes they brought. */
  onAdded(bytes: number, objects: number): void;
  /** sha256 fs-verity digests of new content, in repositories where they are computed besides. */
  onSha256Digest(checksum: Checksum, digest: Uint8Array): void;
}

export class TreeFetch {
  readonly counts: FetchCounts;
  readonly #options: TreeFetchOptions;
  readonly #walk: TreeWalk;
  /** How far its lists of what is missing were taken up. */
  #metadataNext = 0;
  #fileNext = 0;
  #fetching = 0;
  #ingesting = 0;
  #ingestBytes = 0;
  #contentBytes = 0;
  #failure: { error: unknown } | undefined;
  #settle: (() => void) | undefined;
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;

  constructor(options: TreeFetchOptions) {
    this.#options = options;
    const { known, builder, where } = options;
    this.#walk = new TreeWalk({
      ...{ known, builder, where, addon: native },
      onReused: options.onAdded,
      onLooked: (error) => {
        if (error !== undefined) this.#fail(error);
        this.#pump();
      },
    });
    this.counts = { fetched: { metadata: 0, files: 0 }, reused: this.#walk.reused };
    this.#signal = AbortSignal.any([options.signal, this.#abort.signal]);
  }

  /**
   * Ends when the whole closure of the commit is in the builder; on failure nothing is under way any more.
   * @throws LimitError for a tree that no checkout could hold
   */
  async run(commit: Commit): Promise<TreeShape> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    const onAbort = () => this.#fail(signal.reason);
    signal.addEventListener('abort', onAbort);
    try {
      await new Promise<void>((resolve) => {
        this.#settle = resolve;
        this.#attempt(() => this.#walk.start(commit));
        this.#pump();
      });
      if (this.#failure !== undefined) throw this.#failure.error;
      return this.#walk.measure();
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#walk.release();
    }
  }

  /** Starts what may start, in order: metadata first, for it uncovers more work. */
  #pump(): void {
    const { source, ingest } = this.#options;
    const { missingMetadata, missingFiles } = this.#walk;
    const threads = ingest?.threads ?? 1;
    while (this.#failure === undefined && this.#fetching < source.maxConcurrency) {
      if (this.#metadataNext < missingMetadata.length) {
        void this.#fetchMetadata(missingMetadata[this.#metadataNext++]);
      } else if (ingest?.addLoose !== undefined && source.looseObjects !== undefined) {
        const waiting = missingFiles.length - this.#fileNext;
        const isLast = this.#fetching === 0; // no more are to be uncovered
        if (waiting === 0 || (waiting < LOOSE_BATCH_OBJECTS && !isLast)) break;
        if (this.#ingesting >= LOOSE_BATCH_OBJECTS * LOOSE_BATCHES * threads) break;
        void this.#fetchLoose(source.looseObjects, ingest);
      } else if (
        this.#fileNext < missingFiles.length &&
        this.#ingesting < MAX_INGEST_OBJECTS * threads &&
        this.#ingestBytes < MAX_INGEST_BYTES * threads
      ) {
        void this.#fetchFile(this.#walk.checksumAt(missingFiles[this.#fileNext++]));
      } else break;
    }
    if (this.#fetching + this.#ingesting + this.#walk.looking === 0) this.#settle?.();
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#abort.abort(error);
    this.#pump();
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #fetchMetadata(item: MetadataItem): Promise<void> {
    const { number, type } = item;
    const { source, where, onAdded } = this.#options;
    const checksum = this.#walk.checksumAt(number);
    this.#fetching++;
    try {
      const bytes = await source.fetchMetadata(checksum, type, this.#signal);
      if (this.#failure !== undefined) return;
      verifyChecksum(bytes, checksum, { ...where, object: `${checksum}.${type}` });
      this.counts.fetched.metadata++;
      this.#walk.add(item, bytes);
      onAdded(bytes.length, 1);
      this.#report('metadata');
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#fetching--;
      this.#pump();
    }
  }

  /** The next files of the queue, without a promise or a path for each. */
  async #fetchLoose(objects: LooseObjects, ingest: FileIngest): Promise<void> {
    const numbers = this.#walk.missingFiles.slice(this.#fileNext, this.#fileNext + LOOSE_BATCH_OBJECTS);
    this.#fileNext += numbers.length;
    this.#ingesting += numbers.length;
    const refused: Checksum[] = [];
    try {
      const checksums = new Uint8Array(CHECKSUM_BYTES * numbers.length);
      numbers.forEach((number, i) => {
        checksums.set(this.#walk.checksumBytesAt(number), CHECKSUM_BYTES * i);
      });
      const files = await ingest.addLoose?.(objects, checksums);
      files?.forEach((file, i) => {
        const checksum = checksums.subarray(CHECKSUM_BYTES * i, CHECKSUM_BYTES * (i + 1));
        if (file === undefined) refused.push(checksumFromBytes(checksum));
        else this.#addFile(checksum, file);
      });
      this.#report('files');
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#ingesting -= numbers.length;
      if (this.#failure === undefined) for (const checksum of refused) void this.#fetchFile(checksum); // finds it elsewhere, or the reason
      this.#pump();
    }
  }

  #addFile(checksum: Uint8Array, file: IngestedFile): void {
    const { builder, onAdded, onSha256Digest } = this.#options;
    builder.add(checksum, file.data, file.object);
    if (file.sha256Digest !== undefined) onSha256Digest(checksumFromBytes(checksum), file.sha256Digest);
    this.counts.fetched.files++;
    this.#contentBytes += file.sizeBytes;
    onAdded(file.data.length + (file.isNew ? file.sizeBytes : 0), 1);
  }

  async #fetchFile(checksum: Checksum): Promise<void> {
    const { source, ingest } = this.#options;
    if (ingest === undefined) {
      this.counts.fetched.files++;
      return;
    }
    this.#fetching++;
    let holdsRequest = true;
    let heldBytes = 0;
    this.#ingesting++;
    try {
      const body = await source.openFile(checksum, this.#signal);
      if (body.form !== 'archive-chunks') {
        // The request is over; a body in chunks keeps its connection until it is read.
        heldBytes = body.form === 'archive' ? body.bytes.length : 0;
        this.#ingestBytes += heldBytes;
        this.#fetching--;
        holdsRequest = false;
        this.#pump();
      }
      this.#addFile(idToBytes(checksum), await ingest.add(checksum, body));
      this.#report('files');
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#ingesting--;
      this.#ingestBytes -= heldBytes;
      if (holdsRequest) this.#fetching--;
      this.#pump();
    }
  }

  #report(phase: 'metadata' | 'files'): void {
    const { fetched } = this.counts;
    const { missingMetadata, missingFiles } = this.#walk;
    this.#options.progress.update({
      phase,
      done: fetched.metadata + fetched.files,
      total: missingMetadata.length + missingFiles.length,
      bytesDone: this.#contentBytes,
    });
  }
}
