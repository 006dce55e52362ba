/** The part of a check that reads every image: its layout, and the objects that its files are. */

import { problemText } from '../errors.ts';
import { type ByteString, byteStringToText } from '../formats/byte-string.ts';
import { MAX_IMAGE_BYTES } from '../formats/erofs/limits.ts';
import { objectOfPath } from '../formats/erofs/overlay.ts';
import { ErofsImage } from '../formats/erofs/reader.ts';
import { idToBytes, isIdOf, type ObjectId } from '../formats/ids.ts';
import { joined } from '../formats/owned-bytes.ts';
import type { Directory, ExternalFile } from '../formats/tree.ts';
import { NO_SIZE } from '../store/objects.ts';
import type { Repository } from '../store/repository.ts';
import type { Findings } from './fsck-findings.ts';
import type { LinkedObjects } from './fsck-links.ts';
import type { ObjectsCheck } from './fsck-objects.ts';

/** Files whose objects are looked for together. */
const FILES_AT_ONCE = 4096;

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
    root = ErofsImage.open(bytes, {}).readTree();
  } catch (error) {
    report('image-invalid', problemText(error));
    return;
  }
  const missing = new Set<ObjectId>();
  let waiting: FileOfImage[] = [];
  const compareSizes = async (): Promise<void> => {
    const sizes = await repo.objects.sizesOf(joined(waiting.map(({ object }) => idToBytes(object))));
    waiting.forEach(({ directory, name, object, sizeBytes }, i) => {
      if (sizes[i] === sizeBytes) return;
      if (sizes[i] === NO_SIZE) {
        missing.add(object); // gone since it was looked for
        return;
      }
      const path = `${directory}/${byteStringToText(name)}`;
      report('image-size-mismatch', `${path} has ${sizeBytes} bytes, its object ${object} has ${sizes[i]}`);
    });
    waiting = [];
  };
  for (const { file, ...place } of externalFiles(root)) {
    const { digest, payload, sizeBytes } = file;
    const named = payload === undefined ? undefined : objectOfPath(payload, repo.algorithm);
    for (const object of [digest, named])
      if (object !== undefined && isIdOf(repo.algorithm, object) && !objects.exists(object)) missing.add(object);
    if (digest === undefined || !isIdOf(repo.algorithm, digest) || missing.has(digest)) continue;
    if (waiting.push({ ...place, object: digest, sizeBytes }) >= FILES_AT_ONCE) await compareSizes();
  }
  await compareSizes();
  for (const object of [...missing].sort()) report('image-missing-object', `object ${object} is missing`);
}

interface FileOfImage {
  /** Path of its directory. */
  directory: string;
  name: ByteString;
  object: ObjectId;
  sizeBytes: number;
}

function* externalFiles(root: Directory): Generator<{ directory: string; name: ByteString; file: ExternalFile }> {
  const pending = [{ path: '', directory: root }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const [name, inode] of next.directory.entries) {
      if (inode.kind === 'directory')
        pending.push({ path: `${next.path}/${byteStringToText(name)}`, directory: inode });
      else if (inode.kind === 'external') yield { directory: next.path, name, file: inode };
    }
  }
}
