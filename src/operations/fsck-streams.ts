/** The part of a check that reads every stream: what it refers to, its whole content, and commit maps down to the last file. */

import { type CfsError, problemText } from '../errors.ts';
import { CommitMap } from '../formats/commit-map.ts';
import { MAX_COMMIT_STREAM_BYTES } from '../formats/commit-map-builder.ts';
import { digestBytes, type ObjectId, objectIdFromBytes } from '../formats/ids.ts';
import { parseDetachedMetadata } from '../formats/ostree/detached-metadata.ts';
import { MAX_METADATA_BYTES } from '../formats/ostree/limits.ts';
import {
  CONTENT_TYPE_COMMITMETA,
  CONTENT_TYPE_OSTREE_COMMIT,
  CONTENT_TYPE_PARTIAL,
  chunks,
  parseSplitstream,
  readInlineContent,
  type Splitstream,
} from '../formats/splitstream.ts';
import { nodeZstd } from '../native.ts';
import { DigestTable } from '../store/digest-table.ts';
import { type CommitStreamName, parseStreamName } from '../store/ostree-refs.ts';
import type { Repository } from '../store/repository.ts';
import { checkCommitObjects } from './commit-check.ts';
import { CommitObjects } from './commit-reader.ts';
import { ExternalFilesCheck } from './fsck-external-files.ts';
import { type FindingKind, type Findings, objectSubject } from './fsck-findings.ts';
import type { LinkedObjects } from './fsck-links.ts';
import type { ObjectsCheck } from './fsck-objects.ts';
import { type ObjectKind, peekObjectKind } from './object-kind.ts';

/** Content type that each kind of name promises. */
const TYPE_OF_NAME = {
  commit: CONTENT_TYPE_OSTREE_COMMIT,
  partial: CONTENT_TYPE_PARTIAL,
  commitmeta: CONTENT_TYPE_COMMITMETA,
} as const;

export interface StreamsCheckOptions {
  /** Hash the content of external files. */
  contents: boolean;
  signal?: AbortSignal;
}

/** What is known of a stream before its content is looked at. */
interface StreamContext {
  /** As `#missingObjects` says. */
  missing: Uint8Array | undefined;
  subjects: string[];
}

export class StreamsCheck {
  readonly #repo: Repository;
  readonly #objects: ObjectsCheck;
  readonly #findings: Findings;
  readonly #options: StreamsCheckOptions;
  /** Images that a stream names, by id, with the subjects that name them. */
  readonly images = new Map<ObjectId, string[]>();
  /** Streams that could be read. */
  readonly #readable = new Map<ObjectId, string[]>();
  /** External files that were found right; nothing to remember where there is one stream. */
  #proved: DigestTable | undefined;

  constructor(repo: Repository, objects: ObjectsCheck, findings: Findings, options: StreamsCheckOptions) {
    this.#repo = repo;
    this.#objects = objects;
    this.#findings = findings;
    this.#options = options;
  }

  /** All linked streams, and those that they lead to by named refs alone; each once. */
  async check(linked: LinkedObjects): Promise<void> {
    if (linked.size > 1) this.#proved = new DigestTable();
    const pending = new Map<ObjectId, string[]>();
    for (const [id, names] of linked)
      pending.set(
        id,
        names.map((name) => `streams/${name}`),
      );
    const done = new Set<ObjectId>();
    for (const [id, subjects] of pending) {
      pending.delete(id);
      if (done.has(id)) continue;
      done.add(id);
      this.#options.signal?.throwIfAborted();
      for (const named of await this.#checkStream(id, subjects))
        if (!done.has(named) && !pending.has(named)) pending.set(named, [objectSubject(named)]);
    }
  }

  /** Refs of the streams that need one of the objects. Reads the streams' id arrays again. */
  async spreadRefs(objects: Set<string>): Promise<void> {
    const oneDigest = digestBytes(this.#repo.algorithm);
    for (const [id, subjects] of this.#readable) {
      for (const subject of subjects)
        if (objects.has(objectSubject(id))) this.#findings.inheritRefs(objectSubject(id), subject);
      const bytes = await this.#objects.read(id, MAX_COMMIT_STREAM_BYTES);
      const { objectRefs, namedRefs } = await this.#parse(bytes, id);
      const inherit = (needed: ObjectId): void => {
        const object = objectSubject(needed);
        if (objects.has(object)) for (const subject of subjects) this.#findings.inheritRefs(object, subject);
      };
      for (let at = 0; at < objectRefs.length; at += oneDigest)
        inherit(objectIdFromBytes(objectRefs.subarray(at, at + oneDigest)));
      for (const named of namedRefs.values()) inherit(named);
    }
  }

  /** @returns streams that it names */
  async #checkStream(id: ObjectId, subjects: string[]): Promise<ObjectId[]> {
    let bytes: Uint8Array;
    let stream: Splitstream;
    try {
      bytes = await this.#objects.read(id, MAX_COMMIT_STREAM_BYTES);
      stream = await this.#parse(bytes, id);
    } catch (error) {
      this.#report('stream-open-failed', subjects, error);
      return [];
    }
    this.#readable.set(id, subjects);
    const missing = this.#missingObjects(stream, subjects);
    const streams = await this.#checkNamedRefs(stream, subjects);
    try {
      await this.#checkContent(bytes, stream, { missing, subjects });
    } catch (error) {
      this.#report('stream-read-failed', subjects, error);
    }
    return streams;
  }

  #parse(bytes: Uint8Array, id: ObjectId): Promise<Splitstream> {
    return parseSplitstream(bytes, { algorithm: this.#repo.algorithm, zstd: nodeZstd, where: { object: id } });
  }

  /** @returns by number of the object: 1 where it is missing; undefined: all are there */
  #missingObjects({ objectRefs, algorithm }: Splitstream, subjects: string[]): Uint8Array | undefined {
    const oneDigest = digestBytes(algorithm);
    let isMissing: Uint8Array | undefined;
    for (let at = 0; at < objectRefs.length; at += oneDigest) {
      if (this.#objects.existsAt(objectRefs, at)) continue;
      isMissing ??= new Uint8Array(objectRefs.length / oneDigest);
      isMissing[at / oneDigest] = 1;
      const missing = objectIdFromBytes(objectRefs.subarray(at, at + oneDigest));
      for (const subject of subjects)
        this.#findings.error('missing-object-ref', subject, `object ${missing} is missing`);
    }
    return isMissing;
  }

  async #checkNamedRefs({ namedRefs }: Splitstream, subjects: string[]): Promise<ObjectId[]> {
    const streams: ObjectId[] = [];
    for (const [name, id] of namedRefs) {
      const kind = this.#kindOf(id);
      if (kind === undefined) {
        for (const subject of subjects)
          this.#findings.error('missing-named-ref', subject, `${JSON.stringify(name)}: object ${id} is missing`);
      } else if (kind === 'stream') streams.push(id);
      else if (kind === 'image') this.images.set(id, [...(this.images.get(id) ?? []), ...subjects]);
    }
    return streams;
  }

  #kindOf(id: ObjectId): ObjectKind | undefined {
    if (!this.#objects.exists(id)) return undefined;
    try {
      return peekObjectKind(this.#repo.objects, id);
    } catch (error) {
      problemText(error); // the object has a finding of its own
      return 'other';
    }
  }

  async #checkContent(bytes: Uint8Array, stream: Splitstream, context: StreamContext): Promise<void> {
    const { subjects } = context;
    for (const subject of subjects) {
      const named = streamNameOf(subject);
      if (named !== undefined && stream.contentType !== TYPE_OF_NAME[named.kind])
        this.#findings.error('stream-content-mismatch', subject, 'has the content type of another kind of stream');
    }
    const { contentType } = stream;
    if (contentType === CONTENT_TYPE_OSTREE_COMMIT || contentType === CONTENT_TYPE_PARTIAL)
      await this.#checkCommit(await readInline(bytes, stream, MAX_COMMIT_STREAM_BYTES), stream, context);
    else if (contentType === CONTENT_TYPE_COMMITMETA)
      parseDetachedMetadata(await readInline(bytes, stream, MAX_METADATA_BYTES));
    else {
      const objectSize = (id: ObjectId) => this.#repo.objects.sizeOfSync(id);
      for await (const _ of chunks(bytes, stream, { objectSize })) this.#options.signal?.throwIfAborted();
    }
  }

  async #checkCommit(content: Uint8Array, stream: Splitstream, { missing, subjects }: StreamContext): Promise<void> {
    const map = CommitMap.parse(content, stream.objectRefs, stream.algorithm);
    for (const subject of subjects) {
      const named = streamNameOf(subject);
      if (named !== undefined && named.commit !== map.commit)
        this.#findings.error('stream-content-mismatch', subject, `holds commit ${map.commit}`);
    }
    const objects = new CommitObjects(map, {});
    const onProblem = (error: CfsError): void => this.#report('stream-content-mismatch', subjects, error);
    const { contents } = this.#options;
    const files = new ExternalFilesCheck(this.#repo, this.#objects, objects, {
      missing,
      proved: this.#proved,
      contents,
    });
    try {
      await checkCommitObjects(objects, {
        signal: this.#options.signal,
        closure: stream.contentType === CONTENT_TYPE_OSTREE_COMMIT ? 'complete' : 'partial',
        onProblem,
        onExternalFiles: (batch) => files.add(batch),
      });
    } finally {
      for (const problem of await files.finish()) onProblem(problem);
    }
  }

  #report(kind: FindingKind, subjects: string[], error: unknown): void {
    const text = problemText(error);
    for (const subject of subjects) this.#findings.error(kind, subject, text);
  }
}

const STREAMS_PREFIX = 'streams/';
/** Streams that nothing under `streams/` leads to are called by their object. */
const streamNameOf = (subject: string): CommitStreamName | undefined =>
  subject.startsWith(STREAMS_PREFIX) ? parseStreamName(subject.slice(STREAMS_PREFIX.length)) : undefined;

const readInline = (bytes: Uint8Array, stream: Splitstream, maxBytes: number): Promise<Uint8Array> =>
  readInlineContent(bytes, stream, { zstd: nodeZstd, maxBytes });
