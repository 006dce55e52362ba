/** The part of a check that reads every image: its layout, and the objects that its files are. */

import { problemText } from '../errors.ts';
import { byteStringToText } from '../formats/byte-string.ts';
import { MAX_IMAGE_BYTES } from '../formats/erofs/limits.ts';
import { ErofsImage } from '../formats/erofs/reader.ts';
import type { ObjectId } from '../formats/ids.ts';
import type { Directory } from '../formats/tree.ts';
import type { Repository } from '../store/repository.ts';
import type { Findings } from './fsck-findings.ts';
import type { LinkedObjects } from './fsck-links.ts';
import type { ObjectsCheck } from './fsck-objects.ts';

/**
 * @param linked what lies under `images/`
 * @param named images that streams name, with the subjects that do
 */
export async function checkImages(
  repo: Repository,
  objects: ObjectsCheck,
  findings: Findings,
  linked: LinkedObjects,
  named: Map<ObjectId, string[]>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const subjects = new Map<ObjectId, string[]>();
  for (const [id, names] of linked)
    subjects.set(
      id,
      names.map((name) => `images/${name}`),
    );
  for (const [id, streams] of named) {
    const subject = `images/${id}`;
    for (const stream of streams) findings.inheritRefs(subject, stream);
    if (!linked.get(id)?.includes(id)) {
      findings.warn(
        'missing-image-link',
        subject,
        `${streams[0]} names this image, and there is no link to mount it by`,
      );
      subjects.set(id, [...(subjects.get(id) ?? []), subject]);
    }
  }
  for (const [id, where] of subjects) {
    signal?.throwIfAborted();
    await checkImage(repo, objects, findings, id, where);
  }
}

async function checkImage(
  repo: Repository,
  objects: ObjectsCheck,
  findings: Findings,
  id: ObjectId,
  subjects: string[],
): Promise<void> {
  const report = (kind: Parameters<Findings['error']>[0], detail: string): void => {
    for (const subject of subjects) findings.error(kind, subject, detail);
  };
  let bytes: Uint8Array;
  try {
    bytes = await objects.read(id, MAX_IMAGE_BYTES);
  } catch (error) {
    report('image-open-failed', problemText(error));
    return;
  }
  let root: Directory;
  try {
    const image = ErofsImage.open(bytes, {});
    for (const object of image.objects(repo.algorithm))
      if (!objects.exists(object)) report('image-missing-object', `object ${object} is missing`);
    root = image.readTree();
  } catch (error) {
    report('image-invalid', problemText(error));
    return;
  }
  for (const { path, object, sizeBytes } of externalFiles(root)) {
    if (!objects.exists(object)) continue;
    const actual = repo.objects.sizeOfSync(object);
    if (actual !== sizeBytes)
      report('image-size-mismatch', `${path} has ${sizeBytes} bytes, its object ${object} has ${actual}`);
  }
}

function* externalFiles(root: Directory): Generator<{ path: string; object: ObjectId; sizeBytes: number }> {
  const pending = [{ path: '', directory: root }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const [name, inode] of next.directory.entries) {
      const path = `${next.path}/${byteStringToText(name)}`;
      if (inode.kind === 'directory') pending.push({ path, directory: inode });
      else if (inode.kind === 'external' && inode.digest !== undefined)
        yield { path, object: inode.digest, sizeBytes: inode.sizeBytes };
    }
  }
}
