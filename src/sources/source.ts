/** Where ostree commits come from. Every implementation passes test/contract/source-contract.ts. */

import type { FileBody, LooseObjects, RepositoryMode } from '../formats/file-body.ts';
import type { Checksum } from '../formats/ids.ts';

export type MetadataType = 'commit' | 'dirtree' | 'dirmeta';

/**
 * One ostree repository, read only. A source bounds sizes and checks that what it hands out is there; it does not verify checksums:
 * whoever takes the bytes does (invariant I4). Every method that takes a signal rejects with the signal's reason as soon as
 * it is aborted.
 */
export interface Source extends AsyncDisposable {
  /** The location without credentials: a URL, or an absolute path. */
  readonly url: string;
  readonly mode: RepositoryMode;
  readonly collectionId?: string;
  /** Bytes of bodies received so far; for a local source, of the files handed out. */
  readonly bytesTransferred: number;
  /** Requests under way at the same time that make sense. More are queued, not refused. */
  readonly maxConcurrency: number;
  /** Where most file objects are, if that is on this machine. What is not found there, `openFile` may still find. */
  readonly looseObjects?: LooseObjects;

  /**
   * The commit that a branch points to.
   * @throws NotFoundError no such ref; FormatError its value is no checksum, or `ref` no ref name; SourceError
   */
  resolveRef(ref: string, signal?: AbortSignal): Promise<Checksum>;
  /**
   * The branches, sorted by name.
   * @throws NotFoundError when the source cannot list them (HTTP without a summary); FormatError; SourceError
   */
  listRefs(signal?: AbortSignal): Promise<Map<string, Checksum>>;
  /**
   * The bytes of a metadata object, at most MAX_METADATA_BYTES.
   * @throws MissingObjectError, LimitError, SourceError; FormatError where the object is no regular file
   */
  fetchMetadata(checksum: Checksum, type: MetadataType, signal?: AbortSignal): Promise<Uint8Array>;
  /** The `.commitmeta` of a commit, undefined where it has none. An empty one is an empty dictionary. */
  fetchDetachedMetadata(commit: Checksum, signal?: AbortSignal): Promise<Uint8Array | undefined>;
  /** @throws MissingObjectError, SourceError; FormatError where the object is of a type that the mode does not keep */
  openFile(checksum: Checksum, signal?: AbortSignal): Promise<FileBody>;
}

/** Times in milliseconds. Only HTTP sources have use for more than `signal`. */
export interface SourceOptions {
  /** Requests under way at the same time; default 12 connections, up to 48 without TLS where the way is long, or 48 streams of one HTTP/2 connection. */
  jobs?: number;
  /** Further attempts after a transient failure of one request; default 5. */
  retries?: number;
  /** Wait before the first further attempt, doubled for each one; default 250. */
  retryDelayMs?: number;
  connectTimeoutMs?: number;
  /** From the request to the end of the response's headers. */
  headersTimeoutMs?: number;
  /** Longest pause inside a body. */
  stallTimeoutMs?: number;
  /** A ref that will probably be resolved first: a far source is asked for it together with its configuration. */
  likelyRef?: string;
  /** Ends the opening; the source itself lives on until it is disposed. */
  signal?: AbortSignal;
}
