/** A store to ingest into, and batches in a form that tests can compare. */

import { mkdir, readdir, readFile } from 'node:fs/promises';
import { type Algorithm, digestBytes, toHex } from '../../src/formats/ids.ts';
import {
  type Ingest,
  type IngestBatch,
  IngestHow,
  type IngestOptions,
  ingestStatusName,
  type NativeAddon,
  native,
} from '../../src/native.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';

export const addon: NativeAddon = native ?? missing();
function missing(): never {
  throw new Error('these tests are about the native addon, which is not built: node scripts/install.js');
}

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

export interface Row {
  status: string;
  errno: number;
  step: string;
  how: string;
  /** Hex; of inline and refused objects all zero. */
  id: string;
  size: number;
  sha256Id?: string;
  checksum: string;
  data: Uint8Array;
}

const HOW_NAMES = Object.keys(IngestHow);

export function rowsOf(batch: IngestBatch, algorithm: Algorithm): Row[] {
  const idBytes = digestBytes(algorithm);
  const cell = (column: Uint8Array, bytes: number, i: number): string =>
    toHex(column.subarray(i * bytes, (i + 1) * bytes));
  return Array.from(batch.status, (status, i) => ({
    status: ingestStatusName(status),
    errno: batch.errno[i],
    step: addon.ingestSteps[batch.steps[i]],
    how: HOW_NAMES[batch.how[i]],
    id: cell(batch.ids, idBytes, i),
    size: batch.sizes[i],
    ...(batch.sha256Ids === undefined ? {} : { sha256Id: cell(batch.sha256Ids, 32, i) }),
    checksum: cell(batch.checksums, 32, i),
    data: batch.data.slice(batch.dataOffsets[i], batch.dataOffsets[i + 1]),
  }));
}
