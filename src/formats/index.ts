/** The pure codecs, for Node and browsers: bytes in, values out, nothing read or written. */

export { CfsError, DigestMismatchError, FormatError, LimitError, type Where } from '../errors.ts';
export {
  type ByteString,
  byteStringFromBytes,
  byteStringFromText,
  byteStringToBytes,
  byteStringToText,
} from './byte-string.ts';
export type { Hashing, ZstdCodec } from './codecs.ts';
export { CommitMap } from './commit-map.ts';
export { CommitMapBuilder } from './commit-map-builder.ts';
export { parseDumpfile, serializeDumpfile } from './dumpfile.ts';
export { ErofsImage, isErofsImage } from './erofs/reader.ts';
export { chooseErofsVersion, serializeErofs } from './erofs/writer.ts';
export { FsVerityHasher, fsVerityDigest } from './fs-verity.ts';
export { isNormalForm, parseType, parseVariant, serializeVariant } from './gvariant.ts';
export { portableHashing } from './hashing.ts';
export {
  type Algorithm,
  type Checksum,
  checksumFromBytes,
  fromHex,
  type ObjectId,
  objectIdFromBytes,
  parseChecksum,
  parseObjectId,
  toHex,
} from './ids.ts';
export {
  type Commit,
  commitMetadata,
  composefsDigest,
  parseCommit,
  refBindings,
  serializeCommit,
} from './ostree/commit.ts';
export { parseDetachedMetadata, serializeDetachedMetadata } from './ostree/detached-metadata.ts';
export { type Dirmeta, parseDirmeta, serializeDirmeta } from './ostree/dirmeta.ts';
export { type Dirtree, parseDirtree, serializeDirtree } from './ostree/dirtree.ts';
export {
  type FileHeader,
  isSymlink,
  parseArchiveHeader,
  serializeArchiveHeader,
  serializeContentHeader,
} from './ostree/file-header.ts';
export { parseRepoConfig } from './ostree/repo-config.ts';
export { parseRepositoryMeta, serializeRepositoryMeta } from './repository-meta.ts';
export {
  CONTENT_TYPE_OSTREE_COMMIT,
  chunks,
  parseSplitstream,
  readInlineContent,
  type Splitstream,
  serializeSplitstream,
} from './splitstream.ts';
export type * from './tree.ts';
export { portableZstd } from './zstd.ts';
