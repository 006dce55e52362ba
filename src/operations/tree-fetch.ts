/**
 * The object phase of a pull: walks the commit's trees breadth-first and fills the commit map. Metadata and files are under way
 * at the same time, every object is asked for once, and nothing that is known is asked for at all.
 */

import { LimitError, type Where } from '../errors.ts';
import type { CommitMapBuilder } from '../formats/commit-map-builder.ts';
import type { LooseObjects } from '../formats/file-body.ts';
import { CHECKSUM_BYTES, type Checksum, checksumFromBytes, idToBytes } from '../formats/ids.ts';
import type { Commit } from '../formats/ostree/commit.ts';
import { parseDirmeta } from '../formats/ostree/dirmeta.ts';
import { walkDirtree } from '../formats/ostree/dirtree.ts';
import { MAX_TREE_DEPTH } from '../formats/ostree/limits.ts';
import type { Progress } from '../progress.ts';
import type { Source } from '../sources/source.ts';
import type { FileIngest, IngestedFile } from '../store/ingest.ts';
import { type KnownFile, type KnownObjects, sound } from './known-objects.ts';
import { MetObjects, type ObjectKind } from './met-objects.ts';
import { type DirectoryEntries, measureDirectories, type TreeShape } from './tree-shape.ts';
import { verifyChecksum } from './verify-checksum.ts';

type MetadataType = Exclude<ObjectKind, 'file'>;

interface MetadataItem {
  /** In #met. */
  number: number;
  type: MetadataType;
  /** Directories between this one and the root, on the way that met it first. */
  depth: number;
}

/** For each ingest thread, bodies that are under way to it: more gains nothing, and costs memory. */
const MAX_INGEST_BYTES = 2 << 20;
const MAX_INGEST_OBJECTS = 64;
/** Loose objects of a source on this machine go to the ingest so many at a time; a few such batches keep a thread busy. */
const LOOSE_BATCH_OBJECTS = 64;
const LOOSE_BATCHES = 4;

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
  /** Called after each object that was added, with the content bytes it brought. */
  onAdded(bytes: number): void;
  /** sha256 fs-verity digests of new content, in repositories where they are computed besides. */
  onSha256Digest(checksum: Checksum, digest: Uint8Array): void;
}

export class TreeFetch {
  readonly counts: FetchCounts = { fetched: { metadata: 0, files: 0 }, reused: { metadata: 0, files: 0 } };
  readonly #options: TreeFetchOptions;
  readonly #met: MetObjects;
  #root = 0;
  /** By the numbers of their dirtrees in #met. */
  readonly #directories = new Map<number, DirectoryEntries>();
  /** Found in a base, and not looked into yet. */
  readonly #pending: MetadataItem[] = [];
  readonly #metadataQueue: MetadataItem[] = [];
  /** Numbers in #met. */
  readonly #fileQueue: number[] = [];
  #metadataNext = 0;
  #fileNext = 0;
  #fetching = 0;
  #ingesting = 0;
  #ingestBytes = 0;
  #looking = 0;
  #contentBytes = 0;
  #failure: { error: unknown } | undefined;
  #settle: (() => void) | undefined;
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;

  constructor(options: TreeFetchOptions) {
    this.#options = options;
    this.#met = new MetObjects(options.known.main?.map, options.where);
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
        this.#attempt(() => {
          this.#wantMetadata(idToBytes(commit.rootDirmeta), 0, 'dirmeta', 0);
          this.#root = this.#wantMetadata(idToBytes(commit.rootDirtree), 0, 'dirtree', 0);
          this.#walk();
        });
        this.#pump();
      });
      if (this.#failure !== undefined) throw this.#failure.error;
      return measureDirectories(
        this.#root,
        (dirtree) => this.#directories.get(dirtree) as DirectoryEntries,
        (dirtree) => this.#whereOf(dirtree, 'dirtree'),
      );
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#met.release();
    }
  }

  #whereOf(number: number, kind: ObjectKind): Where {
    return { ...this.#options.where, object: `${checksumFromBytes(this.#met.checksumBytesAt(number))}.${kind}` };
  }

  /** Starts what may start, in order: metadata first, for it uncovers more work. */
  #pump(): void {
    const { source, ingest } = this.#options;
    const threads = ingest?.threads ?? 1;
    while (this.#failure === undefined && this.#fetching < source.maxConcurrency) {
      if (this.#metadataNext < this.#metadataQueue.length) {
        void this.#fetchMetadata(this.#metadataQueue[this.#metadataNext++]);
      } else if (ingest?.addLoose !== undefined && source.looseObjects !== undefined) {
        const waiting = this.#fileQueue.length - this.#fileNext;
        const isLast = this.#fetching === 0; // no more are to be uncovered
        if (waiting === 0 || (waiting < LOOSE_BATCH_OBJECTS && !isLast)) break;
        if (this.#ingesting >= LOOSE_BATCH_OBJECTS * LOOSE_BATCHES * threads) break;
        void this.#fetchLoose(source.looseObjects, ingest);
      } else if (
        this.#fileNext < this.#fileQueue.length &&
        this.#ingesting < MAX_INGEST_OBJECTS * threads &&
        this.#ingestBytes < MAX_INGEST_BYTES * threads
      ) {
        void this.#fetchFile(checksumFromBytes(this.#met.checksumBytesAt(this.#fileQueue[this.#fileNext++])));
      } else break;
    }
    if (this.#fetching + this.#ingesting + this.#looking === 0) this.#settle?.();
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

  /** @returns its number in #met */
  #wantMetadata(checksums: Uint8Array, offset: number, type: MetadataType, depth: number): number {
    const number = this.#met.meet(checksums, offset, type);
    if (number < 0) return ~number;
    this.#pending.push({ number, type, depth });
    return number;
  }

  /** Takes metadata in as far as it is known, without recursion into the call stack; what is missing goes to the queue. */
  #walk(): void {
    for (let item = this.#pending.pop(); item !== undefined; item = this.#pending.pop()) {
      const bytes = this.#reuseMetadata(item);
      if (bytes === undefined) this.#metadataQueue.push(item);
      else this.#look(item, bytes);
    }
  }

  /** @returns the bytes of metadata that is known, and in the builder now */
  #reuseMetadata({ number, type }: MetadataItem): Uint8Array | undefined {
    const { known, builder } = this.#options;
    let bytes: Uint8Array | undefined;
    if (known.main !== undefined && this.#met.isInBase(number)) {
      const { main } = known;
      bytes = sound(() => main.metadataAt(number, type));
      if (bytes !== undefined) builder.take(number);
    }
    if (bytes === undefined) {
      const checksum = this.#met.checksumBytesAt(number);
      bytes = known.metadata(checksum, type);
      if (bytes === undefined) return undefined;
      builder.add(checksum, bytes);
    }
    this.counts.reused.metadata++;
    this.#options.onAdded(bytes.length);
    return bytes;
  }

  /** Wants what it leads to. */
  #look({ number, type, depth }: MetadataItem, bytes: Uint8Array): void {
    const at = this.#whereOf(number, type);
    if (type === 'dirmeta') {
      parseDirmeta(bytes, at);
      return;
    }
    if (depth > MAX_TREE_DEPTH) throw new LimitError(`directories are nested more than ${MAX_TREE_DEPTH} deep`, at);
    let files = 0;
    const children: number[] = [];
    walkDirtree(bytes, at, {
      file: (_start, _end, checksum) => {
        files++;
        this.#wantFile(bytes, checksum);
      },
      directory: (_start, _end, checksums) => {
        this.#wantMetadata(bytes, checksums + CHECKSUM_BYTES, 'dirmeta', depth + 1);
        children.push(this.#wantMetadata(bytes, checksums, 'dirtree', depth + 1));
      },
    });
    this.#directories.set(number, { files, children });
  }

  #wantFile(bytes: Uint8Array, offset: number): void {
    const number = this.#met.meet(bytes, offset, 'file');
    if (number < 0 || this.#reuseFromMain(number)) return;
    const { known } = this.#options;
    const checksum = bytes.subarray(offset, offset + CHECKSUM_BYTES);
    const file = known.fileInBases(checksum);
    if (file !== undefined) {
      this.#reuse(checksum, file);
      return;
    }
    const claim = known.claim(checksum);
    if (claim === undefined) {
      this.#fileQueue.push(number);
      return;
    }
    this.#looking++;
    known
      .fileByClaim(checksum, claim)
      .then(
        (found) => {
          if (found !== undefined) this.#reuse(checksum, found);
          else this.#fileQueue.push(number);
        },
        (error: unknown) => this.#fail(error),
      )
      .finally(() => {
        this.#looking--;
        this.#pump();
      });
  }

  /** Most files of an update are in one base: nothing is copied, and nothing is made for any of them. */
  #reuseFromMain(number: number): boolean {
    const { main } = this.#options.known;
    if (main === undefined || !this.#met.isInBase(number)) return false;
    if (sound(() => main.fileAt(number)) === undefined) return false;
    this.#options.builder.take(number);
    this.#options.onAdded(main.map.dataBytesAt(number));
    this.counts.reused.files++;
    return true;
  }

  #reuse(checksum: Uint8Array, { data, object }: KnownFile): void {
    this.#options.builder.add(checksum, data, object);
    this.#options.onAdded(data.length);
    this.counts.reused.files++;
  }

  async #fetchMetadata(item: MetadataItem): Promise<void> {
    const { number, type } = item;
    const { source, where, builder, onAdded } = this.#options;
    const checksum = checksumFromBytes(this.#met.checksumBytesAt(number));
    this.#fetching++;
    try {
      const bytes = await source.fetchMetadata(checksum, type, this.#signal);
      if (this.#failure !== undefined) return;
      verifyChecksum(bytes, checksum, { ...where, object: `${checksum}.${type}` });
      this.counts.fetched.metadata++;
      this.#look(item, bytes);
      builder.add(idToBytes(checksum), bytes);
      onAdded(bytes.length);
      this.#walk();
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
    const numbers = this.#fileQueue.slice(this.#fileNext, this.#fileNext + LOOSE_BATCH_OBJECTS);
    this.#fileNext += numbers.length;
    this.#ingesting += numbers.length;
    const refused: Checksum[] = [];
    try {
      const checksums = new Uint8Array(CHECKSUM_BYTES * numbers.length);
      numbers.forEach((number, i) => {
        checksums.set(this.#met.checksumBytesAt(number), CHECKSUM_BYTES * i);
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
    onAdded(file.data.length + (file.isNew ? file.sizeBytes : 0));
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
    this.#options.progress.update({
      phase,
      done: fetched.metadata + fetched.files,
      total: this.#metadataQueue.length + this.#fileQueue.length,
      bytesDone: this.#contentBytes,
    });
  }
}
