/** Pulls commits from an ostree repository into a composefs repository. */

import { UsageError, type Where } from '../errors.ts';
import { type Checksum, isChecksum, type ObjectId } from '../formats/ids.ts';
import { parseCommit } from '../formats/ostree/commit.ts';
import { parseDetachedMetadata } from '../formats/ostree/detached-metadata.ts';
import { validateRefName } from '../formats/ostree/refs.ts';
import { monotonicMs } from '../monotonic-time.ts';
import { type Progress, silentProgress } from '../progress.ts';
import type { Source } from '../sources/source.ts';
import { commitStreamName, partialRefPath, partialStreamName } from '../store/ostree-refs.ts';
import { unpublishStream } from '../store/publish.ts';
import type { Repository } from '../store/repository.ts';
import { verifyBindings } from './bindings.ts';
import type { FetchOptions, WantedCommit } from './commit-fetch.ts';
import type { StoredCommit } from './commit-reader.ts';
import { publishCommit } from './publish-commit.ts';
import { streamsWithRef } from './resolve-name.ts';
import type { FetchCounts } from './tree-fetch.ts';
import { ifUsable } from './usable-base.ts';
import { verifyChecksum } from './verify-checksum.ts';

export interface PullOptions extends FetchOptions {
  /** Local ref to set instead of the ref's own name; for one ref only. */
  name?: string;
  createImage?: boolean;
  signal?: AbortSignal;
  progress?: Progress;
  /** Called before the first thing that takes long, which a pull with nothing to do does not come to. */
  onWork?: () => void;
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
  readonly #startMs = monotonicMs();
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
    // On its way at the same time; whether that failed is asked when the commit is known to be right.
    const detachedFetch = this.#source.fetchDetachedMetadata(checksum, this.#signal);
    detachedFetch.catch(() => {});
    const commitBytes =
      partial?.metadataBytes(checksum, 'commit') ??
      (await this.#source.fetchMetadata(checksum, 'commit', this.#signal));
    verifyChecksum(commitBytes, checksum, where);
    const commit = parseCommit(commitBytes, where);
    verifyBindings(commit, this.#branch, this.#source.collectionId, where);
    const detached = await detachedFetch;
    if (detached !== undefined) parseDetachedMetadata(detached, { ...where, object: `${checksum}.commitmeta` });

    const storedId = await this.#storedStream(checksum);
    const result =
      storedId === undefined
        ? await this.#fetch({ checksum, commit, commitBytes, partial, detached })
        : await this.#keep(checksum, storedId, detached);
    if (this.#options.createImage && !this.#options.dryRun) {
      this.#options.onWork?.();
      const { createImage } = await import('./create-image.ts');
      const image = await createImage(
        this.#repo,
        { commit: checksum },
        { progress: this.#progress, signal: this.#signal },
      );
      result.image = image.image;
      result.streamId = await this.#repo.streams.resolve(commitStreamName(checksum));
    }
    return { ...result, elapsedMs: Math.round(monotonicMs() - this.#startMs) };
  }

  async #resolve(): Promise<Checksum> {
    if (this.#ref === undefined || this.#branch === undefined) return this.#wanted as Checksum;
    validateRefName(this.#branch, { field: 'ref' });
    return this.#source.resolveRef(this.#ref, this.#signal);
  }

  /** What the last checkpoint of an earlier pull holds, the commit itself in any case. */
  async #partial(checksum: Checksum): Promise<StoredCommit | undefined> {
    const find = async () => {
      if ((await this.#repo.streams.resolve(partialStreamName(checksum))) === undefined) return undefined;
      const { findPartialCommit } = await import('./commit-reader.ts');
      const partial = await findPartialCommit(this.#repo, checksum);
      partial?.metadataBytes(checksum, 'commit');
      return partial;
    };
    return ifUsable(find(), this.#progress);
  }

  /** The commit's stream, if it is stored with everything that it needs. */
  async #storedStream(checksum: Checksum): Promise<ObjectId | undefined> {
    const name = commitStreamName(checksum);
    const id = await this.#repo.streams.resolve(name);
    if (id === undefined || !(await this.#repo.objects.has(id))) return undefined;
    if ((await this.#streamsWithRef()).has(name)) return id;
    const { findCommit, isWhole } = await import('./commit-reader.ts');
    const stored = await ifUsable(findCommit(this.#repo, checksum), this.#progress);
    return stored !== undefined && (await isWhole(this.#repo, stored)) ? id : undefined;
  }

  /** As the pull begins. */
  #streamsWithRef(): Promise<Set<string>> {
    this.#withRef ??= streamsWithRef(this.#repo);
    return this.#withRef;
  }

  /** The commit is here already: only its ref and its detached metadata may be new. */
  async #keep(checksum: Checksum, streamId: ObjectId, detached: Uint8Array | undefined): Promise<PullResult> {
    if (!this.#options.dryRun) {
      const where = { file: this.#source.url };
      await publishCommit(this.#repo, { commit: checksum, detached, localRef: this.#localRef }, where);
      await unpublishStream(this.#repo, partialStreamName(checksum), partialRefPath(checksum)); // of a pull that was killed late
    }
    return {
      ...this.#result(checksum, { fetched: { metadata: 0, files: 0 }, reused: { metadata: 0, files: 0 } }),
      streamId,
      upToDate: true,
    };
  }

  async #fetch(wanted: Omit<WantedCommit, 'localRef' | 'withRef'>): Promise<PullResult> {
    const { CommitFetch } = await import('./commit-fetch.ts');
    this.#options.onWork?.();
    const fetch = new CommitFetch(this.#repo, this.#source, {
      ...this.#options,
      progress: this.#progress,
      signal: this.#signal,
    });
    const withRef = await this.#streamsWithRef();
    const { counts, ...fetched } = await fetch.run({ ...wanted, localRef: this.#localRef, withRef });
    return { ...this.#result(wanted.checksum, counts), ...fetched };
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
