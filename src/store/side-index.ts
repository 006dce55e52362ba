/**
 * The side index on disk: `cfs-ostree/index/`, a few segments (`formats/side-index.ts`). Losing any of it costs time, nothing else, so
 * that trouble with it is a warning and never an error.
 */

import { closeSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError, problemText } from '../errors.ts';
import type { CommitMap } from '../formats/commit-map.ts';
import { type Algorithm, CHECKSUM_BYTES, type Checksum, idToBytes, toHex } from '../formats/ids.ts';
import {
  MAX_SEGMENT_BYTES,
  MAX_SEGMENT_ENTRIES,
  SideIndexBuilder,
  type SideIndexEntry,
  SideIndexSegment,
  UnknownSegmentVersionError,
} from '../formats/side-index.ts';
import { nodeHashing } from '../native.ts';
import { unlinkIfThere } from './absence.ts';
import { commitStreamName } from './ostree-refs.ts';
import { openRegularFileSync, readWholeSync } from './regular-file.ts';
import type { Repository } from './repository.ts';
import {
  isSegmentName,
  listIndexFiles,
  SIDE_INDEX_DIRECTORY,
  TEMPORARY_PREFIX,
  writeIndexFile,
} from './side-index-files.ts';

export type { SideIndexEntry } from '../formats/side-index.ts';

/**
 * Smaller segments are merged with a new one while each is at most so many times as large as what is merged already. What is left
 * grows by more than that from one segment to the next: few segments, and each entry is rewritten a few times in its life.
 */
const MERGE_RATIO = 2;

/** Another process may merge while we read: a segment that has just gone is in one that has come. */
const LOAD_TRIES = 3;

export type Warn = (message: string) => void;

interface OpenSegment {
  name: string;
  segment: SideIndexSegment;
  /** Whether the stream of each commit in `segment.commits` is still there. */
  stored: boolean[];
}

/** Reads all segments; those that are damaged, or of another version, are left out with a warning. */
export async function openSideIndex(repositoryPath: string, algorithm: Algorithm, warn: Warn): Promise<SideIndex> {
  const index = new SideIndex(repositoryPath, algorithm, warn);
  await index.load();
  return index;
}

export class SideIndex {
  readonly #repositoryPath: string;
  readonly #directory: string;
  readonly #algorithm: Algorithm;
  readonly #warn: Warn;
  /** Smallest first. */
  #segments: OpenSegment[] = [];
  #damaged: string[] = [];

  constructor(repositoryPath: string, algorithm: Algorithm, warn: Warn) {
    this.#repositoryPath = repositoryPath;
    this.#directory = join(repositoryPath, SIDE_INDEX_DIRECTORY);
    this.#algorithm = algorithm;
    this.#warn = warn;
  }

  /** Number of entries, repetitions in different segments included. */
  get count(): number {
    return this.#segments.reduce((sum, { segment }) => sum + segment.count, 0);
  }

  get segmentCount(): number {
    return this.#segments.length;
  }

  /** Whether no part of it was found damaged; what stood there is not known. */
  get isComplete(): boolean {
    return this.#damaged.length === 0;
  }

  /** Whether anything is known of this commit: all of it then, but for `side-index-gaps.ts`. */
  hasCommit(commit: Checksum): boolean {
    return this.#segments.some(({ segment }) => segment.commits.includes(commit));
  }

  /** Takes what is there now. */
  async load(): Promise<void> {
    const isStored = this.#storedCommits();
    for (let tries = 0; tries < LOAD_TRIES; tries++) {
      const known = new Map(this.#segments.map((open) => [open.name, open.segment]));
      const names = this.#names().filter(isSegmentName);
      this.#segments = [];
      this.#damaged = [];
      let vanished = false;
      for (const name of names) {
        const segment = known.get(name) ?? this.#read(name);
        if (segment === undefined) vanished = true;
        else if (segment !== 'unusable') this.#segments.push({ name, segment, stored: segment.commits.map(isStored) });
      }
      if (!vanished) break;
    }
    this.#sort();
  }

  /**
   * What is known of an object, where a stored commit has it. An entry with a sha256 digest is preferred.
   * @param checksum 32 raw bytes
   */
  lookup(checksum: Uint8Array): SideIndexEntry | undefined {
    let found: SideIndexEntry | undefined;
    for (const { segment, stored } of this.#segments) {
      const index = segment.find(checksum);
      if (index < 0 || !stored[segment.commitNumberAt(index)]) continue;
      const entry = segment.entryAt(index);
      if (entry.sha256Digest !== undefined) return entry;
      found ??= entry;
    }
    return found;
  }

  /** Whether a lookup of the checksum at `offset` would find something. */
  #knows(checksums: Uint8Array, offset: number, withDigest: boolean): boolean {
    for (const { segment, stored } of this.#segments) {
      const index = segment.find(checksums, offset);
      if (index < 0 || !stored[segment.commitNumberAt(index)]) continue;
      if (!withDigest || segment.sha256DigestAt(index) !== undefined) return true;
    }
    return false;
  }

  /**
   * Adds the objects of a stored commit that the index does not have yet, in one new segment, with which smaller ones are merged.
   * @param sha256Digests by ostree checksum, of external content; for sha512 repositories
   * @param only checksums of the objects that may be missing in the index, concatenated; default: all
   */
  async append(
    commit: Checksum,
    objects: CommitMap,
    sha256Digests: ReadonlyMap<Checksum, Uint8Array> = new Map(),
    only?: Uint8Array,
  ): Promise<void> {
    const commitBytes = idToBytes(commit);
    let builder = new SideIndexBuilder(this.#algorithm);
    const count = only === undefined ? objects.count : only.length / CHECKSUM_BYTES;
    for (let i = 0; i < count; i++) {
      const index = only === undefined ? i : objects.findBytes(only, CHECKSUM_BYTES * i);
      const digest =
        sha256Digests.size === 0 ? undefined : sha256Digests.get(toHex(objects.checksumBytesAt(index)) as Checksum);
      if (this.#knows(objects.content, objects.checksumStartAt(index), digest !== undefined)) continue;
      if (builder.count === MAX_SEGMENT_ENTRIES) {
        await this.#merge(builder, []);
        builder = new SideIndexBuilder(this.#algorithm);
      }
      const object = objects.externalBytesAt(index);
      const sizeBytes = sizeOf(objects.dataAt(index), object);
      builder.add(objects.checksumBytesAt(index), commitBytes, sizeBytes, object, object && digest);
    }
    if (builder.count > 0) await this.#merge(builder, this.#smallSegments(builder.count));
    this.#removeFiles(this.#damaged.splice(0));
  }

  /** Rewrites the segments that name any of these commits without their entries. */
  async dropCommits(commits: ReadonlySet<Checksum>): Promise<void> {
    const touched = this.#segments.filter(({ segment }) => segment.commits.some((commit) => commits.has(commit)));
    for (const open of touched) open.stored = open.stored.map((is, i) => is && !commits.has(open.segment.commits[i]));
    for (const open of touched) await this.#merge(new SideIndexBuilder(this.#algorithm), [open]);
  }

  /** Commits that have entries and are not stored any more. */
  get goneCommits(): ReadonlySet<Checksum> {
    return new Set(this.#segments.flatMap(({ segment, stored }) => segment.commits.filter((_, i) => !stored[i])));
  }

  /** Removes damaged segments and leftover temporaries: for whoever holds the exclusive lock. */
  removeLeftovers(): void {
    const leftovers = this.#names().filter((name) => name.startsWith(TEMPORARY_PREFIX));
    this.#removeFiles([...this.#damaged.splice(0), ...leftovers]);
  }

  /** Segments to be rewritten together with `count` new entries. */
  #smallSegments(count: number): OpenSegment[] {
    const chosen: OpenSegment[] = [];
    let total = count;
    for (const open of this.#segments) {
      const { count: size } = open.segment;
      if (size > MERGE_RATIO * total || total + size > MAX_SEGMENT_ENTRIES) break;
      chosen.push(open);
      total += size;
    }
    return chosen;
  }

  /** Writes one segment of what is in `builder` and in `old`, then removes `old`. Entries of commits that have gone are left out. */
  async #merge(builder: SideIndexBuilder, old: readonly OpenSegment[]): Promise<void> {
    for (const { segment, stored } of old) {
      const commits = segment.commits.map(idToBytes);
      for (let index = 0; index < segment.count; index++) {
        const commit = segment.commitNumberAt(index);
        if (!stored[commit]) continue;
        const [object, digest] = [segment.objectAt(index), segment.sha256DigestAt(index)];
        builder.add(segment.checksumBytesAt(index), commits[commit], segment.sizeBytesAt(index), object, digest);
      }
    }
    const written = builder.count > 0 ? await this.#write(builder) : undefined;
    const gone = old.filter(({ name }) => name !== written?.name);
    this.#removeFiles(gone.map(({ name }) => name));
    this.#segments = this.#segments.filter(
      ({ name }) => name !== written?.name && !gone.some((open) => open.name === name),
    );
    if (written !== undefined) this.#segments.push(written);
    this.#sort();
  }

  async #write(builder: SideIndexBuilder): Promise<OpenSegment> {
    const bytes = builder.build(nodeHashing.sha256);
    builder.release();
    const segment = SideIndexSegment.parse(bytes, this.#algorithm, nodeHashing.sha256);
    const name = `${toHex(bytes.subarray(-32)).slice(0, 32)}.segment`;
    await writeIndexFile(this.#repositoryPath, name, bytes);
    return { name, segment, stored: segment.commits.map(this.#storedCommits()) };
  }

  /** Everything in the directory; nothing where there is none, or something else in its place. */
  #names(): string[] {
    try {
      return listIndexFiles(this.#repositoryPath);
    } catch (error) {
      this.#warn(`the side index is not used: ${problemText(error)}`);
      return [];
    }
  }

  /** @returns undefined when it is not there any more */
  #read(name: string): SideIndexSegment | 'unusable' | undefined {
    const where = { file: `${SIDE_INDEX_DIRECTORY}/${name}` };
    let fd: number | undefined;
    try {
      const file = openRegularFileSync(join(this.#directory, name), where);
      if (file === undefined) return undefined;
      fd = file.fd;
      const bytes = readWholeSync(fd, file.stats.size, MAX_SEGMENT_BYTES, where);
      return SideIndexSegment.parse(bytes, this.#algorithm, nodeHashing.sha256, where);
    } catch (error) {
      this.#warn(`a part of the side index is not used: ${problemText(error)}`);
      if (fd !== undefined && error instanceof FormatError && !(error instanceof UnknownSegmentVersionError))
        this.#damaged.push(name);
      return 'unusable';
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #removeFiles(names: readonly string[]): void {
    for (const name of names) unlinkIfThere(join(this.#directory, name));
  }

  /** Remembers what it has looked up. */
  #storedCommits(): (commit: Checksum) => boolean {
    const known = new Map<Checksum, boolean>();
    return (commit) => {
      let stored = known.get(commit);
      if (stored === undefined) {
        const link = join(this.#repositoryPath, 'streams', commitStreamName(commit));
        stored = lstatSync(link, { throwIfNoEntry: false }) !== undefined;
        known.set(commit, stored);
      }
      return stored;
    };
  }

  #sort(): void {
    this.#segments.sort((a, b) => a.segment.count - b.segment.count);
  }
}

export interface SideIndexAddition {
  commit: Checksum;
  map: CommitMap;
  /** By ostree checksum, of external content. */
  sha256Digests: ReadonlyMap<Checksum, Uint8Array>;
  warn: Warn;
  /** What has been read of the index is not read again. */
  opened?: SideIndex;
  /** As in `SideIndex.append`. */
  only?: Uint8Array;
}

/** Records a stored commit. What goes wrong is a warning: the commit is complete without it. */
export const appendToSideIndex = (
  repo: Repository,
  {
    commit,
    map,
    sha256Digests,
    warn,
    opened: index = new SideIndex(repo.path, repo.algorithm, warn),
    only,
  }: SideIndexAddition,
): Promise<void> =>
  changeSideIndex(repo, warn, async () => {
    await index.load();
    await index.append(commit, map, repo.algorithm === 'sha256' ? undefined : sha256Digests, only);
  });

/** Trouble becomes a warning. */
export async function changeSideIndex(repo: Repository, warn: Warn, how: () => Promise<void>): Promise<void> {
  try {
    await repo.requireWritable();
    await how();
  } catch (error) {
    warn(`the side index was not brought up to date: ${problemText(error)}`);
  }
}

/** Archive headers have the content size in front, big-endian, behind the 8-byte prefix. */
function sizeOf(data: Uint8Array, object: Uint8Array | undefined): number {
  if (object === undefined || data.length < 16) return data.length;
  return Number(new DataView(data.buffer, data.byteOffset, 16).getBigUint64(8, false));
}
