/** What images there are, and what an image needs. */

import type { ByteString } from '../formats/byte-string.ts';
import { MAX_IMAGE_BYTES } from '../formats/erofs/limits.ts';
import { ErofsImage } from '../formats/erofs/reader.ts';
import type { Algorithm, Checksum, ObjectId } from '../formats/ids.ts';
import { isObjectId } from '../formats/ids.ts';
import type { Directory } from '../formats/tree.ts';
import { listStoredCommits } from '../store/ostree-refs.ts';
import type { Repository } from '../store/repository.ts';
import { findCommit } from './commit-reader.ts';
import { IMAGE_REF } from './commit-stream.ts';
import type { ErofsVersion } from './create-image.ts';

import type { Tree } from './resolve-tree.ts';
import { walkTree } from './tree-path.ts';

export interface ListedImage {
  image: ObjectId;
  /** Below `images/refs/`, sorted. */
  names: string[];
  sizeBytes: number;
  erofsVersion: ErofsVersion;
  /** Whose stream keeps it alive. */
  commit?: Checksum;
}

/** Sorted by id. @throws FormatError, DigestMismatchError for a damaged image or commit stream */
export async function* listImages(repo: Repository): AsyncGenerator<ListedImage> {
  const names = await namesOfImages(repo);
  const commits = await commitsOfImages(repo);
  for await (const { name } of repo.images.list()) {
    if (!isObjectId(name, repo.algorithm)) continue; // fsck tells of it
    const bytes = await repo.objects.read(name, { maxBytes: MAX_IMAGE_BYTES });
    const { version } = ErofsImage.open(bytes, { file: `images/${name}` });
    const commit = commits.get(name);
    yield {
      image: name,
      names: (names.get(name) ?? []).sort(),
      sizeBytes: bytes.length,
      erofsVersion: version,
      ...(commit === undefined ? {} : { commit }),
    };
  }
}

async function namesOfImages(repo: Repository): Promise<Map<string, string[]>> {
  const names = new Map<string, string[]>();
  for await (const { ref, target } of repo.images.listRefs()) names.set(target, [...(names.get(target) ?? []), ref]);
  return names;
}

async function commitsOfImages(repo: Repository): Promise<Map<ObjectId, Checksum>> {
  const commits = new Map<ObjectId, Checksum>();
  for (const checksum of await listStoredCommits(repo.streams)) {
    const stored = await findCommit(repo, checksum);
    for (const [ref, id] of stored?.namedRefs ?? []) if (ref.startsWith(IMAGE_REF)) commits.set(id, checksum);
  }
  return commits;
}

/** Ids of the objects that hold a tree's file content, sorted, each once. */
export function listTreeObjects(tree: Tree): ObjectId[] {
  const objects = new Set<ObjectId>();
  for (const { inode } of walkTree({ path: '/' as ByteString, inode: tree.root }))
    if (inode.kind === 'external' && inode.digest !== undefined) objects.add(inode.digest);
  return [...objects].sort();
}

/** Told from the length of the first digest in a tree; none where nothing has a digest. */
export function algorithmOfTree(root: Directory): Algorithm | undefined {
  for (const { inode } of walkTree({ path: '/' as ByteString, inode: root }))
    if (inode.kind === 'external' && inode.digest !== undefined)
      return inode.digest.length === 64 ? 'sha256' : 'sha512';
  return undefined;
}
