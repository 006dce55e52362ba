/** `show` and `log`: one commit, and its history as far as it is stored. */

import { NotFoundError } from '../errors.ts';
import { type Checksum, inlineContentMax, type ObjectId, toHex } from '../formats/ids.ts';
import { type Commit, commitMetadata } from '../formats/ostree/commit.ts';
import { parseDetachedMetadata } from '../formats/ostree/detached-metadata.ts';
import type { Repository } from '../store/repository.ts';
import { findCommit, openCommit } from './commit-reader.ts';
import { IMAGE_REF, readDetachedMetadata } from './commit-stream.ts';
import { isoTime } from './list-tree.ts';
import { resolveCommit } from './resolve-name.ts';

export interface LogEntry {
  commit: Checksum;
  parent?: Checksum;
  timestamp: string;
  subject: string;
  body?: string;
  version?: string;
  stored: boolean;
}

export interface CommitReport {
  commit: Checksum;
  parent?: Checksum;
  timestamp: string;
  subject: string;
  body?: string;
  rootDirtree: Checksum;
  rootDirmeta: Checksum;
  metadata: Record<string, unknown>;
  detachedMetadata?: Record<string, unknown>;
  stream: string;
  streamId: ObjectId;
  images: ObjectId[];
  files: number;
  sizeBytes: number;
}

/** From `name` back through its parents. The last entry is the first parent that is not stored, if there is one. */
export async function* history(repo: Repository, name: string): AsyncGenerator<LogEntry> {
  let next: Checksum | undefined = await resolveCommit(repo, name);
  let isFirst = true;
  while (next !== undefined) {
    const stored = await findCommit(repo, next);
    if (stored === undefined) {
      if (isFirst) throw new NotFoundError('this commit is not stored here', { object: `${next}.commit` });
      yield { commit: next, timestamp: '', subject: '', stored: false };
      return;
    }
    isFirst = false;
    const commit = stored.commit();
    const version = commitMetadata(commit, 'version');
    yield {
      commit: next,
      ...headOf(commit),
      ...(typeof version?.value === 'string' ? { version: version.value } : {}),
      stored: true,
    };
    next = commit.parent; // a commit's checksum covers its parent's: no cycles
  }
}

export async function showCommit(repo: Repository, name: string): Promise<CommitReport> {
  const checksum = await resolveCommit(repo, name);
  const stored = await openCommit(repo, checksum);
  const commit = stored.commit();
  const detached = await readDetachedMetadata(repo, checksum);
  let files = 0;
  let sizeBytes = 0;
  for (const file of distinctFiles(stored)) {
    files++;
    sizeBytes += file;
  }
  return {
    commit: checksum,
    ...headOf(commit),
    rootDirtree: commit.rootDirtree,
    rootDirmeta: commit.rootDirmeta,
    metadata: readable(commit.metadata),
    ...(detached === undefined
      ? {}
      : { detachedMetadata: readable(parseDetachedMetadata(detached, { object: `${checksum}.commitmeta` })) }),
    stream: stored.stream,
    streamId: stored.streamId,
    images: [...stored.namedRefs].filter(([ref]) => ref.startsWith(IMAGE_REF)).map(([, id]) => id),
    files,
    sizeBytes,
  };
}

function headOf(commit: Commit): { parent?: Checksum; timestamp: string; subject: string; body?: string } {
  return {
    ...(commit.parent === undefined ? {} : { parent: commit.parent }),
    timestamp: isoTime(commit.timestampSeconds),
    subject: commit.subject,
    ...(commit.body === '' ? {} : { body: commit.body }),
  };
}

/** Sizes of the distinct file objects that the tree names. */
function* distinctFiles(stored: Awaited<ReturnType<typeof openCommit>>): Generator<number> {
  const seen = new Set<Checksum>();
  const seenTrees = new Set<Checksum>();
  const pending = [stored.commit().rootDirtree];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seenTrees.has(next)) continue;
    seenTrees.add(next);
    const { files, directories } = stored.dirtree(next);
    for (const { checksum } of files) {
      if (seen.has(checksum)) continue;
      seen.add(checksum);
      yield stored.file(checksum).sizeBytes;
    }
    for (const { dirtree } of directories) pending.push(dirtree);
  }
}

/** Longest byte value that is shown in full, in bytes. */
const MAX_SHOWN_BYTES = inlineContentMax('sha512');

/** GVariant values as JSON can hold them: bytes as hex, 64-bit numbers as numbers where exact, else as strings. */
function readable(metadata: Array<[string, { type: string; value: unknown }]>): Record<string, unknown> {
  return Object.fromEntries(metadata.map(([key, { value }]) => [key, jsonValue(value)]));
}

function jsonValue(value: unknown): unknown {
  if (value instanceof Uint8Array)
    return value.length <= MAX_SHOWN_BYTES
      ? toHex(value)
      : `${toHex(value.subarray(0, MAX_SHOWN_BYTES))}… (${value.length} bytes)`;
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value.toString();
  }
  if (Array.isArray(value)) return value.map(jsonValue);
  if (value !== null && typeof value === 'object' && 'value' in value) return jsonValue(value.value);
  return value;
}
