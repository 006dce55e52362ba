/** Pulls commits from an ostree repository into a composefs repository. */

import {
  CfsError,
  FormatError,
  MissingObjectError,
  NotFoundError,
  UntrustedError,
  UsageError,
  type Where,
} from '../errors.ts';
import { CommitMap } from '../formats/commit-map.ts';
import { CommitMapBuilder } from '../formats/commit-map-builder.ts';
import { type Checksum, idToBytes, isChecksum, type ObjectId, objectIdFromBytes } from '../formats/ids.ts';
import { type Commit, composefsDigest, parseCommit } from '../formats/ostree/commit.ts';
import { parseDetachedMetadata } from '../formats/ostree/detached-metadata.ts';
import { validateRefName } from '../formats/ostree/refs.ts';
import { type Progress, silentProgress } from '../progress.ts';
import type { Source } from '../sources/source.ts';
import { type LinkMode, openIngest } from '../store/ingest.ts';
import {
  commitmetaRefPath,
  commitmetaStreamName,
  commitStreamName,
  ostreeRefPath,
  partialRefPath,
  partialStreamName,
} from '../store/ostree-refs.ts';
import { publish, unpublishStream } from '../store/publish.ts';
import type { Repository } from '../store/repository.ts';
import { appendToSideIndex } from '../store/side-index.ts';
import { verifyBindings } from './bindings.ts';
import { type CheckpointInterval, Checkpoints, DEFAULT_CHECKPOINT_INTERVAL } from './checkpoint.ts';
import { CommitObjects, findCommit, findPartialCommit, isWhole, type StoredCommit } from './commit-reader.ts';
import { type BuiltCommitMap, storeCommitMap, storeDetachedMetadata } from './commit-stream.ts';
import { isCheapToCheck, verifyComposefsDigest } from './composefs-digest.ts';
import { contentDigests } from './content-digests.ts';
import { createImage } from './create-image.ts';
import { KnownObjects } from './known-objects.ts';
import { findRef, listPartialCommits, resolveCommit, streamsWithRef } from './resolve-name.ts';
import { type FetchCounts, TreeFetch, verifyChecksum } from './tree-fetch.ts';
import { measureTree } from './tree-shape.ts';

export interface PullOptions {
  /** Names of stored refs or commits whose objects need not be fetched. */
  bases?: string[];
  /** Local ref to set instead of the ref's own name; for one ref only. */
  name?: string;
  /** Find out what would be fetched; writes nothing. */
  dryRun?: boolean;
  createImage?: boolean;
  /** Share file content with a local source instead of copying it. */
  link?: LinkMode;
  /** Ingest threads; default: one for each core. */
  jobs?: number;
  checkpoint?: Partial<CheckpointInterval>;
  signal?: AbortSignal;
  progress?: Progress;
}

export interface PullResult extends FetchCounts {
  ref?: string;
  commit: Checksum;
  stream: string;
  /** fs-verity id of the commit stream; absent after a dry run of a new commit. */
  streamId?: ObjectId;
  image?: ObjectId;
  upToDate: boolean;
  /** Commits whose objects were reused. */
  base: Checksum[];
  fetched: { metadata: number; files: number; deltaParts: number };
  reused: { metadata: number; files: number };
  bytesTransferred: number;
  bytesWritten: number;
  elapsedMs: number;
  digest?: 'match' | 'absent';
  signatures: [];
}

export interface PullReport {
  results: PullResult[];
}

/**
 * Pulls each ref or commit in turn; those before a failing one stay pulled.
 * @param wanted ref names as at the source, or commits as 64 hex digits
 */
export async function pull(
  repo: Repository,
  source: Source,
  wanted: string[],
  options: PullOptions = {},
): Promise<PullReport> {
  if (options.name !== undefined) {
    if (wanted.length !== 1) throw new UsageError('--name goes with one ref');
    validateRefName(options.name, { field: '--name' });
  }
  if (!options.dryRun) await repo.requireWritable();
  const results: PullResult[] = [];
  for (const name of wanted) results.push(await new CommitPull(repo, source, name, options).run());
  return { results };
}

class CommitPull {
  readonly #repo: Repository;
  readonly #source: Source;
  readonly #options: PullOptions;
  readonly #progress: Progress;
  readonly #signal: AbortSignal;
  readonly #startMs = performance.now();
  readonly #startBytes: number;
  /** The ref asked for at the source; none for a commit by checksum. */
  readonly #ref: string | undefined;
  /** The same without the source's own name of a remote (`origin:main` is branch `main` of elsewhere). */
  readonly #branch: string | undefined;
  readonly #localRef: string | undefined;
  readonly #wanted: string;
  #withRef: Promise<Set<string>> | undefined;

  constructor(repo: Repository, source: Source, wanted: string, options: PullOptions) {
    this.#repo = repo;
    this.#source = source;
    this.#options = options;
    this.#progress = options.progress ?? silentProgress;
    this.#signal = options.signal ?? new AbortController().signal;
    this.#startBytes = source.bytesTransferred;
    this.#wanted = wanted;
    this.#ref = isChecksum(wanted) ? undefined : wanted;
    this.#branch = this.#ref?.slice(this.#ref.indexOf(':') + 1);
    this.#localRef = options.name ?? this.#branch;
  }

  async run(): Promise<PullResult> {
    const checksum = await this.#resolve();
    const where: Where = { file: this.#source.url, object: `${checksum}.commit` };
    const partial = await this.#partial(checksum);
    const commitBytes =
      partial?.metadataBytes(checksum, 'commit') ??
      (await this.#source.fetchMetadata(checksum, 'commit', this.#signal));
    verifyChecksum(commitBytes, checksum, where);
    const commit = parseCommit(commitBytes, where);
    verifyBindings(commit, this.#branch, this.#source.collectionId, where);
    const detached = await this.#source.fetchDetachedMetadata(checksum, this.#signal);
    if (detached !== undefined) parseDetachedMetadata(detached, { ...where, object: `${checksum}.commitmeta` });

    const storedId = await this.#storedStream(checksum);
    const result =
      storedId === undefined
        ? await this.#fetch(checksum, commit, commitBytes, partial, detached)
        : await this.#keep(checksum, storedId, detached);
    if (this.#options.createImage && !this.#options.dryRun) {
      const image = await createImage(
        this.#repo,
        { commit: checksum },
        { progress: this.#progress, signal: this.#signal },
      );
      result.image = image.image;
      result.streamId = await this.#repo.streams.resolve(commitStreamName(checksum));
    }
    return { ...result, elapsedMs: Math.round(performance.now() - this.#startMs) };
  }

  async #resolve(): Promise<Checksum> {
    if (this.#ref === undefined || this.#branch === undefined) return this.#wanted as Checksum;
    validateRefName(this.#branch, { field: 'ref' });
    return this.#source.resolveRef(this.#ref, this.#signal);
  }

  /** What the last checkpoint of an earlier pull holds, the commit itself in any case. */
  async #partial(checksum: Checksum): Promise<StoredCommit | undefined> {
    const find = async () => {
      const partial = await findPartialCommit(this.#repo, checksum);
      partial?.metadataBytes(checksum, 'commit');
      return partial;
    };
    return this.#usable(find());
  }

  /** The commit's stream, if it is stored with everything that it needs. */
  async #storedStream(checksum: Checksum): Promise<ObjectId | undefined> {
    const name = commitStreamName(checksum);
    const id = await this.#repo.streams.resolve(name);
    if (id === undefined || !(await this.#repo.objects.has(id))) return undefined;
    if ((await this.#streamsWithRef()).has(name)) return id;
    const stored = await this.#usable(findCommit(this.#repo, checksum));
    return stored !== undefined && isWhole(this.#repo, stored) ? id : undefined;
  }

  /** As the pull begins. */
  #streamsWithRef(): Promise<Set<string>> {
    this.#withRef ??= streamsWithRef(this.#repo);
    return this.#withRef;
  }

  /** The commit is here already: only its ref and its detached metadata may be new. */
  async #keep(checksum: Checksum, streamId: ObjectId, detached: Uint8Array | undefined): Promise<PullResult> {
    if (!this.#options.dryRun) {
      await this.#publish(checksum, undefined, detached);
      await unpublishStream(this.#repo, partialStreamName(checksum), partialRefPath(checksum)); // of a pull that was killed late
    }
    return {
      ...this.#result(checksum, { fetched: { metadata: 0, files: 0 }, reused: { metadata: 0, files: 0 } }),
      streamId,
      upToDate: true,
    };
  }

  async #fetch(
    checksum: Checksum,
    commit: Commit,
    commitBytes: Uint8Array,
    partial: StoredCommit | undefined,
    detached: Uint8Array | undefined,
  ): Promise<PullResult> {
    const repo = this.#repo;
    const dryRun = this.#options.dryRun ?? false;
    const known = await this.#knownObjects(checksum, commit, partial);
    const builder = new CommitMapBuilder(repo.algorithm);
    builder.add(idToBytes(checksum), commitBytes);
    const interval = { ...DEFAULT_CHECKPOINT_INTERVAL, ...this.#options.checkpoint };
    const failed = new AbortController();
    const checkpoints = new Checkpoints(repo, builder, checksum, interval, (error) => failed.abort(error));
    const digests = new Map<Checksum, Uint8Array>();
    const alsoSha256 = composefsDigest(commit) !== undefined && repo.algorithm !== 'sha256';
    await using ingest = dryRun
      ? undefined
      : openIngest(repo, {
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
      progress: this.#progress,
      signal: AbortSignal.any([this.#signal, failed.signal]),
      where: { file: this.#source.url },
      onAdded: (bytes) => {
        if (!dryRun) checkpoints.added(bytes);
      },
      onSha256Digest: (file, digest) => digests.set(file, digest),
    });
    const base = known.bases.map((stored) => stored.checksum);
    try {
      await fetch.run(commit);
      fetch.counts[partial === undefined ? 'fetched' : 'reused'].metadata++; // the commit itself
      if (dryRun) return { ...this.#result(checksum, fetch.counts), base };
      const built = await checkpoints.complete();
      if (alsoSha256 && partial !== undefined) await this.#addDigests(digests, partial, known);
      const digest = this.#verifyComplete(built, known, digests);
      const streamId = await this.#publishNew(checksum, built, detached);
      await checkpoints.discard();
      const map = CommitMap.parse(built.content, built.objectRefs, repo.algorithm);
      await appendToSideIndex(repo, checksum, map, digests, (message) => this.#progress.warn(message), known.index);
      return {
        ...this.#result(checksum, fetch.counts),
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
      this.#progress.warn(`the work done so far could not be kept: ${(secondary as Error).message}`);
    }
  }

  async #knownObjects(checksum: Checksum, commit: Commit, partial: StoredCommit | undefined): Promise<KnownObjects> {
    const repo = this.#repo;
    const known = await KnownObjects.open(repo, (message) => this.#progress.warn(message));
    const withRef = await this.#streamsWithRef();
    for (const name of this.#options.bases ?? []) {
      const base = await findCommit(repo, await resolveCommit(repo, name));
      if (base === undefined) throw new NotFoundError(`base ${name} is not stored here`);
      known.addBase(base, withRef.has(base.stream));
    }
    const add = async (found: Promise<StoredCommit | undefined>) => {
      const base = await this.#usable(found);
      if (base !== undefined) known.addBase(base, withRef.has(base.stream));
    };
    if (partial !== undefined) known.addBase(partial, withRef.has(partial.stream));
    const previous = this.#localRef === undefined ? undefined : await findRef(repo, this.#localRef);
    if (previous !== undefined) await add(findCommit(repo, previous));
    if (commit.parent !== undefined) await add(findCommit(repo, commit.parent));
    for (const other of await listPartialCommits(repo))
      if (other !== checksum) await add(findPartialCommit(repo, other));
    return known;
  }

  /** A damaged base that nobody asked for costs a download; fsck tells of it. */
  #usable(found: Promise<StoredCommit | undefined>): Promise<StoredCommit | undefined> {
    return found.catch((error: unknown) => {
      if (!(error instanceof CfsError)) throw error;
      this.#progress.warn(`not used as base: ${error.message}`);
      return undefined;
    });
  }

  /** sha256 digests of the files that an interrupted pull brought: they were not kept. */
  async #addDigests(digests: Map<Checksum, Uint8Array>, partial: StoredCommit, known: KnownObjects): Promise<void> {
    if (!(await this.#streamsWithRef()).has(partial.stream)) return; // some of the files may be gone
    for (const [file, digest] of await contentDigests(this.#repo, partial, this.#signal, known.index))
      digests.set(file, idToBytes(digest));
  }

  /** The whole closure is here: its shape is one that a checkout can hold, and the promised digest is right where it can be told. */
  #verifyComplete(
    { content, objectRefs }: BuiltCommitMap,
    known: KnownObjects,
    digests: ReadonlyMap<Checksum, Uint8Array>,
  ): 'match' | 'absent' | 'unknown' {
    const where = { file: this.#source.url };
    const objects = new CommitObjects(CommitMap.parse(content, objectRefs, this.#repo.algorithm, where), where);
    const shape = measureTree(objects);
    if (composefsDigest(objects.commit()) !== undefined && !isCheapToCheck(shape)) {
      this.#progress.warn(
        `the composefs digest of ${objects.map.commit} was not checked: ${shape.paths} paths are too many for that here; ` +
          '`create-image --require-digest` checks it',
      );
      return 'unknown';
    }
    return verifyComposefsDigest(objects, (file, object) => {
      if (this.#repo.algorithm === 'sha256') return object;
      const digest = digests.get(file) ?? known.claim(file)?.sha256Digest;
      return digest && objectIdFromBytes(digest);
    });
  }

  async #publishNew(checksum: Checksum, built: BuiltCommitMap, detached: Uint8Array | undefined): Promise<ObjectId> {
    this.#signal.throwIfAborted();
    this.#progress.update({ phase: 'publish', done: 0 });
    const streamId = await storeCommitMap(this.#repo, built, new Map(), 'complete', {
      file: this.#source.url,
      object: `${checksum}.commit`,
    });
    await this.#publish(checksum, streamId, detached);
    return streamId;
  }

  /** One barrier, then every name. @param streamId none: the commit's stream is published already */
  async #publish(checksum: Checksum, streamId: ObjectId | undefined, detached: Uint8Array | undefined): Promise<void> {
    const name = commitStreamName(checksum);
    const streams = streamId === undefined ? [] : [{ name, id: streamId }];
    const streamRefs: Array<{ ref: string; name: string }> = [];
    if (detached !== undefined) {
      const commitmeta = commitmetaStreamName(checksum);
      const where = { file: this.#source.url, object: `${checksum}.commitmeta` };
      streams.push({ name: commitmeta, id: await storeDetachedMetadata(this.#repo, detached, where) });
      streamRefs.push({ ref: commitmetaRefPath(checksum), name: commitmeta });
    }
    if (this.#localRef !== undefined) streamRefs.push({ ref: ostreeRefPath(this.#localRef), name });
    await publish(this.#repo, { streams, streamRefs });
  }

  #result(checksum: Checksum, counts: FetchCounts): PullResult {
    return {
      ...(this.#ref === undefined ? {} : { ref: this.#ref }),
      commit: checksum,
      stream: commitStreamName(checksum),
      upToDate: false,
      base: [],
      fetched: { ...counts.fetched, deltaParts: 0 },
      reused: counts.reused,
      bytesTransferred: this.#source.bytesTransferred - this.#startBytes,
      bytesWritten: 0,
      elapsedMs: 0,
      signatures: [],
    };
  }
}
