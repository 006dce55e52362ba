/** The part of a check that reads every image: its layout, and the objects that its files are. */

import { problemText } from '../errors.ts';
import { byteStringToText } from '../formats/byte-string.ts';
import { otherObject } from '../formats/erofs/body-reader.ts';
import { ErofsImage, type ImageFile } from '../formats/erofs/reader.ts';
import { digestBytes, type ObjectId, objectIdFromBytes } from '../formats/ids.ts';
import { FilePages } from '../store/file-pages.ts';
import { NO_SIZE } from '../store/objects.ts';
import type { Repository } from '../store/repository.ts';
import type { FindingKind, Findings } from './fsck-findings.ts';
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
  const report = (kind: FindingKind, detail: string): void => {
    for (const subject of subjects) findings.error(kind, subject, detail);
  };
  let opened: Awaited<ReturnType<ObjectsCheck['open']>>;
  try {
    opened = await objects.open(id);
  } catch (error) {
    report('image-open-failed', problemText(error));
    return;
  }
  await using handle = opened.handle;
  const check = new ImageCheck(repo, objects, report);
  try {
    const image = ErofsImage.open(new FilePages(handle.fd, opened.sizeBytes, {}), {});
    for (const file of image.files()) {
      check.add(file);
      if (check.isFull) await check.compareSizes();
    }
  } catch (error) {
    report('image-invalid', problemText(error));
  }
  await check.finish();
}

/** The files of one image, some of them at a time. */
class ImageCheck {
  readonly #repo: Repository;
  readonly #objects: ObjectsCheck;
  readonly #report: (kind: FindingKind, detail: string) => void;
  readonly #missing = new Set<ObjectId>();
  readonly #idBytes: number;
  readonly #ids: Uint8Array;
  #waiting: ImageFile[] = [];

  constructor(repo: Repository, objects: ObjectsCheck, report: (kind: FindingKind, detail: string) => void) {
    this.#repo = repo;
    this.#objects = objects;
    this.#report = report;
    this.#idBytes = digestBytes(repo.algorithm);
    this.#ids = new Uint8Array(FILES_AT_ONCE * this.#idBytes);
  }

  get isFull(): boolean {
    return this.#waiting.length === FILES_AT_ONCE;
  }

  add(file: ImageFile): void {
    const { digest } = file.body;
    const other = otherObject(file.body, this.#repo.algorithm);
    if (other !== undefined && !this.#objects.existsAt(other, 0)) this.#missing.add(objectIdFromBytes(other));
    if (digest?.length !== this.#idBytes) return;
    this.#ids.set(digest, this.#waiting.length * this.#idBytes);
    this.#waiting.push(file);
  }

  async compareSizes(): Promise<void> {
    const files = this.#waiting;
    this.#waiting = [];
    const sizes = await this.#repo.objects.sizesOf(this.#ids.subarray(0, files.length * this.#idBytes));
    for (const [i, { directory, name, sizeBytes }] of files.entries()) {
      if (sizes[i] === sizeBytes) continue;
      const object = objectIdFromBytes(this.#ids.subarray(i * this.#idBytes, (i + 1) * this.#idBytes));
      if (sizes[i] === NO_SIZE) {
        this.#missing.add(object);
        continue;
      }
      const path = `${directory}/${byteStringToText(name)}`;
      this.#report('image-size-mismatch', `${path} has ${sizeBytes} bytes, its object ${object} has ${sizes[i]}`);
    }
  }

  async finish(): Promise<void> {
    await this.compareSizes();
    for (const object of [...this.#missing].sort()) this.#report('image-missing-object', `object ${object} is missing`);
  }
}
