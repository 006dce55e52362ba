/**
 * What must stay: everything that a ref reaches. Each reached stream and image is checked against its id and read in full, and
 * anything damaged or dangling ends the collection before a single name or object is removed: what such a thing refers to is unknown.
 */

import { CfsError, ExitCode, FormatError, MissingObjectError } from '../errors.ts';
import { CommitMap } from '../formats/commit-map.ts';
import { MAX_COMMIT_STREAM_BYTES } from '../formats/commit-map-builder.ts';
import { ErofsImage } from '../formats/erofs/reader.ts';
import { type Checksum, digestBytes, idToBytes, type ObjectId } from '../formats/ids.ts';
import { release } from '../formats/owned-bytes.ts';
import {
  CONTENT_TYPE_OSTREE_COMMIT,
  parseSplitstream,
  readInlineContent,
  type Splitstream,
} from '../formats/splitstream.ts';
import { nodeZstd } from '../native.ts';
import type { Progress } from '../progress.ts';
import { FilePages } from '../store/file-pages.ts';
import type { ObjectSweep } from '../store/object-sweep.ts';
import { openObjectSweep } from '../store/open-object-sweep.ts';
import { commitStreamName, parseStreamName } from '../store/ostree-refs.ts';
import type { Repository } from '../store/repository.ts';
import { CommitObjects } from './commit-reader.ts';
import { type ObjectKind, peekObjectKind } from './object-kind.ts';

/** Ids of an image's objects that are handed over together. */
const IDS_AT_ONCE = 1024;

/** Images up to this size are read at once, hashed and walked in memory; of larger ones a few pages at a time are there. */
const WHOLE_IMAGE_BYTES = 32 * 1024 * 1024;

export interface MarkOptions {
  /** Parents of reached commits that stay too, as far as they are stored. */
  keepDepth: number;
  progress: Progress;
  signal?: AbortSignal;
}

export class LiveObjects {
  readonly #repo: Repository;
  readonly #options: MarkOptions;
  /** Knows each object that stays. */
  readonly sweep: ObjectSweep;
  readonly #streams = new Set<ObjectId>();
  readonly #images = new Set<ObjectId>();
  /** Reached by a named ref, and neither stream nor image. */
  readonly #others = new Set<ObjectId>();
  /** Commits whose stream was reached by name, with the number of parents that were followed from there. */
  readonly #commits = new Map<Checksum, number>();
  readonly #partial = new Set<Checksum>();

  private constructor(repo: Repository, sweep: ObjectSweep, options: MarkOptions) {
    this.#repo = repo;
    this.#options = options;
    this.sweep = sweep;
  }

  /** Nothing is kept yet. */
  static async begin(repo: Repository, options: MarkOptions): Promise<LiveObjects> {
    const sweep = await openObjectSweep(repo.objects.root, repo.algorithm);
    sweep.readAhead();
    return new LiveObjects(repo, sweep, options);
  }

  /** Reached as a stream: all that it needs stays. An object that merely happens to be a stream may stay without. */
  hasStream(id: ObjectId): boolean {
    return this.#streams.has(id);
  }
  hasImage(id: ObjectId): boolean {
    return this.#images.has(id);
  }
  /** Whether the commit stays, complete or in part. */
  hasCommit(commit: Checksum): boolean {
    return this.#commits.has(commit) || this.#partial.has(commit);
  }

  /** @param because for errors: the ref, or the option that asks for it */
  async keepStreamName(name: string, because: string): Promise<void> {
    const parsed = parseStreamName(name);
    if (parsed?.kind === 'commit') return this.#keepCommit(parsed.commit, because);
    if (parsed?.kind === 'partial') this.#partial.add(parsed.commit);
    await this.#keep(await this.#resolve('streams', name, because), 'stream', because);
  }

  async keepImageName(name: string, because: string): Promise<void> {
    const id = await this.#resolve('images', name, because);
    if (id !== name) throw new FormatError(`leads to object ${id}`, { file: `images/${name}` });
    await this.#keep(id, 'image', because);
  }

  /** A commit and, up to `keepDepth`, its ancestors. */
  async #keepCommit(first: Checksum, because: string): Promise<void> {
    let reason = because;
    let commit: Checksum | undefined = first;
    for (let depth = this.#options.keepDepth; commit !== undefined && depth >= 0; depth--) {
      const before = this.#commits.get(commit);
      if (before !== undefined && before >= depth) return;
      const name = commitStreamName(commit);
      if (commit !== first && (await this.#repo.streams.resolve(name)) === undefined) return; // history may end anywhere
      this.#commits.set(commit, depth);
      const id = await this.#resolve('streams', name, reason);
      await this.#keep(id, 'stream', reason);
      if (depth === 0) return;
      reason = `parent of ${commit}`;
      commit = await this.#parentOf(id, name);
    }
  }

  async #parentOf(id: ObjectId, name: string): Promise<Checksum | undefined> {
    const where = { file: `streams/${name}` };
    const bytes = this.#repo.objects.readSync(id, { maxBytes: MAX_COMMIT_STREAM_BYTES });
    const stream = await this.#parseStream(bytes, id, CONTENT_TYPE_OSTREE_COMMIT);
    const content = await readInlineContent(bytes, stream, {
      zstd: nodeZstd,
      where,
      maxBytes: MAX_COMMIT_STREAM_BYTES,
    });
    const map = CommitMap.parse(content, stream.objectRefs, this.#repo.algorithm, where);
    return new CommitObjects(map, where).commit().parent;
  }

  async #resolve(kind: 'streams' | 'images', name: string, because: string): Promise<ObjectId> {
    const id = await this.#repo[kind].resolve(name);
    if (id === undefined)
      throw new MissingObjectError(`leads to ${kind}/${name}, which does not exist`, { file: because });
    return id;
  }

  /** The object and all that it leads to; a list of things to do instead of recursion, each thing once. */
  async #keep(first: ObjectId, firstKind: 'stream' | 'image', because: string): Promise<void> {
    const pending: Array<{ id: ObjectId; kind: 'stream' | 'image' | 'unknown' }> = [{ id: first, kind: firstKind }];
    try {
      for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
        this.#options.signal?.throwIfAborted();
        const { id } = next;
        this.sweep.keep(idToBytes(id));
        const kind = next.kind === 'unknown' ? this.#kindOf(id) : next.kind;
        if (kind === 'other') await this.#keepOther(id);
        else if (kind === 'image') await this.#keepImage(id);
        else for (const named of await this.#keepStream(id)) pending.push({ id: named, kind: 'unknown' });
        const done = this.#streams.size + this.#images.size;
        this.#options.progress.update({ phase: 'mark', done });
      }
    } catch (error) {
      if (!(error instanceof CfsError) || error.exitCode !== ExitCode.corrupt) throw error;
      throw new FormatError('leads to something damaged; nothing was removed', { file: because }, { cause: error });
    }
  }

  #kindOf(id: ObjectId): ObjectKind {
    if (this.#streams.has(id)) return 'stream';
    return this.#images.has(id) ? 'image' : peekObjectKind(this.#repo.objects, id);
  }

  /** Verified all the same: damage could have hidden what it is. */
  async #keepOther(id: ObjectId): Promise<void> {
    if (this.#others.has(id)) return;
    this.#others.add(id);
    await this.#repo.objects.verify(id);
  }

  async #keepImage(id: ObjectId): Promise<void> {
    if (this.#images.has(id)) return;
    this.#images.add(id);
    const where = { file: `images/${id}` };
    const { objects } = this.#repo;
    if (((await objects.sizeOf(id)) ?? 0) <= WHOLE_IMAGE_BYTES) {
      const bytes = objects.readSync(id, { maxBytes: WHOLE_IMAGE_BYTES });
      this.#keepObjectsOf(ErofsImage.open(bytes, where));
      release(bytes);
      return;
    }
    const { handle: file, sizeBytes } = await objects.openVerified(id);
    await using handle = file;
    this.#keepObjectsOf(ErofsImage.open(new FilePages(handle.fd, sizeBytes, where), where));
  }

  #keepObjectsOf(image: ErofsImage): void {
    const { algorithm } = this.#repo;
    const idBytes = digestBytes(algorithm);
    const ids = new Uint8Array(IDS_AT_ONCE * idBytes);
    let end = 0;
    for (const object of image.eachObject(algorithm)) {
      ids.set(object, end);
      end += idBytes;
      if (end < ids.length) continue;
      this.sweep.keep(ids);
      end = 0;
    }
    this.sweep.keep(ids.subarray(0, end));
  }

  /** @returns what its named refs lead to, the first time */
  async #keepStream(id: ObjectId): Promise<Iterable<ObjectId>> {
    if (this.#streams.has(id)) return [];
    this.#streams.add(id);
    const bytes = this.#repo.objects.readSync(id, { maxBytes: MAX_COMMIT_STREAM_BYTES });
    const { objectRefs, namedRefs } = await this.#parseStream(bytes, id);
    this.sweep.keep(objectRefs);
    release(bytes);
    return namedRefs.values();
  }

  #parseStream(bytes: Uint8Array, id: ObjectId, contentType?: bigint): Promise<Splitstream> {
    const { algorithm } = this.#repo;
    return parseSplitstream(bytes, { algorithm, contentType, zstd: nodeZstd, where: { object: id } });
  }
}
