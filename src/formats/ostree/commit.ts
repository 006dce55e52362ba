/** Commit `(a{sv}aya(say)sstayay)`. Format: doc/formats/ostree-objects.md. */

import { FormatError, LimitError, type Where } from '../../errors.ts';
import { lookUp, parseType, parseVariant, serializeVariant, type VariantDictionary } from '../gvariant.ts';
import { CHECKSUM_BYTES, type Checksum, checksumFromBytes, idToBytes } from '../ids.ts';
import { MAX_METADATA_BYTES } from './limits.ts';

export interface Commit {
  /** In stored order, numbers read as little-endian; the first of equal keys counts. */
  metadata: VariantDictionary;
  parent?: Checksum;
  subject: string;
  body: string;
  /** Seconds since the epoch, unsigned 64 bits. */
  timestampSeconds: bigint;
  rootDirtree: Checksum;
  rootDirmeta: Checksum;
}

const COMMIT_TYPE = parseType('(a{sv}aya(say)sstayay)');
const MEMBERS = ['metadata', 'parent', 'related', 'subject', 'body', 'timestamp', 'root dirtree', 'root dirmeta'];
type CommitTuple = [VariantDictionary, Uint8Array, [], string, string, bigint, Uint8Array, Uint8Array];

/**
 * Related objects are accepted and dropped: nothing reads them, and writers leave them empty.
 * @throws FormatError unless the bytes are a commit in normal form, with checksums of 32 bytes and no empty metadata key; LimitError
 */
export function parseCommit(bytes: Uint8Array, where: Where = {}): Commit {
  const at = { ...where, format: 'commit' };
  if (bytes.length > MAX_METADATA_BYTES) throw new LimitError(`larger than ${MAX_METADATA_BYTES} bytes`, at);
  const tuple = parseVariant(COMMIT_TYPE, bytes, { where: at, memberNames: MEMBERS }) as CommitTuple;
  const [metadata, parent, , subject, body, timestamp, dirtree, dirmeta] = tuple;
  if (metadata.some(([key]) => key === '')) throw new FormatError('empty key', { ...at, field: 'metadata', offset: 0 });
  const checksum = (digest: Uint8Array, field: string): Checksum => {
    if (digest.length !== CHECKSUM_BYTES)
      throw new FormatError(`checksum of ${digest.length} bytes`, {
        ...at,
        field,
        offset: digest.byteOffset - bytes.byteOffset,
      });
    return checksumFromBytes(digest);
  };
  return {
    metadata,
    ...(parent.length > 0 && { parent: checksum(parent, 'parent') }),
    subject,
    body,
    timestampSeconds: swap64(timestamp),
    rootDirtree: checksum(dirtree, 'root dirtree'),
    rootDirmeta: checksum(dirmeta, 'root dirmeta'),
  };
}

/** @throws TypeError when a metadata value is not of its type */
export function serializeCommit(commit: Commit): Uint8Array {
  const tuple: CommitTuple = [
    commit.metadata,
    commit.parent === undefined ? new Uint8Array(0) : idToBytes(commit.parent),
    [],
    commit.subject,
    commit.body,
    swap64(commit.timestampSeconds),
    idToBytes(commit.rootDirtree),
    idToBytes(commit.rootDirmeta),
  ];
  return serializeVariant(COMMIT_TYPE, tuple);
}

/** The timestamp is big-endian among little-endian numbers. */
function swap64(value: bigint): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, value, true);
  return view.getBigUint64(0, false);
}

export const commitMetadata = (commit: Commit, key: string): VariantDictionary[0][1] | undefined =>
  lookUp(commit.metadata, key);

/** Refs that the commit may be served under; undefined: it does not say, or not as a list of strings. */
export function refBindings(commit: Commit): string[] | undefined {
  const binding = commitMetadata(commit, 'ostree.ref-binding');
  return binding?.type === 'as' ? (binding.value as string[]) : undefined;
}

/** Collection that the commit belongs to; undefined: it does not say, or not as a string. */
export function collectionBinding(commit: Commit): string | undefined {
  const binding = commitMetadata(commit, 'ostree.collection-binding');
  return binding?.type === 's' ? (binding.value as string) : undefined;
}

export const COMPOSEFS_DIGEST_KEY = 'ostree.composefs.digest.v0';

/**
 * fs-verity digest (sha256, 32 bytes) that the commit states for its composefs image.
 * @throws FormatError when it states one in another form: a promise that nobody could check
 */
export function composefsDigest(commit: Commit, where: Where = {}): Uint8Array | undefined {
  const stated = commitMetadata(commit, COMPOSEFS_DIGEST_KEY);
  if (stated === undefined) return undefined;
  if (stated.type !== 'ay' || !(stated.value instanceof Uint8Array) || stated.value.length !== 32)
    throw new FormatError('is no digest of 32 bytes', { ...where, format: 'commit', field: COMPOSEFS_DIGEST_KEY });
  return stated.value;
}
