/** TREE arguments: a ref, a commit, an image id or ref, or `file:PATH` of an image or dumpfile. */

import { open } from 'node:fs/promises';
import { LimitError, NotFoundError, SourceError, type Where } from '../errors.ts';
import { parseDumpfile } from '../formats/dumpfile.ts';
import { MAX_IMAGE_BYTES } from '../formats/erofs/limits.ts';
import { ErofsImage, isErofsImage } from '../formats/erofs/reader.ts';
import { type Checksum, isObjectId, type ObjectId } from '../formats/ids.ts';
import type { Directory } from '../formats/tree.ts';
import type { Repository } from '../store/repository.ts';
import { openCommit, type StoredCommit } from './commit-reader.ts';
import { treeOfCommit } from './commit-tree.ts';
import { resolveCommit } from './resolve-name.ts';
import { requireHeapFor } from './tree-memory.ts';
import { measureTree } from './tree-shape.ts';

export const FILE_PREFIX = 'file:';

export type Tree =
  | { kind: 'commit'; commit: Checksum; stored: StoredCommit; root: Directory }
  | { kind: 'image'; image: ObjectId; bytes: Uint8Array; erofs: ErofsImage; root: Directory }
  | { kind: 'file'; path: string; erofs?: ErofsImage; root: Directory };

/** Whether a TREE can be read without a repository. */
export const isFileTree = (name: string): boolean => name.startsWith(FILE_PREFIX);

/**
 * @param repo opened lazily: `file:` needs none
 * @throws NotFoundError when nothing of that name is there
 */
export async function openTree(repo: () => Promise<Repository>, name: string): Promise<Tree> {
  if (isFileTree(name)) return openFileTree(name.slice(FILE_PREFIX.length));
  const repository = await repo();
  const image = await findImage(repository, name);
  if (image !== undefined) {
    const where: Where = { file: `images/${image}` };
    const bytes = await repository.objects.read(image, { maxBytes: MAX_IMAGE_BYTES });
    const erofs = ErofsImage.open(bytes, where);
    return { kind: 'image', image, bytes, erofs, root: erofs.readTree() };
  }
  const commit = await resolveCommit(repository, name);
  const stored = await openCommit(repository, commit);
  requireHeapFor(measureTree(stored), stored.where);
  return { kind: 'commit', commit, stored, root: treeOfCommit(stored) };
}

/** An image by its id, or by a name under `images/refs/`. A commit's ref of the same name does not hide it: ids and refs differ in form. */
export async function findImage(repo: Repository, name: string): Promise<ObjectId | undefined> {
  if (isObjectId(name, repo.algorithm) && (await repo.images.resolve(name)) !== undefined) return name;
  if (name === '' || name.endsWith('^')) return undefined;
  const target = await repo.images.resolveRef(name);
  return target !== undefined && isObjectId(target, repo.algorithm) ? target : undefined;
}

async function openFileTree(path: string): Promise<Tree> {
  const where: Where = { file: path };
  const bytes = await readWhole(path, where);
  if (!isErofsImage(bytes)) return { kind: 'file', path, root: parseDumpfile(bytes, where) };
  const erofs = ErofsImage.open(bytes, where);
  return { kind: 'file', path, erofs, root: erofs.readTree() };
}

/** @throws NotFoundError, SourceError; LimitError above MAX_IMAGE_BYTES */
export async function readWhole(path: string, where: Where): Promise<Uint8Array> {
  try {
    await using file = await open(path, 'r');
    const stat = await file.stat();
    if (!stat.isFile()) throw new SourceError('is no regular file', where);
    if (stat.size > MAX_IMAGE_BYTES) throw new LimitError(`is larger than ${MAX_IMAGE_BYTES} bytes`, where);
    return await file.readFile();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new NotFoundError('there is no such file', where, { cause: error });
    if (code === 'EACCES' || code === 'EISDIR') throw new SourceError('cannot be read', where, { cause: error });
    throw error;
  }
}
