/**
 * How ostree refs and commits are named in a composefs repository (composefs-rs 0.9, `composefs-ostree/src/lib.rs`), and the
 * names that we add (doc/formats/repository.md).
 */

import { type Checksum, isChecksum } from '../formats/ids.ts';
import type { LinkDirectory } from './links.ts';

/** First component of the ref path of every ostree ref. */
export const OSTREE_REFS = 'ostree';
/** First component of the ref paths that are ours. */
export const OWN_REFS = 'cfs-ostree';
export const COMMIT_STREAM_PREFIX = 'ostree-commit-';
export const PARTIAL_STREAM_PREFIX = 'cfs-ostree-partial-';
export const COMMITMETA_STREAM_PREFIX = 'cfs-ostree-commitmeta-';

/** One path component: `%` becomes `%25` first, then `/` becomes `%2F`; nothing else changes. */
export const encodeRefName = (ostreeRef: string): string => ostreeRef.replaceAll('%', '%25').replaceAll('/', '%2F');

/** Exact inverse of `encodeRefName`; other escapes stay as they are. */
export const decodeRefName = (component: string): string => component.replaceAll('%2F', '/').replaceAll('%25', '%');

/** Ref path below `streams/refs/` of an ostree ref. */
export const ostreeRefPath = (ostreeRef: string): string => `${OSTREE_REFS}/${encodeRefName(ostreeRef)}`;

/** The ostree ref that a ref path stands for; none for refs of other writers. */
export function ostreeRefOfPath(refPath: string): string | undefined {
  const prefix = `${OSTREE_REFS}/`;
  const component = refPath.slice(prefix.length);
  return refPath.startsWith(prefix) && component !== '' && !component.includes('/')
    ? decodeRefName(component)
    : undefined;
}

export const commitStreamName = (commit: Checksum): string => `${COMMIT_STREAM_PREFIX}${commit}`;
export const partialStreamName = (commit: Checksum): string => `${PARTIAL_STREAM_PREFIX}${commit}`;
export const commitmetaStreamName = (commit: Checksum): string => `${COMMITMETA_STREAM_PREFIX}${commit}`;
export const partialRefPath = (commit: Checksum): string => `${OWN_REFS}/partial/${commit}`;
export const commitmetaRefPath = (commit: Checksum): string => `${OWN_REFS}/commitmeta/${commit}`;

const STREAM_KINDS = [
  { prefix: COMMIT_STREAM_PREFIX, kind: 'commit' },
  { prefix: PARTIAL_STREAM_PREFIX, kind: 'partial' },
  { prefix: COMMITMETA_STREAM_PREFIX, kind: 'commitmeta' },
] as const;

export interface CommitStreamName {
  kind: (typeof STREAM_KINDS)[number]['kind'];
  commit: Checksum;
}

/** What the name of a stream says about it; none for streams of other kinds. */
export function parseStreamName(name: string): CommitStreamName | undefined {
  for (const { prefix, kind } of STREAM_KINDS) {
    const commit = name.slice(prefix.length);
    if (name.startsWith(prefix) && isChecksum(commit)) return { kind, commit };
  }
  return undefined;
}

/** Checksums of all stored commits, sorted. */
export async function listStoredCommits(streams: LinkDirectory): Promise<Checksum[]> {
  const commits: Checksum[] = [];
  for await (const { name } of streams.list()) {
    const parsed = parseStreamName(name);
    if (parsed?.kind === 'commit') commits.push(parsed.commit);
  }
  return commits.sort();
}
