/** The sweep without the addon: one directory after the other, here. */

import type { Dirent } from 'node:fs';
import { lstat, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { explainWriteError } from '../errors.ts';
import { type Algorithm, digestBytes, isObjectId, type ObjectId } from '../formats/ids.ts';
import { ignoreAbsent, isAbsent } from './absence.ts';
import { DigestTable } from './digest-table.ts';
import type { ObjectSweep, SweptObjects } from './object-sweep.ts';

/** Removals under way at the same time. */
const CONCURRENT_REMOVALS = 32;
const KEPT = 1;

export class PortableObjectSweep implements ObjectSweep {
  readonly #objectsPath: string;
  readonly #algorithm: Algorithm;
  readonly #table = new DigestTable();

  constructor(objectsPath: string, algorithm: Algorithm) {
    this.#objectsPath = objectsPath;
    this.#algorithm = algorithm;
  }

  keep(ids: Uint8Array): void {
    for (let at = 0; at < ids.length; at += digestBytes(this.#algorithm)) this.#table.mark(KEPT, ids, at);
  }

  readAhead(): void {} // there are no other threads

  async sweep(first: number, count: number, { remove }: { remove: boolean }): Promise<SweptObjects> {
    const swept: SweptObjects = { kept: 0, removed: 0, removedBytes: 0, others: [] };
    for (let byte = first; byte < first + count; byte++) {
      const fanout = byte.toString(16).padStart(2, '0');
      const dead: string[] = [];
      for (const entry of await this.#entries(fanout)) {
        const id = fanout + entry.name;
        if (!isObjectId(id, this.#algorithm)) swept.others.push(`${fanout}/${entry.name}`);
        else if (this.#table.flagsOf(id as ObjectId) !== 0) swept.kept++;
        else if (entry.isFile()) dead.push(`${fanout}/${entry.name}`);
        else swept.others.push(`${fanout}/${entry.name}`);
      }
      for (let at = 0; at < dead.length; at += CONCURRENT_REMOVALS) {
        const batch = dead.slice(at, at + CONCURRENT_REMOVALS);
        for (const sizeBytes of await Promise.all(batch.map((path) => this.#take(path, remove)))) {
          if (sizeBytes === undefined) continue;
          swept.removed++;
          swept.removedBytes += sizeBytes;
        }
      }
    }
    return swept;
  }

  async #entries(fanout: string): Promise<Dirent[]> {
    const path = join(this.#objectsPath, fanout);
    const stats = await lstat(path).catch(ignoreAbsent);
    return stats?.isDirectory() ? readdir(path, { withFileTypes: true }) : [];
  }

  /** @returns its size in bytes, undefined when it was gone already */
  async #take(path: string, remove: boolean): Promise<number | undefined> {
    try {
      const { size } = await lstat(join(this.#objectsPath, path));
      if (remove) await unlink(join(this.#objectsPath, path));
      return size;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw explainWriteError(error, { file: `objects/${path}` });
    }
  }
}
