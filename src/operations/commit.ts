/** Makes a new ostree commit of a directory or of a dumpfile's tree, with the id that `ostree commit` gives it. */

import { MissingObjectError, type Where } from '../errors.ts';
import { CommitMap } from '../formats/commit-map.ts';
import { CommitMapBuilder } from '../formats/commit-map-builder.ts';
import { type Checksum, checksumFromBytes, idToBytes, type ObjectId, objectIdFromBytes } from '../formats/ids.ts';
import { type Commit, serializeCommit } from '../formats/ostree/commit.ts';
import { serializeDirmeta } from '../formats/ostree/dirmeta.ts';
import { serializeDirtree } from '../formats/ostree/dirtree.ts';
import { glibDictionaryOrder } from '../formats/ostree/glib-dictionary.ts';
import { validateRefName } from '../formats/ostree/refs.ts';
import type { Directory } from '../formats/tree.ts';
import { nodeHashing } from '../native.ts';
import { type Progress, silentProgress } from '../progress.ts';
import { commitStreamName, ostreeRefPath } from '../store/ostree-refs.ts';
import { publish } from '../store/publish.ts';
import type { Repository } from '../store/repository.ts';
import { appendToSideIndex } from '../store/side-index.ts';
import { ContentCommitter } from './commit-contents.ts';
import { CommitObjects, findCommit } from './commit-reader.ts';
import { storeCommitMap } from './commit-stream.ts';
import { computeComposefsDigest } from './composefs-digest.ts';
import { findRef, resolveCommit } from './resolve-name.ts';
import {
  type CommitModifier,
  type DirectoryToCommit,
  type FileToCommit,
  scanDirectory,
  scanTree,
} from './scan-directory.ts';

export interface CommitOptions extends CommitModifier {
  branch: string;
  subject?: string;
  body?: string;
  /** A stored commit, or `none`; default: what the branch points to. */
  parent?: string;
  /** Seconds since the epoch; default: now. */
  timestampSeconds?: bigint;
  /** Text values added in this order. */
  metadata?: Array<[key: string, value: string]>;
  generateComposefsMetadata?: boolean;
  jobs?: number;
  signal?: AbortSignal;
  progress?: Progress;
}

export interface CommitResult {
  commit: Checksum;
  ref: string;
  parent?: Checksum;
  /** Distinct file objects, and the bytes of their content. */
  files: number;
  sizeBytes: number;
}

type MetadataValue = Commit['metadata'][number][1];

export async function commitTree(
  repo: Repository,
  input: { directory: string } | { tree: Directory },
  options: CommitOptions,
): Promise<CommitResult> {
  const { branch, signal } = options;
  validateRefName(branch, { field: '--branch' });
  await repo.requireWritable();
  const parent = await findParent(repo, options);
  const { root, files } =
    'directory' in input
      ? scanDirectory(input.directory, options)
      : scanTree(input.tree, options, (file) => {
          const { digest } = file as { digest?: ObjectId };
          if (digest === undefined)
            throw new MissingObjectError('the dumpfile does not say which object its content is');
          return repo.objects.path(digest);
        });

  const builder = new CommitMapBuilder(repo.algorithm);
  const contents = new ContentCommitter(repo, builder, options);
  await contents.addAll(files);
  const rootIds = addDirectories(builder, root, contents.checksums);
  const commit: Commit = {
    metadata: [
      ...(options.metadata ?? []).map(([key, value]): Commit['metadata'][number] => [key, { type: 's', value }]),
      ['ostree.ref-binding', { type: 'as', value: [branch] }],
    ],
    ...(parent === undefined ? {} : { parent }),
    subject: options.subject ?? '',
    body: options.body ?? '',
    timestampSeconds: options.timestampSeconds ?? BigInt(Math.floor(Date.now() / 1000)),
    ...rootIds,
  };
  if (options.generateComposefsMetadata) addComposefsMetadata(commit, repo, builder, contents.sha256Digests);
  const checksum = addObject(builder, serializeCommit(commit));

  signal?.throwIfAborted();
  await publishCommit(repo, builder, checksum, branch, contents.sha256Digests, options.progress ?? silentProgress);
  return {
    commit: checksum,
    ref: branch,
    ...(parent === undefined ? {} : { parent }),
    files: contents.files,
    sizeBytes: contents.sizeBytes,
  };
}

async function findParent(repo: Repository, { branch, parent }: CommitOptions): Promise<Checksum | undefined> {
  if (parent === 'none') return undefined;
  return parent === undefined ? findRef(repo, branch) : resolveCommit(repo, parent);
}

/** Children before parents, without recursion: depth is bounded by the scan, the call stack stays flat. */
function addDirectories(
  builder: CommitMapBuilder,
  root: DirectoryToCommit,
  checksums: ReadonlyMap<FileToCommit, Checksum>,
): { rootDirtree: Checksum; rootDirmeta: Checksum } {
  const order: DirectoryToCommit[] = [];
  const pending = [root];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    order.push(next);
    for (const { directory } of next.directories) pending.push(directory);
  }
  const done = new Map<DirectoryToCommit, { dirtree: Checksum; dirmeta: Checksum }>();
  for (const directory of order.reverse()) {
    const dirtree = serializeDirtree({
      files: directory.files.map(({ name, file }) => ({ name, checksum: checksums.get(file) as Checksum })),
      directories: directory.directories.map((child) => ({
        name: child.name,
        ...(done.get(child.directory) as { dirtree: Checksum; dirmeta: Checksum }),
      })),
    });
    done.set(directory, {
      dirtree: addObject(builder, dirtree),
      dirmeta: addObject(builder, serializeDirmeta(directory.meta)),
    });
  }
  const { dirtree, dirmeta } = done.get(root) as { dirtree: Checksum; dirmeta: Checksum };
  return { rootDirtree: dirtree, rootDirmeta: dirmeta };
}

function addObject(builder: CommitMapBuilder, bytes: Uint8Array): Checksum {
  const digest = nodeHashing.sha256(bytes);
  builder.add(digest, bytes);
  return checksumFromBytes(digest);
}

/** libostree keeps the digest in a dictionary, whose order the commit's id covers. */
function addComposefsMetadata(
  commit: Commit,
  repo: Repository,
  builder: CommitMapBuilder,
  sha256Digests: ReadonlyMap<Checksum, Uint8Array>,
): void {
  const where: Where = { object: 'the new commit' };
  // There is no commit object yet; the map only has to lead from the root downwards.
  const { content, objectRefs } = builder.build(idToBytes(commit.rootDirtree));
  const objects = new CommitObjects(CommitMap.parse(content, objectRefs, repo.algorithm, where), where);
  const digest = computeComposefsDigest(objects, commit, (checksum, object) => {
    if (repo.algorithm === 'sha256') return object;
    const known = sha256Digests.get(checksum);
    return known && objectIdFromBytes(known);
  }) as Uint8Array; // every file was hashed just now
  const metadata = new Map(commit.metadata).set('ostree.composefs.digest.v0', { type: 'ay', value: digest });
  commit.metadata = glibDictionaryOrder([...metadata.keys()]).map((key) => [key, metadata.get(key) as MetadataValue]);
}

async function publishCommit(
  repo: Repository,
  builder: CommitMapBuilder,
  checksum: Checksum,
  branch: string,
  digests: ReadonlyMap<Checksum, Uint8Array>,
  progress: Progress,
): Promise<void> {
  const name = commitStreamName(checksum);
  const built = builder.build(idToBytes(checksum));
  const stored = await findCommit(repo, checksum); // its named refs (images) must not be lost
  const streams = stored === undefined ? [{ name, id: await storeCommitMap(repo, built, 'complete') }] : [];
  await publish(repo, { streams, streamRefs: [{ ref: ostreeRefPath(branch), name }] });
  const map = CommitMap.parse(built.content, built.objectRefs, repo.algorithm);
  await appendToSideIndex(repo, {
    commit: checksum,
    map,
    sha256Digests: digests,
    warn: (message) => progress.warn(message),
  });
}
