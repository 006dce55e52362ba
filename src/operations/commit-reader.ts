/** Reading one stored commit: its map from ostree checksum to object, each object proved against its checksum when first used. */

import { DigestMismatchError, FormatError, MissingObjectError, NotFoundError, type Where } from '../errors.ts';
import type { Hashing } from '../formats/codecs.ts';
import { CommitMap } from '../formats/commit-map.ts';
import { MAX_COMMIT_STREAM_BYTES } from '../formats/commit-map-builder.ts';
import { type Checksum, type ObjectId, toHex } from '../formats/ids.ts';
import { type Commit, parseCommit } from '../formats/ostree/commit.ts';
import { type Dirmeta, parseDirmeta } from '../formats/ostree/dirmeta.ts';
import { type Dirtree, parseDirtree } from '../formats/ostree/dirtree.ts';
import { type FileHeader, parseArchiveHeader, serializeContentHeader } from '../formats/ostree/file-header.ts';
import {
  CONTENT_TYPE_OSTREE_COMMIT,
  CONTENT_TYPE_PARTIAL,
  parseSplitstream,
  readInlineContent,
} from '../formats/splitstream.ts';
import { nodeHashing, nodeZstd } from '../native.ts';
import { commitStreamName, partialStreamName } from '../store/ostree-refs.ts';
import type { Repository } from '../store/repository.ts';

export interface StoredFile {
  header: FileHeader;
  /** For an external file a claim of the stream: only its object and `fsck` prove it. */
  sizeBytes: number;
  /** Content kept in the stream; empty for symlinks and empty files. */
  inline?: Uint8Array;
  object?: ObjectId;
}

/** The objects of one commit map. Nothing that comes out of here was not hashed, save the content of external files. */
export class CommitObjects {
  readonly map: CommitMap;
  readonly where: Where;
  readonly #hashing: Hashing;
  readonly #verified: Uint8Array; // one bit for each map entry

  constructor(map: CommitMap, where: Where, hashing: Hashing = nodeHashing) {
    this.map = map;
    this.where = where;
    this.#hashing = hashing;
    this.#verified = new Uint8Array((map.count + 7) >> 3);
  }

  has(checksum: Checksum): boolean {
    return this.map.find(checksum) >= 0;
  }

  commit(): Commit {
    return parseCommit(this.metadataBytes(this.map.commit, 'commit'), this.#at(this.map.commit, 'commit'));
  }

  dirtree(checksum: Checksum): Dirtree {
    return parseDirtree(this.metadataBytes(checksum, 'dirtree'), this.#at(checksum, 'dirtree'));
  }

  dirmeta(checksum: Checksum): Dirmeta {
    return parseDirmeta(this.metadataBytes(checksum, 'dirmeta'), this.#at(checksum, 'dirmeta'));
  }

  file(checksum: Checksum): StoredFile {
    const index = this.#find(checksum, 'file');
    const where = this.#at(checksum, 'file');
    const data = this.map.dataAt(index);
    const { header, sizeBytes, headerBytes } = parseArchiveHeader(data, where);
    const object = this.map.externalAt(index);
    if (object !== undefined) {
      if (data.length !== headerBytes)
        throw new FormatError(`${data.length - headerBytes} bytes follow the header of an external file`, where);
      if (sizeBytes === 0) throw new FormatError('an empty file cannot be external', { ...where, field: 'size' });
      return { header, sizeBytes, object };
    }
    const inline = data.subarray(headerBytes);
    if (inline.length !== sizeBytes)
      throw new FormatError(`header says ${sizeBytes} bytes, ${inline.length} are there`, { ...where, field: 'size' });
    this.#prove(index, checksum, where, serializeContentHeader(header), inline);
    return { header, sizeBytes, inline };
  }

  /** Bytes of a commit, dirtree or dirmeta: exactly what the checksum names. */
  metadataBytes(checksum: Checksum, type: 'commit' | 'dirtree' | 'dirmeta'): Uint8Array {
    const index = this.#find(checksum, type);
    const where = this.#at(checksum, type);
    if (this.map.externalBytesAt(index) !== undefined)
      throw new FormatError('metadata is kept as an external object', where);
    const bytes = this.map.dataAt(index);
    this.#prove(index, checksum, where, bytes);
    return bytes;
  }

  #prove(index: number, checksum: Checksum, where: Where, ...parts: Uint8Array[]): void {
    if ((this.#verified[index >> 3] & (1 << (index & 7))) !== 0) return;
    const actual = toHex(this.#hashing.sha256(...parts));
    if (actual !== checksum) throw new DigestMismatchError(checksum, actual, where);
    this.#verified[index >> 3] |= 1 << (index & 7);
  }

  #find(checksum: Checksum, type: string): number {
    const index = this.map.find(checksum);
    if (index < 0) throw new MissingObjectError('is not in the commit stream', this.#at(checksum, type));
    return index;
  }

  #at(checksum: Checksum, type: string): Where {
    return { ...this.where, object: `${checksum}.${type}` };
  }
}

export interface StoredCommit extends CommitObjects {
  readonly checksum: Checksum;
  /** First-level name under `streams/`. */
  readonly stream: string;
  readonly streamId: ObjectId;
  readonly namedRefs: ReadonlyMap<string, ObjectId>;
}

/**
 * Opens `streams/ostree-commit-<checksum>`; the stream object is checked against its id.
 * @throws NotFoundError when the commit is not stored; FormatError and DigestMismatchError when it is damaged
 */
export async function openCommit(repo: Repository, checksum: Checksum): Promise<StoredCommit> {
  const stored = await openStream(repo, commitStreamName(checksum), checksum, CONTENT_TYPE_OSTREE_COMMIT);
  if (stored === undefined) throw new NotFoundError('this commit is not stored here', { object: `${checksum}.commit` });
  return stored;
}

/** Like `openCommit`, for a commit that may be absent. */
export const findCommit = (repo: Repository, checksum: Checksum): Promise<StoredCommit | undefined> =>
  openStream(repo, commitStreamName(checksum), checksum, CONTENT_TYPE_OSTREE_COMMIT);

/** What an unfinished pull of the commit has left at its last checkpoint. */
export const findPartialCommit = (repo: Repository, checksum: Checksum): Promise<StoredCommit | undefined> =>
  openStream(repo, partialStreamName(checksum), checksum, CONTENT_TYPE_PARTIAL);

/**
 * Whether everything that a stored commit refers to is there. What a ref leads to always is; a collector of another program that was
 * killed may have left any other stream without its objects.
 */
export function isWhole(repo: Repository, { map, namedRefs }: StoredCommit): boolean {
  const isThere = (id: ObjectId): boolean => repo.objects.sizeOfSync(id) !== undefined;
  for (let i = 0; i < map.count; i++) {
    const object = map.externalAt(i);
    if (object !== undefined && !isThere(object)) return false;
  }
  return [...namedRefs.values()].every(isThere);
}

async function openStream(
  repo: Repository,
  name: string,
  checksum: Checksum,
  contentType: bigint,
): Promise<StoredCommit | undefined> {
  const streamId = await repo.streams.resolve(name);
  if (streamId === undefined) return undefined;
  const where: Where = { file: `streams/${name}` };
  const bytes = await repo.objects.read(streamId, { maxBytes: MAX_COMMIT_STREAM_BYTES });
  const stream = await parseSplitstream(bytes, { algorithm: repo.algorithm, contentType, zstd: nodeZstd, where });
  const content = await readInlineContent(bytes, stream, { zstd: nodeZstd, where, maxBytes: MAX_COMMIT_STREAM_BYTES });
  const map = CommitMap.parse(content, stream.objectRefs, repo.algorithm, where);
  if (map.commit !== checksum) throw new FormatError(`holds commit ${map.commit}`, { ...where, field: 'commit' });
  return Object.assign(new CommitObjects(map, where), {
    checksum,
    stream: name,
    streamId,
    namedRefs: stream.namedRefs,
  });
}
