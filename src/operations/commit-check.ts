/**
 * Proving a whole commit map: every object that the commit reaches is there and is what its checksum says, and whatever else the
 * map holds is sound too. What lies outside of the stream, the content of external files, is handed to the caller.
 */

import { setImmediate } from 'node:timers/promises';
import { CfsError, FormatError, MissingObjectError } from '../errors.ts';
import { NO_OBJECT } from '../formats/commit-map.ts';
import { CHECKSUM_BYTES, checksumFromBytes, idToBytes, toHex } from '../formats/ids.ts';
import { nodeHashing } from '../native.ts';
import type { CommitObjects } from './commit-reader.ts';
import { ExternalFiles } from './external-files.ts';

export interface CommitCheckOptions {
  /** `partial`: objects that the commit reaches may be absent. */
  closure: 'complete' | 'partial';
  /** Called for each thing wrong; the check goes on. Throwing ends it. */
  onProblem(error: CfsError): void;
  /** Given each external file in the map once, many at a time: its checksum is proved only together with its content. The check waits. */
  onExternalFiles(files: ExternalFiles): Promise<void>;
  signal?: AbortSignal;
}

/** Objects between two chances for timers and signals. */
const OBJECTS_AT_ONCE = 1024;
/** External files that are handed on together: the more, the more of them are of like size and can be hashed side by side. */
const EXTERNAL_AT_ONCE = 4096;

/** What was done with an entry. */
const EXTERNAL = 1;
const REACHED = 2;

type ObjectType = 'commit' | 'dirtree' | 'dirmeta' | 'file';

/** Hashes every byte of the map once. */
export async function checkCommitObjects(objects: CommitObjects, options: CommitCheckOptions): Promise<void> {
  const check = new CommitCheck(objects, options);
  await check.external();
  await check.reachable();
  await check.rest();
}

class CommitCheck {
  readonly #objects: CommitObjects;
  readonly #options: CommitCheckOptions;
  /** By number of the map entry. */
  readonly #seen: Uint8Array;
  #external = new ExternalFiles(EXTERNAL_AT_ONCE);
  #sinceBreak = 0;

  constructor(objects: CommitObjects, options: CommitCheckOptions) {
    this.#objects = objects;
    this.#options = options;
    this.#seen = new Uint8Array(objects.map.count);
  }

  /**
   * All that can only be files, in the order of the map: its columns are gone through once, and the caller has work while the trees
   * are walked.
   */
  async external(): Promise<void> {
    const { map } = this.#objects;
    for (let index = 0; index < map.count; index++) {
      if (map.objectNumberAt(index) === NO_OBJECT) continue;
      this.#seen[index] = EXTERNAL;
      const file = this.#attempt(() => this.#objects.fileAt(index));
      if (file === undefined) continue;
      this.#external.add(index, file.sizeBytes, file.contentHeader);
      if (this.#external.count === EXTERNAL_AT_ONCE) await this.#handOn();
    }
    if (this.#external.count > 0) await this.#handOn();
  }

  /** From the commit down; each dirtree once, however often it is used. */
  async reachable(): Promise<void> {
    const { map } = this.#objects;
    const pending: number[] = [];
    this.#see(idToBytes(map.commit), 0, 'commit');
    const commit = this.#attempt(() => this.#objects.commit());
    if (commit === undefined) return;
    this.#dirmeta(idToBytes(commit.rootDirmeta), 0);
    this.#dirtree(idToBytes(commit.rootDirtree), 0, pending);
    for (let dirtree = pending.pop(); dirtree !== undefined; dirtree = pending.pop()) {
      const index = dirtree;
      await this.#breathe();
      const base = map.dataStartAt(index);
      const files: number[] = [];
      const directories: number[] = [];
      const isSound = this.#attempt(() => {
        this.#objects.walkDirtree(index, {
          file: (_start, _end, checksum) => void files.push(base + checksum),
          directory: (_start, _end, checksums) => void directories.push(base + checksums),
        });
        return true;
      });
      if (!isSound) continue;
      for (const at of files) {
        this.#file(at);
        if (this.#sinceBreak >= OBJECTS_AT_ONCE) await this.#breathe();
      }
      for (const at of directories) {
        this.#dirmeta(map.content, at + CHECKSUM_BYTES);
        this.#dirtree(map.content, at, pending);
      }
    }
  }

  /** Entries that nothing reaches must still be what their checksum says, as metadata or as a file. */
  async rest(): Promise<void> {
    const { map } = this.#objects;
    for (let index = 0; index < map.count; index++) {
      if (this.#seen[index] !== 0) continue;
      this.#sinceBreak++;
      await this.#breathe();
      const isMetadata = toHex(nodeHashing.sha256(map.dataAt(index))) === map.checksumAt(index);
      if (!isMetadata) this.#attempt(() => this.#objects.fileAt(index));
    }
  }

  async #handOn(): Promise<void> {
    const files = this.#external;
    this.#external = new ExternalFiles(EXTERNAL_AT_ONCE);
    await this.#options.onExternalFiles(files);
    this.#options.signal?.throwIfAborted();
  }

  async #breathe(): Promise<void> {
    if (this.#sinceBreak < OBJECTS_AT_ONCE) return;
    this.#sinceBreak = 0;
    await setImmediate();
    this.#options.signal?.throwIfAborted();
  }

  #dirtree(bytes: Uint8Array, offset: number, pending: number[]): void {
    const index = this.#see(bytes, offset, 'dirtree');
    if (index !== undefined) pending.push(index);
  }

  #dirmeta(bytes: Uint8Array, offset: number): void {
    const index = this.#see(bytes, offset, 'dirmeta');
    if (index !== undefined) this.#attempt(() => this.#objects.dirmeta(this.#objects.map.checksumAt(index)));
  }

  /** @param at of the checksum in the map's bytes */
  #file(at: number): void {
    const index = this.#see(this.#objects.map.content, at, 'file');
    if (index !== undefined && this.#seen[index] !== (EXTERNAL | REACHED))
      this.#attempt(() => this.#objects.fileAt(index));
  }

  /** @returns number of the map entry, if it is there and was not looked at before */
  #see(bytes: Uint8Array, offset: number, type: ObjectType): number | undefined {
    const index = this.#objects.map.findBytes(bytes, offset);
    if (index < 0) {
      if (this.#options.closure === 'complete') {
        const object = `${checksumFromBytes(bytes, offset)}.${type}`;
        this.#options.onProblem(
          new MissingObjectError('is not in the commit stream', { ...this.#objects.where, object }),
        );
      }
      return undefined;
    }
    if ((this.#seen[index] & REACHED) !== 0) return undefined;
    this.#seen[index] |= REACHED;
    this.#sinceBreak++;
    return index;
  }

  #attempt<T>(use: () => T): T | undefined {
    try {
      return use();
    } catch (error) {
      if (!(error instanceof CfsError)) throw error;
      this.#options.onProblem(error);
      return undefined;
    }
  }
}

/** Compares what an external file's object turned out to be with what the map says. */
export function externalFileProblem(
  objects: CommitObjects,
  { index, sizeBytes }: { index: number; sizeBytes: number },
  found: { sizeBytes: number | undefined; checksum?: Uint8Array },
): CfsError | undefined {
  const { map } = objects;
  const where = objects.whereOf(index, 'file');
  const object = map.externalAt(index);
  if (found.sizeBytes === undefined) return new MissingObjectError(`its content, object ${object}, is missing`, where);
  if (found.sizeBytes !== sizeBytes)
    return new FormatError(`header says ${sizeBytes} bytes, object ${object} has ${found.sizeBytes}`, {
      ...where,
      field: 'size',
    });
  if (found.checksum !== undefined && toHex(found.checksum) !== map.checksumAt(index))
    return new FormatError(`header and object ${object} hash to ${toHex(found.checksum)}`, where);
  return undefined;
}
