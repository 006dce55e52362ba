/** Objects of a commit on their way into an ostree repository, in batches that the addon's threads hash, compress, write and name. */

import { type FileHandle, open } from 'node:fs/promises';
import { type Algorithm, CHECKSUM_BYTES, digestBytes, idToBytes } from '../formats/ids.ts';
import { joined } from '../formats/owned-bytes.ts';
import { type NativeAddon, type StagedContents, type StagedNames, type StagingPlace, systemError } from '../native.ts';
import type { StoredCommit } from './commit-reader.ts';
import { type ExportedObject, STAGED_KINDS, stagedName } from './exported-object.ts';
import type { ExportMode } from './ostree-file-stager.ts';

/** Objects that get their names in one call. */
const PUBLISHED_TOGETHER = 1024;

export interface StagingDirectories {
  /** `objects` of our repository. */
  objects: string;
  staging: string;
  /** `objects` of the ostree repository. */
  target: string;
}

export class NativeStaging implements AsyncDisposable {
  readonly #addon: NativeAddon;
  readonly #place: StagingPlace;
  readonly #handles: FileHandle[];

  private constructor(addon: NativeAddon, place: StagingPlace, handles: FileHandle[]) {
    this.#addon = addon;
    this.#place = place;
    this.#handles = handles;
  }

  static async open(
    addon: NativeAddon,
    { objects, staging, target }: StagingDirectories,
    mode: ExportMode,
    algorithm: Algorithm,
  ): Promise<NativeStaging> {
    const handles: FileHandle[] = [];
    try {
      for (const path of [objects, staging, target]) handles.push(await open(path, 'r'));
    } catch (error) {
      for (const handle of handles) await handle.close();
      throw error;
    }
    const [objectsFd, stagingFd, targetFd] = handles.map(({ fd }) => fd);
    return new NativeStaging(addon, { objectsFd, stagingFd, targetFd, mode, algorithm }, handles);
  }

  /** @returns for each object the bytes written, `present`, or undefined where it was not done: then nothing was left behind */
  async stage(stored: StoredCommit, objects: ExportedObject[]): Promise<Array<number | 'present' | undefined>> {
    const columns = contentsOf(stored, objects, digestBytes(this.#place.algorithm));
    const { results, bytes } = await this.#addon.stageObjects(this.#place, columns);
    return objects.map((_, i) => (results[i] === 1 ? bytes[i] : results[i] === 2 ? 'present' : undefined));
  }

  /**
   * Moves everything staged but commits to its place: whole directories, and one object after the other where the repository has a
   * directory of that name. @throws as publish()
   */
  async publishContents(objects: ExportedObject[]): Promise<void> {
    const firstByte = ({ checksum }: ExportedObject) => Number.parseInt(checksum.slice(0, 2), 16);
    const directories = Uint8Array.from(new Set(objects.map(firstByte)));
    const { moved } = await this.#addon.publishSubdirectories(this.#place, directories);
    const left = new Set(directories.filter((_, i) => moved[i] === 0));
    await this.publish(objects.filter((object) => left.has(firstByte(object))));
  }

  /** Moves staged objects to their places. @throws the first system call that failed */
  async publish(objects: ExportedObject[]): Promise<void> {
    for (let start = 0; start < objects.length; start += PUBLISHED_TOGETHER) {
      const batch = objects.slice(start, start + PUBLISHED_TOGETHER);
      const { errno } = await this.#addon.publishObjects(this.#place, namesOf(batch));
      const failed = errno.findIndex((error) => error !== 0);
      if (failed >= 0) throw systemError(errno[failed], 'rename', stagedName(batch[failed], this.#place.mode));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.#handles) await handle.close();
  }
}

function namesOf(objects: ExportedObject[]): StagedNames {
  const kinds = new Uint8Array(objects.length);
  const checksums = new Uint8Array(CHECKSUM_BYTES * objects.length);
  objects.forEach(({ type, checksum }, i) => {
    kinds[i] = STAGED_KINDS[type];
    checksums.set(idToBytes(checksum), CHECKSUM_BYTES * i);
  });
  return { kinds, checksums };
}

function contentsOf({ map }: StoredCommit, objects: ExportedObject[], idBytes: number): StagedContents {
  const names = namesOf(objects);
  const ids = new Uint8Array(idBytes * objects.length);
  const dataEnds = new Uint8Array(4 * objects.length);
  const ends = new DataView(dataEnds.buffer);
  const parts = objects.map(({ checksum }, i) => {
    const index = map.find(checksum);
    if (index < 0) return new Uint8Array(0); // no object has no bytes: it will not be done
    const id = map.externalBytesAt(index);
    if (id !== undefined && names.kinds[i] === STAGED_KINDS.file) {
      names.kinds[i] = EXTERNAL_FILE;
      ids.set(id, idBytes * i);
    }
    return map.dataAt(index);
  });
  let end = 0;
  parts.forEach((part, i) => {
    end += part.length;
    ends.setUint32(4 * i, end, true);
  });
  return { ...names, ids, data: joined(parts), dataEnds };
}

/** Besides those of STAGED_KINDS. */
const EXTERNAL_FILE = 1;
