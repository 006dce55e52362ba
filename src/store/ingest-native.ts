/** Batches file objects for the addon's ingest threads. */

import type { FileBody } from '../formats/file-body.ts';
import { type Checksum, idToBytes } from '../formats/ids.ts';
import type { IngestBatch, Ingest as NativeEngine, NativeAddon } from '../native.ts';
import type { FileIngest, IngestedFile, IngestOptions } from './ingest.ts';
import { refusalError } from './ingest-errors.ts';
import type { Repository } from './repository.ts';

/** From 16 objects a call on, little more is gained by larger batches. */
const BATCH_OBJECTS = 32;
/** A batch goes out early when it holds this much: large bodies should not wait for small ones. */
const BATCH_BYTES = 1 << 20;

interface Waiting<Body> {
  checksum: Checksum;
  body: Body;
  resolve(file: IngestedFile): void;
  reject(error: unknown): void;
}

type ArchiveBody = Extract<FileBody, { form: 'archive' }>;
type LocalBody = Extract<FileBody, { form: 'local' }>;

export class NativeIngest implements FileIngest {
  readonly #engine: NativeEngine;
  readonly #repo: Repository;
  readonly #link: 'none' | 'reflink' | 'hard';
  #archive: Waiting<ArchiveBody>[] = [];
  #archiveBytes = 0;
  #local: Waiting<LocalBody>[] = [];
  #flushScheduled = false;
  #bytesWritten = 0;

  constructor(native: NativeAddon, repo: Repository, { link = 'none', alsoSha256 = false, threads = 0 }: IngestOptions) {
    this.#repo = repo;
    this.#link = link;
    this.#engine = new native.Ingest({
      objectsPath: repo.objects.root,
      algorithm: repo.algorithm,
      secure: repo.secure,
      threads,
      alsoSha256,
    });
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  add(checksum: Checksum, body: FileBody): Promise<IngestedFile> {
    if (body.form === 'archive-chunks') return this.#addChunks(checksum, body.chunks);
    return new Promise((resolve, reject) => {
      if (body.form === 'archive') {
        this.#archive.push({ checksum, body, resolve, reject });
        this.#archiveBytes += body.bytes.length;
        if (this.#archive.length >= BATCH_OBJECTS || this.#archiveBytes >= BATCH_BYTES) this.#flushArchive();
        else this.#scheduleFlush();
      } else {
        this.#local.push({ checksum, body, resolve, reject });
        if (this.#local.length >= BATCH_OBJECTS) this.#flushLocal();
        else this.#scheduleFlush();
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.close();
  }

  /** What is there at the end of this turn of the event loop goes out: waiting longer could wait for ever. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      if (this.#archive.length > 0) this.#flushArchive();
      if (this.#local.length > 0) this.#flushLocal();
    });
  }

  #flushArchive(): void {
    const batch = this.#archive;
    this.#archive = [];
    this.#archiveBytes = 0;
    this.#settle(
      batch,
      this.#engine.archive(
        batch.map((item) => item.body.bytes),
        concatChecksums(batch),
      ),
    );
  }

  #flushLocal(): void {
    const batch = this.#local;
    this.#local = [];
    this.#settle(
      batch,
      this.#engine.local(
        batch.map(({ body }) => ({ path: body.path, mode: body.mode, xattrsPath: body.xattrsPath })),
        concatChecksums(batch),
        this.#link,
      ),
    );
  }

  #settle(batch: Waiting<ArchiveBody | LocalBody>[], done: Promise<IngestBatch>): void {
    done.then(
      (result) => {
        for (let i = 0; i < batch.length; i++) {
          const { checksum, body, resolve, reject } = batch[i];
          if (result.status[i] < FIRST_REFUSAL) resolve(this.#take(result, i));
          else
            refusalError(this.#repo, result, i, checksum, body).then(reject, reject);
        }
      },
      (error: unknown) => {
        for (const { reject } of batch) reject(error);
      },
    );
  }

  async #addChunks(checksum: Checksum, chunks: AsyncIterable<Uint8Array>): Promise<IngestedFile> {
    const stream = this.#engine.stream(idToBytes(checksum));
    let result: IngestBatch;
    try {
      for await (const chunk of chunks) await stream.write(chunk);
      result = await stream.end();
    } catch (error) {
      stream.abort();
      throw error;
    }
    if (result.status[0] >= FIRST_REFUSAL)
      throw await refusalError(this.#repo, result, 0, checksum, { form: 'archive-chunks', chunks });
    return this.#take(result, 0);
  }

  #take(result: IngestBatch, i: number): IngestedFile {
    const status = result.status[i];
    const isExternal = status !== 0;
    const idBytes = result.ids.length / result.status.length;
    const sizeBytes = result.sizes[i];
    if (status === 1) this.#bytesWritten += sizeBytes;
    return {
      data: result.data.subarray(result.dataOffsets[i], result.dataOffsets[i + 1]),
      object: isExternal ? result.ids.subarray(i * idBytes, (i + 1) * idBytes) : undefined,
      sizeBytes,
      isNew: status === 1,
      sha256Digest: result.sha256Ids && sizeBytes > 0 ? result.sha256Ids.subarray(i * 32, (i + 1) * 32) : undefined,
    };
  }
}

/** Status codes below are successes (native/index.d.ts). */
const FIRST_REFUSAL = 16;

function concatChecksums(batch: Waiting<unknown>[]): Uint8Array {
  const all = new Uint8Array(32 * batch.length);
  for (let i = 0; i < batch.length; i++) all.set(idToBytes(batch[i].checksum), 32 * i);
  return all;
}
