/**
 * Proving a whole commit map: every object that the commit reaches is there and is what its checksum says, and whatever else the
 * map holds is sound too. What lies outside of the stream, the content of external files, is handed to the caller.
 */

import { setImmediate } from 'node:timers/promises';
import { CfsError, FormatError, MissingObjectError } from '../errors.ts';
import { type Checksum, type ObjectId, toHex } from '../formats/ids.ts';
import { serializeContentHeader } from '../formats/ostree/file-header.ts';
import { nodeHashing } from '../native.ts';
import type { CommitObjects } from './commit-reader.ts';

/** A file whose content is an object: its checksum is proved only together with that content. */
export interface ExternalFile {
  checksum: Checksum;
  object: ObjectId;
  /** What its header says, outside of any checksum; the object must have this size. */
  sizeBytes: number;
  /** What SHA-256 starts with, before the content. */
  contentHeader: Uint8Array;
}

export interface CommitCheckOptions {
  /** `partial`: objects that the commit reaches may be absent. */
  closure: 'complete' | 'partial';
  /** Called for each thing wrong; the check goes on. Throwing ends it. */
  onProblem(error: CfsError): void;
  /** Called once for each external file in the map. */
  onExternalFile(file: ExternalFile): void;
  signal?: AbortSignal;
}

/** Objects between two chances for timers and signals. */
const OBJECTS_AT_ONCE = 2048;

/** Hashes every byte of the map once. */
export async function checkCommitObjects(objects: CommitObjects, options: CommitCheckOptions): Promise<void> {
  const check = new CommitCheck(objects, options);
  await check.reachable();
  await check.rest();
}

class CommitCheck {
  readonly #objects: CommitObjects;
  readonly #options: CommitCheckOptions;
  readonly #seen: Uint8Array;
  #sinceBreak = 0;

  constructor(objects: CommitObjects, options: CommitCheckOptions) {
    this.#objects = objects;
    this.#options = options;
    this.#seen = new Uint8Array(objects.map.count);
  }

  /** From the commit down; each dirtree once, however often it is used. */
  async reachable(): Promise<void> {
    const { map } = this.#objects;
    this.#see(map.commit, 'commit');
    const commit = this.#attempt(() => this.#objects.commit());
    if (commit === undefined) return;
    this.#dirmeta(commit.rootDirmeta);
    const pending: Checksum[] = [commit.rootDirtree];
    for (let dirtree = pending.pop(); dirtree !== undefined; dirtree = pending.pop()) {
      const checksum = dirtree;
      if (!this.#see(checksum, 'dirtree')) continue;
      await this.#breathe();
      const tree = this.#attempt(() => this.#objects.dirtree(checksum));
      if (tree === undefined) continue;
      for (const file of tree.files) this.#file(file.checksum);
      for (const directory of tree.directories) {
        this.#dirmeta(directory.dirmeta);
        pending.push(directory.dirtree);
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
      const checksum = map.checksumAt(index);
      const isMetadata =
        map.externalBytesAt(index) === undefined && toHex(nodeHashing.sha256(map.dataAt(index))) === checksum;
      if (!isMetadata) this.#file(checksum);
    }
  }

  async #breathe(): Promise<void> {
    if (this.#sinceBreak < OBJECTS_AT_ONCE) return;
    this.#sinceBreak = 0;
    await setImmediate();
    this.#options.signal?.throwIfAborted();
  }

  #dirmeta(checksum: Checksum): void {
    if (this.#see(checksum, 'dirmeta')) this.#attempt(() => this.#objects.dirmeta(checksum));
  }

  #file(checksum: Checksum): void {
    if (!this.#see(checksum, 'file')) return;
    const file = this.#attempt(() => this.#objects.file(checksum));
    if (file?.object === undefined) return;
    const { header, sizeBytes, object } = file;
    this.#options.onExternalFile({ checksum, object, sizeBytes, contentHeader: serializeContentHeader(header) });
  }

  /** @returns whether the object is there and was not looked at before */
  #see(checksum: Checksum, type: 'commit' | 'dirtree' | 'dirmeta' | 'file'): boolean {
    const index = this.#objects.map.find(checksum);
    if (index < 0) {
      if (this.#options.closure === 'complete')
        this.#options.onProblem(
          new MissingObjectError('is not in the commit stream', {
            ...this.#objects.where,
            object: `${checksum}.${type}`,
          }),
        );
      return false;
    }
    if (this.#seen[index] !== 0) return false;
    this.#seen[index] = 1;
    this.#sinceBreak++;
    return true;
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
  { checksum, object, sizeBytes }: ExternalFile,
  found: { sizeBytes: number | undefined; checksum?: Uint8Array },
  where: CommitObjects['where'],
): CfsError | undefined {
  const at = { ...where, object: `${checksum}.file` };
  if (found.sizeBytes === undefined) return new MissingObjectError(`its content, object ${object}, is missing`, at);
  if (found.sizeBytes !== sizeBytes)
    return new FormatError(`header says ${sizeBytes} bytes, object ${object} has ${found.sizeBytes}`, {
      ...at,
      field: 'size',
    });
  if (found.checksum !== undefined && toHex(found.checksum) !== checksum)
    return new FormatError(`header and object ${object} hash to ${toHex(found.checksum)}`, at);
  return undefined;
}
