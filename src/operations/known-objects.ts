/** What need not be fetched: objects of base commits first, then whatever the side index finds in any stored commit. */

import { CfsError } from '../errors.ts';
import { type Checksum, objectIdFromBytes } from '../formats/ids.ts';
import { commitStreamName } from '../store/ostree-refs.ts';
import type { Repository } from '../store/repository.ts';
import { openSideIndex, type SideIndex, type SideIndexEntry } from '../store/side-index.ts';
import { findCommit, isWhole, type StoredCommit } from './commit-reader.ts';
import { coverStoredCommits } from './index-coverage.ts';

export interface KnownFile {
  /** Archive header with prefix; for an inlined file the content follows. */
  data: Uint8Array;
  object?: Uint8Array;
  /** Content size, from the header. */
  sizeBytes: number;
}

/** Commit streams that the side index led to and that are kept open at the same time. */
const MAX_INDEXED_COMMITS = 16;

export class KnownObjects {
  readonly #repo: Repository;
  readonly index: SideIndex;
  readonly bases: StoredCommit[] = [];
  /** The bases, and what else is open from the beginning. */
  readonly #commits: StoredCommit[] = [];
  #main: StoredCommit | undefined;
  /** Unknown until the index was brought up to date. */
  #uncovered: ReadonlySet<Checksum> | undefined;
  /** Bases whose objects may be gone. */
  readonly #doubtful = new Set<StoredCommit>();
  /** Promises: thousands of files ask for the same commit before it is open. */
  readonly #indexed = new Map<Checksum, Promise<StoredCommit | undefined>>();

  private constructor(repo: Repository, index: SideIndex) {
    this.#repo = repo;
    this.index = index;
  }

  static async open(repo: Repository, warn: (message: string) => void): Promise<KnownObjects> {
    return new KnownObjects(repo, await openSideIndex(repo.path, repo.algorithm, warn));
  }

  /**
   * Earlier bases are asked first.
   * @param hasRef a ref leads to it: all of its objects are there
   */
  addBase(base: StoredCommit, hasRef: boolean): void {
    if (this.bases.some((known) => known.stream === base.stream)) return;
    this.bases.push(base);
    this.#add(base, hasRef);
  }

  /** For a pull without a base: a commit that the index knows, and that seems to have much of the same. */
  addLikely(commit: StoredCommit, hasRef: boolean): void {
    this.#add(commit, hasRef);
  }

  #add(commit: StoredCommit, hasRef: boolean): void {
    this.#commits.push(commit);
    if (!hasRef) this.#doubtful.add(commit);
  }

  /**
   * Chooses the commit whose entries can be taken over without a look at their objects: the largest of those that have them all. To
   * be called when all bases are there.
   */
  async chooseMain(): Promise<void> {
    for (const base of [...this.#commits].sort((a, b) => b.map.count - a.map.count)) {
      if (this.#doubtful.has(base) && !(await isWhole(this.#repo, base))) continue;
      this.#doubtful.delete(base);
      this.#main = base;
      return;
    }
  }

  get main(): StoredCommit | undefined {
    return this.#main;
  }

  /** Lets the index know of every stored commit but the bases. */
  async coverStoredCommits(warn: (message: string) => void): Promise<void> {
    const bases = new Set(this.bases.map(({ checksum }) => checksum));
    this.#uncovered = await coverStoredCommits(this.#repo, this.index, bases, warn);
  }

  /** Whether the index knows all that can be taken over from the main base. */
  get isMainIndexed(): boolean {
    const main = this.#main;
    if (main === undefined || this.#uncovered === undefined || this.#uncovered.has(main.checksum)) return false;
    return (
      main.stream === commitStreamName(main.checksum) && this.index.isComplete && this.index.hasCommit(main.checksum)
    );
  }

  /** Bytes of a dirtree or dirmeta, hashed again here. */
  metadata(checksum: Uint8Array, type: 'dirtree' | 'dirmeta'): Uint8Array | undefined {
    for (const base of this.#commits) {
      const index = base.map.findBytes(checksum);
      const bytes = index < 0 ? undefined : sound(() => base.metadataAt(index, type));
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /** A file of one of the bases. Its external object was complete when the base got its name (invariant I2). */
  fileInBases(checksum: Uint8Array): KnownFile | undefined {
    for (const base of this.#commits) {
      const known = fileOf(base, checksum);
      if (known !== undefined && (!this.#doubtful.has(base) || this.#isThere(known))) return known;
    }
    return undefined;
  }

  /** What the side index claims about a file; a claim until `fileByClaim` has looked. */
  claim(checksum: Uint8Array): SideIndexEntry | undefined {
    return this.index.lookup(checksum);
  }

  /** Believes the index only where the commit stream that it names says the same and the object has that size. */
  async fileByClaim(checksum: Uint8Array, claim: SideIndexEntry): Promise<KnownFile | undefined> {
    const commit = await this.#indexedCommit(claim.commit);
    const known = commit && fileOf(commit, checksum);
    return known !== undefined && this.#isThere(known) ? known : undefined;
  }

  #isThere({ object, sizeBytes }: KnownFile): boolean {
    return object === undefined || this.#repo.objects.sizeOfSync(objectIdFromBytes(object)) === sizeBytes;
  }

  #indexedCommit(checksum: Checksum): Promise<StoredCommit | undefined> {
    const known = this.#indexed.get(checksum);
    if (known !== undefined) return known;
    const commit = findCommit(this.#repo, checksum).catch((error: unknown) => {
      if (error instanceof CfsError) return undefined;
      throw error;
    });
    if (this.#indexed.size >= MAX_INDEXED_COMMITS) {
      const oldest = this.#indexed.keys().next().value;
      if (oldest !== undefined) this.#indexed.delete(oldest);
    }
    this.#indexed.set(checksum, commit);
    return commit;
  }
}

function fileOf(commit: StoredCommit, checksum: Uint8Array): KnownFile | undefined {
  const { map } = commit;
  const index = map.findBytes(checksum);
  if (index < 0) return undefined;
  const sizeBytes = sound(() => commit.fileAt(index).sizeBytes); // hashes what is inlined
  return sizeBytes === undefined
    ? undefined
    : { data: map.dataAt(index), object: map.externalBytesAt(index), sizeBytes };
}

/** What is damaged in a stored commit costs a download, no more. */
export function sound<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof CfsError) return undefined;
    throw error;
  }
}
