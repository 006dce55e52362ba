/** Writing commit maps as streams: the complete one, the partial one, and detached metadata beside them. */

import type { Where } from '../errors.ts';
import type { CommitMap } from '../formats/commit-map.ts';
import type { CommitMapBuilder } from '../formats/commit-map-builder.ts';
import type { Algorithm, Checksum, ObjectId } from '../formats/ids.ts';
import { MAX_METADATA_BYTES } from '../formats/ostree/limits.ts';
import { type OwnedBytes, release } from '../formats/owned-bytes.ts';
import {
  CONTENT_TYPE_COMMITMETA,
  CONTENT_TYPE_OSTREE_COMMIT,
  CONTENT_TYPE_PARTIAL,
  parseSplitstream,
  readInlineContent,
  serializeSplitstream,
} from '../formats/splitstream.ts';
import { nodeZstd } from '../native.ts';
import { commitmetaStreamName } from '../store/ostree-refs.ts';
import type { Repository } from '../store/repository.ts';
import type { StoredCommit } from './commit-reader.ts';

/** Named ref of the image of the repository's default EROFS version; others are `composefs.image.v<N>` (doc/formats/repository.md). */
export const IMAGE_REF = 'composefs.image';
export const imageRefName = (version: number, defaultVersion: number): string =>
  version === defaultVersion ? IMAGE_REF : `${IMAGE_REF}.v${version}`;

/** What `CommitMapBuilder.build` makes. */
export type BuiltCommitMap = ReturnType<CommitMapBuilder['build']>;

/**
 * A commit map as a complete or a partial commit stream; on other threads, as far as it takes time.
 * @throws LimitError for content that could not be read again, with `options.where`
 */
export const serializeCommitMap = (
  algorithm: Algorithm,
  { content, objectRefs }: Pick<CommitMap, 'content' | 'objectRefs'>,
  kind: 'complete' | 'partial',
  options: Pick<InlineStream, 'isOwned' | 'where'> = {},
): Promise<OwnedBytes> =>
  serializeInlineStream(algorithm, content, {
    contentType: kind === 'complete' ? CONTENT_TYPE_OSTREE_COMMIT : CONTENT_TYPE_PARTIAL,
    objectRefs,
    namedRefs: new Map(),
    ...options,
  });

/** Both of it at once. @throws as serializeCommitMap */
export const storeCommitMap = async (
  repo: Repository,
  map: Pick<CommitMap, 'content' | 'objectRefs'>,
  kind: 'complete' | 'partial',
): Promise<ObjectId> => storeStream(repo, await serializeCommitMap(repo.algorithm, map, kind));

/** A map that is needed for nothing else: its memory goes as it is stored. */
export async function storeAndReleasePartial(repo: Repository, map: BuiltCommitMap): Promise<ObjectId> {
  const bytes = await serializeCommitMap(repo.algorithm, map, 'partial', { isOwned: true });
  release(map.objectRefs);
  return storeStream(repo, bytes);
}

/** Stores what `serializeCommitMap` made, and lets go of it. Nothing is published yet. */
export async function storeStream(repo: Repository, bytes: OwnedBytes): Promise<ObjectId> {
  const { id } = await repo.objects.store(bytes);
  release(bytes);
  return id;
}

/** The same commit again with other named refs; its content is not even compressed anew. */
export async function storeWithNamedRefs(
  repo: Repository,
  { map, compressed }: StoredCommit,
  namedRefs: ReadonlyMap<string, ObjectId>,
): Promise<ObjectId> {
  const { algorithm } = repo;
  const contentType = CONTENT_TYPE_OSTREE_COMMIT;
  const { objectRefs, content } = map;
  return storeStream(
    repo,
    await serializeSplitstream(
      { algorithm, contentType, streamSize: content.length, objectRefs, namedRefs, content: compressed },
      nodeZstd,
    ),
  );
}

/** Stores the bytes of a `.commitmeta` object. @throws LimitError as `serializeCommitMap` */
export const storeDetachedMetadata = (repo: Repository, bytes: Uint8Array, where: Where): Promise<ObjectId> =>
  storeInlineStream(repo, bytes, {
    contentType: CONTENT_TYPE_COMMITMETA,
    objectRefs: new Uint8Array(0),
    namedRefs: new Map(),
    where,
  });

/** The stored `.commitmeta` bytes of a commit, if there are any. */
export async function readDetachedMetadata(repo: Repository, commit: Checksum): Promise<Uint8Array | undefined> {
  const name = commitmetaStreamName(commit);
  const id = await repo.streams.resolve(name);
  if (id === undefined) return undefined;
  const where = { file: `streams/${name}` };
  const bytes = await repo.objects.read(id, { maxBytes: 2 * MAX_METADATA_BYTES });
  const stream = await parseSplitstream(bytes, {
    algorithm: repo.algorithm,
    contentType: CONTENT_TYPE_COMMITMETA,
    zstd: nodeZstd,
    where,
  });
  return readInlineContent(bytes, stream, { zstd: nodeZstd, where, maxBytes: MAX_METADATA_BYTES });
}

interface InlineStream {
  contentType: bigint;
  objectRefs: Uint8Array;
  namedRefs: ReadonlyMap<string, ObjectId>;
  isOwned?: boolean;
  where?: Where;
}

const serializeInlineStream = (algorithm: Algorithm, content: Uint8Array, stream: InlineStream): Promise<OwnedBytes> =>
  serializeSplitstream({ algorithm, streamSize: content.length, content, ...stream }, nodeZstd);

const storeInlineStream = async (repo: Repository, content: Uint8Array, stream: InlineStream): Promise<ObjectId> =>
  storeStream(repo, await serializeInlineStream(repo.algorithm, content, stream));
