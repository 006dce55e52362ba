/** Reading one stored commit: its map from ostree checksum to object, each object proved against its checksum when first used. */

import { DigestMismatchError, FormatError, MissingObjectError, NotFoundError, type Where } from '../errors.ts';
import { CommitMap, NO_OBJECT } from '../formats/commit-map.ts';
import { MAX_COMMIT_STREAM_BYTES } from '../formats/commit-map-builder.ts';
import { CHECKSUM_BYTES, type Checksum, checksumFromBytes, idToBytes, type ObjectId, toHex } from '../formats/ids.ts';
import { type Commit, parseCommit } from '../formats/ostree/commit.ts';
import { type Dirmeta, parseDirmeta } from '../formats/ostree/dirmeta.ts';
import { type Dirtree, type DirtreeVisitor, parseDirtree, walkDirtree } from '../formats/ostree/dirtree.ts';
import { type FileHeader, parseArchiveHeader } from '../formats/ostree/file-header.ts';
import { MAX_FILE_BYTES } from '../formats/ostree/limits.ts';
import { joined } from '../formats/owned-bytes.ts';
import {
  CONTENT_TYPE_OSTREE_COMMIT,
  CONTENT_TYPE_PARTIAL,
  CompressedContent,
  parseSplitstream,
  readInlineContent,
} from '../formats/splitstream.ts';
import { nodeHashing, nodeZstd } from '../native.ts';
import { commitStreamName, partialStreamName } from '../store/ostree-refs.ts';
import type { Repository } from '../store/repository.ts';
import { archiveSizeBytes, HeaderCache } from './header-cache.ts';

export interface StoredFile {
  header: FileHeader;
  /** For an external file a claim of the stream: only its object and `fsck` prove it. */
  sizeBytes: number;
  /** Content kept in the stream; empty for symlinks and empty files. */
  inline?: Uint8Array;
  object?: ObjectId;
}

/** A file object of a commit map; what it consists of lies in the map's bytes. */
export interface FileEntry {
  header: FileHeader;
  /** For an external file a claim, as in `StoredFile`. */
  sizeBytes: number;
  /** What SHA-256 starts with, before the content. */
  contentHeader: Uint8Array;
  /** Where in the map's bytes content begins that is kept in the stream. */
  contentStart: number;
}

/** The objects of one commit map. Nothing that comes out of here was not hashed, save the content of external files. */
export class CommitObjects {
  readonly map: CommitMap;
  readonly where: Where;
  /** One bit for each map entry: it was hashed, and is what its checksum names. */
  readonly proved: Uint8Array;
  readonly #headers = new HeaderCache();

  /** @param isProved every object was hashed when it went into the map, which nobody has had in hands since */
  constructor(map: CommitMap, where: Where, isProved = false) {
    this.map = map;
    this.where = where;
    this.proved = new Uint8Array((map.count + 7) >> 3).fill(isProved ? 0xff : 0);
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

  /** The same by the number of the map entry, for many. @throws as parseDirtree */
  walkDirtree(index: number, visitor: DirtreeVisitor): void {
    walkDirtree(this.metadataAt(index, 'dirtree'), this.whereOf(index, 'dirtree'), visitor);
  }

  dirmeta(checksum: Checksum): Dirmeta {
    return parseDirmeta(this.metadataBytes(checksum, 'dirmeta'), this.#at(checksum, 'dirmeta'));
  }

  file(checksum: Checksum): StoredFile {
    const index = this.find(idToBytes(checksum), 0, 'file');
    const { header, sizeBytes, contentStart } = this.fileAt(index);
    const object = this.map.externalAt(index);
    if (object !== undefined) return { header, sizeBytes, object };
    return { header, sizeBytes, inline: this.map.content.subarray(contentStart, contentStart + sizeBytes) };
  }

  /** The same by the number of the map entry, for many. */
  fileAt(index: number): FileEntry {
    const { map } = this;
    const start = map.dataStartAt(index);
    const dataBytes = map.dataBytesAt(index);
    let known = this.#headers.find(map.content, start, dataBytes);
    let sizeBytes = known === undefined ? 0 : archiveSizeBytes(map.content, start);
    if (known === undefined || sizeBytes > MAX_FILE_BYTES) {
      const parsed = parseArchiveHeader(map.dataAt(index), this.whereOf(index, 'file'));
      known = this.#headers.keep(map.content, start, parsed);
      sizeBytes = parsed.sizeBytes;
    }
    const { header, headerBytes, contentHeader } = known;
    const file: FileEntry = { header, sizeBytes, contentHeader, contentStart: start + headerBytes };
    const followingBytes = dataBytes - headerBytes;
    if (map.objectNumberAt(index) !== NO_OBJECT) {
      if (followingBytes !== 0)
        throw new FormatError(
          `${followingBytes} bytes follow the header of an external file`,
          this.whereOf(index, 'file'),
        );
      if (file.sizeBytes === 0)
        throw new FormatError('an empty file cannot be external', { ...this.whereOf(index, 'file'), field: 'size' });
      return file;
    }
    if (followingBytes !== file.sizeBytes)
      throw new FormatError(`header says ${file.sizeBytes} bytes, ${followingBytes} are there`, {
        ...this.whereOf(index, 'file'),
        field: 'size',
      });
    this.#prove(index, 'file', contentHeader, map.content.subarray(file.contentStart, start + dataBytes));
    return file;
  }

  /** Bytes of a commit, dirtree or dirmeta: exactly what the checksum names. */
  metadataBytes(checksum: Checksum, type: MetadataType): Uint8Array {
    return this.metadataAt(this.find(idToBytes(checksum), 0, type), type);
  }

  /** The same by the number of the map entry. */
  metadataAt(index: number, type: MetadataType): Uint8Array {
    if (this.map.objectNumberAt(index) !== NO_OBJECT)
      throw new FormatError('metadata is kept as an external object', this.whereOf(index, type));
    const bytes = this.map.dataAt(index);
    this.#prove(index, type, bytes);
    return bytes;
  }

  /** Number of the map entry of the checksum at `offset`. @throws MissingObjectError */
  find(bytes: Uint8Array, offset: number, type: ObjectType): number {
    const index = this.map.findBytes(bytes, offset);
    if (index < 0)
      throw new MissingObjectError('is not in the commit stream', this.#at(checksumFromBytes(bytes, offset), type));
    return index;
  }

  whereOf(index: number, type: ObjectType): Where {
    return this.#at(this.map.checksumAt(index), type);
  }

  #prove(index: number, type: ObjectType, ...parts: Uint8Array[]): void {
    if ((this.proved[index >> 3] & (1 << (index & 7))) !== 0) return;
    const actual = nodeHashing.sha256(...parts);
    const expected = this.map.checksumBytesAt(index);
    for (let i = 0; i < CHECKSUM_BYTES; i++)
      if (actual[i] !== expected[i])
        throw new DigestMismatchError(toHex(expected), toHex(actual), this.whereOf(index, type));
    this.proved[index >> 3] |= 1 << (index & 7);
  }

  #at(checksum: Checksum, type: ObjectType): Where {
    return { ...this.where, object: `${checksum}.${type}` };
  }
}

type MetadataType = 'commit' | 'dirtree' | 'dirmeta';
type ObjectType = MetadataType | 'file';

export interface StoredCommit extends CommitObjects {
  readonly checksum: Checksum;
  /** First-level name under `streams/`. */
  readonly stream: string;
  readonly streamId: ObjectId;
  readonly namedRefs: ReadonlyMap<string, ObjectId>;
  readonly compressed: CompressedContent;
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
export async function isWhole(repo: Repository, { map, namedRefs }: StoredCommit): Promise<boolean> {
  const sizes = await repo.objects.sizesOf(joined([map.objectRefs, ...[...namedRefs.values()].map(idToBytes)]));
  return sizes.every((size) => size >= 0);
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
    compressed: new CompressedContent(bytes, stream),
  });
}
