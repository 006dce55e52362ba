/** Builds the EROFS image of a stored commit or of a dumpfile, and keeps it alive from the commit's stream. */

import { FormatError, MissingObjectError, UntrustedError } from '../errors.ts';
import { NO_OBJECT } from '../formats/commit-map.ts';
import { ErofsImage } from '../formats/erofs/reader.ts';
import { chooseErofsVersion, serializeErofs, serializeInodes } from '../formats/erofs/writer.ts';
import { type Algorithm, type Checksum, type ObjectId, objectIdFromBytes } from '../formats/ids.ts';
import type { Directory } from '../formats/tree.ts';
import { nodeHashing } from '../native.ts';
import { type Progress, silentProgress } from '../progress.ts';
import { commitStreamName } from '../store/ostree-refs.ts';
import { publish } from '../store/publish.ts';
import type { Repository } from '../store/repository.ts';
import { inodesOfCommit } from './commit-inodes.ts';
import { openCommit, type StoredCommit } from './commit-reader.ts';
import { imageRefName, storeWithNamedRefs } from './commit-stream.ts';
import { verifyComposefsDigest } from './composefs-digest.ts';
import { requireHeapFor } from './tree-memory.ts';
import { measureTree } from './tree-shape.ts';

export type ErofsVersion = 0 | 1 | 2;

export interface CreateImageOptions {
  /** Default: the repository's; `auto`: the lowest of 0 and 1 that fits, as mkcomposefs chooses. */
  erofsVersion?: ErofsVersion | 'auto';
  /** A name under `images/refs/`. */
  name?: string;
  /** Recompute `ostree.composefs.digest.v0` and refuse a commit that has none or another. */
  requireDigest?: boolean;
  /** Build and describe the image, store nothing. */
  dryRun?: boolean;
  signal?: AbortSignal;
  progress?: Progress;
}

export interface ImageReport {
  commit?: Checksum;
  image: ObjectId;
  erofsVersion: ErofsVersion;
  sizeBytes: number;
  /** Inodes and names: every path of the tree once. */
  entries: number;
  name?: string;
  digest?: 'match' | 'absent';
}

export interface BuiltImage extends ImageReport {
  bytes: Uint8Array;
}

/** @returns the report; with `bytes`, for `--output` */
export async function createImage(
  repo: Repository,
  { commit: checksum }: { commit: Checksum },
  options: CreateImageOptions = {},
): Promise<BuiltImage> {
  const progress = options.progress ?? silentProgress;
  if (!options.dryRun) await repo.requireWritable();
  const commit = await openCommit(repo, checksum);
  const objectSizes = repo.objects.sizesOf(commit.map.objectRefs); // on other threads, beside the walk
  objectSizes.catch(() => {});
  const shape = measureTree(commit);
  requireHeapFor(shape, commit.where);
  const { paths } = shape;
  progress.update({ phase: 'image', done: 0, total: paths });
  checkObjectSizes(commit, await objectSizes);
  options.signal?.throwIfAborted();
  const digest = options.requireDigest ? await requireDigest(repo, commit, options.signal) : undefined;
  const version = options.erofsVersion ?? repo.erofs.default;
  const erofsVersion = version === 'auto' ? 0 : version; // commits have no whiteouts
  const inodes = inodesOfCommit(commit, shape, { version: erofsVersion, algorithm: repo.algorithm });
  const built = describeImage(serializeInodes(inodes, erofsVersion), erofsVersion, repo.algorithm, paths);
  progress.update({ phase: 'image', done: paths, total: paths });
  options.signal?.throwIfAborted();
  if (!options.dryRun) await publishImage(repo, commit, built, options.name);
  return {
    commit: checksum,
    ...built,
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** An image from a tree that somebody wrote down. Where it is stored, everything that it refers to must be stored too. */
export async function createImageFromTree(
  root: Directory,
  target: { repo: Repository } | { algorithm: Algorithm },
  options: CreateImageOptions = {},
): Promise<BuiltImage> {
  const repo = 'repo' in target ? target.repo : undefined;
  const algorithm = 'repo' in target ? target.repo.algorithm : target.algorithm;
  const built = buildImage(root, chooseVersion(root, options.erofsVersion ?? repo?.erofs.default ?? 1), algorithm);
  if (repo !== undefined && !options.dryRun) {
    await repo.requireWritable();
    for (const object of ErofsImage.open(built.bytes, {}).objects(algorithm))
      if (!(await repo.objects.has(object)))
        throw new MissingObjectError(
          'the dumpfile names an object that is not in the repository; use --output to write the image to a file',
          {
            object,
          },
        );
    await repo.objects.store(built.bytes, built.image);
    await publish(repo, {
      images: [built.image],
      imageRefs: options.name === undefined ? [] : [{ ref: options.name, name: built.image }],
    });
  }
  return { ...built, ...(options.name === undefined ? {} : { name: options.name }) };
}

export function chooseVersion(root: Directory, version: ErofsVersion | 'auto'): ErofsVersion {
  return version === 'auto' ? chooseErofsVersion(root) : version;
}

function buildImage(root: Directory, erofsVersion: ErofsVersion, algorithm: Algorithm): Omit<BuiltImage, 'commit'> {
  const bytes = serializeErofs(root, { version: erofsVersion, algorithm });
  return describeImage(bytes, erofsVersion, algorithm, countEntries(root));
}

function describeImage(
  bytes: Uint8Array,
  erofsVersion: ErofsVersion,
  algorithm: Algorithm,
  entries: number,
): Omit<BuiltImage, 'commit'> {
  const image = objectIdFromBytes(nodeHashing.fsVerity(algorithm, bytes));
  return { image, erofsVersion, sizeBytes: bytes.length, entries, bytes };
}

function countEntries(root: Directory): number {
  let entries = 1;
  const pending = [root];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    entries += directory.entries.size;
    for (const child of directory.entries.values()) if (child.kind === 'directory') pending.push(child);
  }
  return entries;
}

/** Image object and, where it is not named there yet, the commit's stream again with the image as named ref; one barrier. */
async function publishImage(
  repo: Repository,
  commit: StoredCommit,
  { image, erofsVersion, bytes }: Omit<BuiltImage, 'commit'>,
  name: string | undefined,
): Promise<void> {
  await repo.objects.store(bytes, image);
  const ref = imageRefName(erofsVersion, repo.erofs.default);
  const streams: Array<{ name: string; id: ObjectId }> = [];
  if (commit.namedRefs.get(ref) !== image) {
    const namedRefs = new Map(commit.namedRefs).set(ref, image);
    streams.push({ name: commitStreamName(commit.checksum), id: await storeWithNamedRefs(repo, commit, namedRefs) });
  }
  await publish(repo, { images: [image], streams, imageRefs: name === undefined ? [] : [{ ref: name, name: image }] });
}

/**
 * The header's size is covered by no checksum; an object of another size would make files that end early or in zeros.
 * @param sizes of the map's objects, as `ObjectStore.sizesOf` says
 */
function checkObjectSizes(commit: StoredCommit, sizes: Float64Array): void {
  const { map } = commit;
  for (let i = 0; i < map.count; i++) {
    const number = map.objectNumberAt(i);
    if (number === NO_OBJECT) continue;
    const { sizeBytes } = commit.fileAt(i);
    if (sizes[number] === sizeBytes) continue;
    const object = map.externalAt(i);
    const where = commit.whereOf(i, 'file');
    if (sizes[number] < 0) throw new MissingObjectError(`its content, object ${object}, is missing`, where);
    throw new FormatError(`header says ${sizeBytes} bytes, object ${object} has ${sizes[number]}`, {
      ...where,
      field: 'size',
    });
  }
}

async function requireDigest(
  repo: Repository,
  commit: StoredCommit,
  signal: AbortSignal | undefined,
): Promise<'match'> {
  const { contentDigests } = await import('./content-digests.ts');
  const digests = repo.algorithm === 'sha256' ? undefined : await contentDigests(repo, commit, signal);
  const verdict = verifyComposefsDigest(commit, (checksum, object) => digests?.get(checksum) ?? object);
  if (verdict === 'match') return verdict;
  throw new UntrustedError('the commit carries no composefs digest, and one is required', {
    ...commit.where,
    object: `${commit.checksum}.commit`,
    field: 'ostree.composefs.digest.v0',
  });
}
