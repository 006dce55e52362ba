/** An ostree repository on this machine, of any mode, with its parents. No locks: objects never change, refs are replaced atomically. */

import type { Stats } from 'node:fs';
import { FormatError, MissingObjectError, NotFoundError, type Where } from '../errors.ts';
import type { FileBody, LooseObjects, RepositoryMode } from '../formats/file-body.ts';
import type { Checksum } from '../formats/ids.ts';
import { MAX_METADATA_BYTES } from '../formats/ostree/limits.ts';
import { LargeBodyGate } from './large-body-gate.ts';
import { readIfThere, statIfThere } from './local-files.ts';
import { listLocalRefs, resolveLocalRef } from './local-refs.ts';
import { type LocalRepository, openLocalRepositories } from './local-repository.ts';
import { ReadTurns } from './read-turns.ts';
import type { MetadataType, Source } from './source.ts';

/** Enough to fill the batches of the ingest, whose threads do the reading. */
const MAX_CONCURRENCY = 64;

/** @param path absolute; @throws RepositoryError, FormatError, SourceError: see openSource */
export async function openLocalSource(path: string): Promise<Source> {
  return new LocalSource(await openLocalRepositories(path));
}

class LocalSource implements Source {
  readonly maxConcurrency = MAX_CONCURRENCY;
  readonly looseObjects: LooseObjects;
  bytesTransferred = 0;
  /** This repository, then its parents. */
  readonly #repositories: [LocalRepository, ...LocalRepository[]];
  readonly #gate = new LargeBodyGate();
  readonly #turns = new ReadTurns();
  /** Commits that their repository says it may not have all objects of. */
  readonly #partialCommits = new Set<Checksum>();

  constructor(repositories: [LocalRepository, ...LocalRepository[]]) {
    this.#repositories = repositories;
    const [{ path, mode, disableXattrs }] = repositories;
    this.looseObjects = {
      objectsPath: `${path}/objects`,
      mode,
      ignoreXattrs: disableXattrs,
      onRead: (bytes) => {
        this.bytesTransferred += bytes;
      },
    };
  }

  get url(): string {
    return this.#repositories[0].path;
  }

  get mode(): RepositoryMode {
    return this.#repositories[0].mode;
  }

  get collectionId(): string | undefined {
    return this.#repositories[0].collectionId;
  }

  async resolveRef(ref: string, signal?: AbortSignal): Promise<Checksum> {
    signal?.throwIfAborted();
    for (const repository of this.#repositories) {
      const checksum = await resolveLocalRef(repository, ref);
      signal?.throwIfAborted();
      if (checksum !== undefined) return checksum;
    }
    throw new NotFoundError(`there is no ref ${JSON.stringify(ref)}`, { file: this.url });
  }

  async listRefs(signal?: AbortSignal): Promise<Map<string, Checksum>> {
    signal?.throwIfAborted();
    return listLocalRefs(this.#repositories[0], signal);
  }

  async fetchMetadata(checksum: Checksum, type: MetadataType, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    if (type === 'commit') await this.#notePartial(checksum);
    const bytes = await this.#readObject(checksum, type);
    signal?.throwIfAborted();
    return bytes ?? this.#missing(`${checksum}.${type}`);
  }

  async fetchDetachedMetadata(commit: Checksum, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted();
    return this.#readObject(commit, 'commitmeta');
  }

  async openFile(checksum: Checksum, signal?: AbortSignal): Promise<FileBody> {
    signal?.throwIfAborted();
    for (const { path: root, mode, disableXattrs } of this.#repositories) {
      const object = `${checksum}.${mode === 'archive' ? 'filez' : 'file'}`;
      const path = objectPath(root, object);
      const stats = statIfThere(path, { file: root, object });
      if (stats === undefined) continue;
      requireKept(stats, mode, { file: root, object });
      this.bytesTransferred += stats.size;
      if (mode !== 'bare-split-xattrs') return { form: 'local', path, mode, ignoreXattrs: disableXattrs };
      const xattrs = `${checksum}.file-xattrs-link`;
      const xattrsPath = objectPath(root, xattrs);
      const xattrsStats = statIfThere(xattrsPath, { file: root, object: xattrs });
      if (xattrsStats === undefined) return this.#missing(xattrs);
      if (!xattrsStats.isFile()) throw new FormatError('not a regular file', { file: root, object: xattrs });
      return { form: 'local', path, mode, xattrsPath };
    }
    return this.#missing(`${checksum}.${this.mode === 'archive' ? 'filez' : 'file'}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #readObject(checksum: Checksum, suffix: string): Promise<Uint8Array | undefined> {
    const object = `${checksum}.${suffix}`;
    await this.#turns.take();
    for (const { path } of this.#repositories) {
      const bytes = await readIfThere(objectPath(path, object), MAX_METADATA_BYTES, { file: path, object }, this.#gate);
      if (bytes === undefined) continue;
      this.bytesTransferred += bytes.length;
      return bytes;
    }
    return undefined;
  }

  async #notePartial(commit: Checksum): Promise<void> {
    for (const { path } of this.#repositories) {
      const marker = `${path}/state/${commit}.commitpartial`;
      if (statIfThere(marker, { file: marker }) !== undefined) this.#partialCommits.add(commit);
    }
  }

  #missing(object: string): never {
    const [commit] = this.#partialCommits;
    const why = commit === undefined ? '' : `: it has commit ${commit} only in part`;
    throw new MissingObjectError(`missing at the source${why}`, { file: this.url, object });
  }
}

const objectPath = (root: string, object: string): string => `${root}/objects/${object.slice(0, 2)}/${object.slice(2)}`;

/** archive and bare-user keep symlinks as regular files, the others as themselves. */
function requireKept(stats: Stats, mode: RepositoryMode, where: Where): void {
  if (stats.isFile() || (stats.isSymbolicLink() && mode !== 'archive' && mode !== 'bare-user')) return;
  throw new FormatError(`not a file as mode ${mode} keeps them`, where);
}
