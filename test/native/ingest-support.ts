/** A store to ingest into. */

import { mkdir, readdir, readFile } from 'node:fs/promises';
import type { Algorithm } from '../../src/formats/ids.ts';
import type { Ingest, IngestOptions } from '../../src/native.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { addon } from './ingest-rows.ts';

/** Closes its engine and removes its directory. */
export class TestStore implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly objects: string;
  readonly engine: Ingest;
  readonly algorithm: Algorithm;

  constructor(directory: TemporaryDirectory, objects: string, algorithm: Algorithm, engine: Ingest) {
    this.directory = directory;
    this.objects = objects;
    this.algorithm = algorithm;
    this.engine = engine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close();
    await this.directory[Symbol.asyncDispose]();
  }

  /** All files below `objects`, as paths relative to it, sorted; leftovers included. */
  async list(): Promise<string[]> {
    const entries = await readdir(this.objects, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => `${entry.parentPath}/${entry.name}`.slice(this.objects.length + 1))
      .sort();
  }
  read(relativePath: string): Promise<Uint8Array> {
    return readFile(`${this.objects}/${relativePath}`);
  }
}

export async function makeStore(options: Partial<IngestOptions> = {}): Promise<TestStore> {
  const directory = await makeTemporaryDirectory('memory');
  const objects = directory.join('objects');
  await mkdir(objects);
  const algorithm = options.algorithm ?? 'sha512';
  const engine = new addon.Ingest({ objectsPath: objects, secure: false, threads: 2, ...options, algorithm });
  return new TestStore(directory, objects, algorithm, engine);
}
