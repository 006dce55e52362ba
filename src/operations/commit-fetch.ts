/** The part of a pull that fetches a commit which is not stored yet: what is known is taken over, the rest comes from the source. */

import { CfsError, FormatError, MissingObjectError, NotFoundError, UntrustedError } from '../errors.ts';
import { CommitMap } from '../formats/commit-map.ts';
import { CommitMapBuilder } from '../formats/commit-map-builder.ts';
import { type Checksum, idToBytes, type ObjectId, objectIdFromBytes } from '../formats/ids.ts';
import { type Commit, composefsDigest } from '../formats/ostree/commit.ts';
import type { OwnedBytes } from '../formats/owned-bytes.ts';
import { native } from '../native.ts';
import type { Progress } from '../progress.ts';
import type { Source } from '../sources/source.ts';
import type { LinkMode } from '../store/ingest.ts';
import { openIngest } from '../store/open-ingest.ts';
import type { Repository } from '../store/repository.ts';
import { appendToSideIndex } from '../store/side-index.ts';
import { type CheckpointInterval, Checkpoints, DEFAULT_CHECKPOINT_INTERVAL } from './checkpoint.ts';
import { CommitObjects, findCommit, findPartialCommit, type StoredCommit } from './commit-reader.ts';
import { serializeCommitMap, storeStream } from './commit-stream.ts';
import { isCheapToCheck, verifyComposefsDigest } from './composefs-digest.ts';
import { contentDigests } from './content-digests.ts';
import { KnownObjects } from './known-objects.ts';
import { publishCommit } from './publish-commit.ts';
import { findRef, listPartialCommits, resolveCommit } from './resolve-name.ts';
import { type FetchCounts, TreeFetch } from './tree-fetch.ts';
import type { TreeShape } from './tree-shape.ts';
import { ifUsable } from './usable-base.ts';

export interface FetchOptions {
  /** Names of stored refs or commits whose objects need not be fetched. */
  bases?: string[];
  /** Find out what would be fetched; writes nothing. */
  dryRun?: boolean;
  /** Share file content with a local source instead of copying it. */
  link?: LinkMode;
  /** Ingest threads; default: one for each core, eight at most. */
  jobs?: number;
  checkpoint?: Partial<CheckpointInterval>;
}

export type CommitFetchOptions = FetchOptions & { progress: Progress; signal: AbortSignal };

/** Checked against its checksum and its bindings. */
export interface WantedCommit {
  checksum: Checksum;
  commit: Commit;
  commitBytes: Uint8Array;
  /** What the last checkpoint of an earlier pull holds. */
  partial?: StoredCommit;
  /** Its `.commitmeta`. */
  detached?: Uint8Array;
  localRef?: string;
  /** First-level names of the streams that refs led to as the pull began. */
  withRef: ReadonlySet<string>;
}

export interface FetchedCommit {
  counts: FetchCounts;
  /** None after a dry run. */
  streamId?: ObjectId;
  /** Commits whose objects were reused. */
  base: Checksum[];
  bytesWritten?: number;
  digest?: 'match' | 'absent';
}

export class CommitFetch {
  readonly #repo: Repository;
  readonly #source: Source;
  readonly #options: CommitFetchOptions;

  constructor(repo: Repository, source: Source, options: CommitFetchOptions) {
    this.#repo = repo;
    this.#source = source;
    this.#options = options;
  }

  /** Ends when the commit has its names; nothing is written in a dry run. */
  async run(wanted: WantedCommit): Promise<FetchedCommit> {
    const { checksum, commit, commitBytes, partial } = wanted;
    const repo = this.#repo;
    const dryRun = this.#options.dryRun ?? false;
    const known = await this.#knownObjects(wanted);
    const builder = new CommitMapBuilder(repo.algorithm, known.main?.map, native?.writeCommitMap);
    builder.add(idToBytes(checksum), commitBytes);
    const interval = { ...DEFAULT_CHECKPOINT_INTERVAL, ...this.#options.checkpoint };
    const failed = new AbortController();
    const checkpoints = new Checkpoints(repo, builder, checksum, interval, (error) => failed.abort(error));
    const digests = new Map<Checksum, Uint8Array>();
    const alsoSha256 = composefsDigest(commit) !== undefined && repo.algorithm !== 'sha256';
    await using ingest = dryRun
      ? undefined
      : await openIngest(repo, {
          link: this.#options.link,
          threads: this.#options.jobs,
          alsoSha256,
          source: this.#source,
        });
    const fetch = new TreeFetch({
      source: this.#source,
      known,
      builder,
      ingest,
      progress: this.#options.progress,
      signal: AbortSignal.any([this.#options.signal, failed.signal]),
      where: { file: this.#source.url },
      onAdded: (bytes, objects) => {
        if (!dryRun) checkpoints.added(bytes, objects);
      },
      onSha256Digest: (file, digest) => digests.set(file, digest),
    });
    const base = known.bases.map((stored) => stored.checksum);
    try {
      const shape = await fetch.run(commit);
      fetch.counts[partial === undefined ? 'fetched' : 'reused'].metadata++; // the commit itself
      if (dryRun) return { counts: fetch.counts, base };
      await ingest?.[Symbol.asyncDispose](); // its threads and their buffers are not needed for the rest
      const { content, objectRefs, added } = await checkpoints.complete();
      if (alsoSha256 && partial !== undefined) await this.#addDigests(digests, wanted, partial, known);
      const where = { file: this.#source.url, object: `${checksum}.commit` };
      const map = CommitMap.parse(content, objectRefs, repo.algorithm, where);
      const stream = serializeCommitMap(repo.algorithm, map, 'complete', { where }); // on another thread, beside the check
      stream.catch(() => {});
      const digest = this.#verifyComplete(map, shape, known, digests);
      const streamId = await this.#publish(wanted, await stream);
      await checkpoints.discard();
      await appendToSideIndex(repo, {
        commit: checksum,
        map,
        sha256Digests: digests,
        warn: (message) => this.#options.progress.warn(message),
        opened: known.index,
        only: known.isMainIndexed ? added : undefined,
      });
      return {
        counts: fetch.counts,
        streamId,
        base,
        bytesWritten: ingest?.bytesWritten ?? 0,
        ...(digest === 'unknown' ? {} : { digest }),
      };
    } catch (error) {
      if (!dryRun) await this.#keepWork(checkpoints, error);
      throw error;
    }
  }

  /** What was verified stays for the next pull, unless the source's data itself is wrong: then nothing of it stays. */
  async #keepWork(checkpoints: Checkpoints, error: unknown): Promise<void> {
    const wrong =
      error instanceof FormatError || error instanceof UntrustedError || error instanceof MissingObjectError;
    const corrupt = wrong || (error instanceof CfsError && error.code === 'CFS_DIGEST_MISMATCH');
    try {
      if (corrupt) await checkpoints.discard();
      else await checkpoints.last();
    } catch (secondary) {
      this.#options.progress.warn(`the work done so far could not be kept: ${(secondary as Error).message}`);
    }
  }

  async #knownObjects(wanted: WantedCommit): Promise<KnownObjects> {
    const { commit, partial, withRef } = wanted;
    const { progress, dryRun } = this.#options;
    const warn = (message: string) => progress.warn(message);
    // at the same time: streams are decompressed on other threads
    const [known, named, others] = await Promise.all([
      KnownObjects.open(this.#repo, warn),
      this.#namedBases(),
      this.#foundBases(wanted),
    ]);
    for (const base of [...named, partial, ...others])
      if (base !== undefined) known.addBase(base, withRef.has(base.stream));
    if (known.bases.length === 0) {
      const likely = known.claim(idToBytes(commit.rootDirtree)) ?? known.claim(idToBytes(commit.rootDirmeta));
      const found = likely && (await ifUsable(findCommit(this.#repo, likely.commit), progress));
      if (found !== undefined) known.addLikely(found, withRef.has(found.stream));
    }
    await known.chooseMain();
    if (!dryRun) await known.coverStoredCommits(warn);
    return known;
  }

  async #namedBases(): Promise<StoredCommit[]> {
    const bases: StoredCommit[] = [];
    for (const name of this.#options.bases ?? []) {
      const base = await findCommit(this.#repo, await resolveCommit(this.#repo, name));
      if (base === undefined) throw new NotFoundError(`base ${name} is not stored here`);
      bases.push(base);
    }
    return bases;
  }

  /** What the ref was, the parent, and what other pulls have begun. */
  async #foundBases({ checksum, commit, localRef }: WantedCommit): Promise<Array<StoredCommit | undefined>> {
    const repo = this.#repo;
    const previous = localRef === undefined ? undefined : await findRef(repo, localRef);
    const commits = new Set([previous, commit.parent]);
    const found = [...commits].map((base) => base && ifUsable(findCommit(repo, base), this.#options.progress));
    for (const other of await listPartialCommits(repo))
      if (other !== checksum) found.push(ifUsable(findPartialCommit(repo, other), this.#options.progress));
    return Promise.all(found);
  }

  /** sha256 digests of the files that an interrupted pull brought: they were not kept. */
  async #addDigests(
    digests: Map<Checksum, Uint8Array>,
    { withRef }: WantedCommit,
    partial: StoredCommit,
    known: KnownObjects,
  ): Promise<void> {
    if (!withRef.has(partial.stream)) return; // some of the files may be gone
    for (const [file, digest] of await contentDigests(this.#repo, partial, this.#options.signal, known.index))
      digests.set(file, idToBytes(digest));
  }

  /** The whole closure is here; whether the promised digest is right, where that can be told. */
  #verifyComplete(
    map: CommitMap,
    shape: TreeShape,
    known: KnownObjects,
    digests: ReadonlyMap<Checksum, Uint8Array>,
  ): 'match' | 'absent' | 'unknown' {
    const objects = new CommitObjects(map, { file: this.#source.url }, true);
    if (composefsDigest(objects.commit()) !== undefined && !isCheapToCheck(shape)) {
      this.#options.progress.warn(
        `the composefs digest of ${objects.map.commit} was not checked: ${shape.paths} paths are too many for that here; ` +
          '`create-image --require-digest` checks it',
      );
      return 'unknown';
    }
    return verifyComposefsDigest(objects, (file, object) => {
      if (this.#repo.algorithm === 'sha256') return object;
      const digest = digests.get(file) ?? known.claim(idToBytes(file))?.sha256Digest;
      return digest && objectIdFromBytes(digest);
    });
  }

  async #publish({ checksum, detached, localRef }: WantedCommit, stream: OwnedBytes): Promise<ObjectId> {
    this.#options.signal.throwIfAborted();
    this.#options.progress.update({ phase: 'publish', done: 0 });
    const streamId = await storeStream(this.#repo, stream);
    await publishCommit(this.#repo, { commit: checksum, streamId, detached, localRef }, { file: this.#source.url });
    return streamId;
  }
}
