/** Batches file objects for the addon's ingest threads. */

import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { explainWriteError, type Where } from '../errors.ts';
import type { FileBody, LooseObjects, RepositoryMode } from '../formats/file-body.ts';
import { CHECKSUM_BYTES, type Checksum, checksumFromBytes, digestBytes, idToBytes } from '../formats/ids.ts';
import { serializeContentHeader } from '../formats/ostree/file-header.ts';
import { type OwnedBytes, release } from '../formats/owned-bytes.ts';
import { returnPiece } from '../formats/pieces.ts';
import { type IngestBatch, IngestHow, IngestStatus, type NativeAddon } from '../native.ts';
import type { AdoptedFile, FileIngest, FileToAdopt, IngestedFile, IngestOptions, LinkMode } from './ingest.ts';
import { type Refused, refusalError } from './ingest-errors.ts';
import type { Repository } from './repository.ts';

/** From 16 objects a call on, little more is gained by larger batches. */
const BATCH_OBJECTS = 32;
/** A batch goes out early when it holds this much: large bodies should not wait for small ones. */
const BATCH_BYTES = 1 << 20;

/** For one thread: while these are being worked on, more can gather. */
const ENOUGH_OBJECTS = 16;

interface Waiting<Item> {
  item: Item;
  resolve(file: IngestedFile): void;
  reject(error: unknown): void;
}
interface Wanted<Body> {
  checksum: Checksum;
  body: Body;
}
type ArchiveItem = Wanted<Extract<FileBody, { form: 'archive' }>>;
type LocalItem = Wanted<Extract<FileBody, { form: 'local' }>>;

/** The one JavaScript thread has an eighth or more of the work of a pull or commit: more threads than this would wait for it. */
const MAX_DEFAULT_THREADS = 8;
const defaultThreads = (): number => Math.min(availableParallelism(), MAX_DEFAULT_THREADS);

export class NativeIngest implements FileIngest {
  readonly threads: number;
  readonly #engine: InstanceType<NativeAddon['Ingest']>;
  readonly #objectsRoot: string;
  readonly #idBytes: number;
  readonly #link: LinkMode;
  readonly #where: Where;
  readonly #archive: Batcher<ArchiveItem>;
  /** A batch is read in one way: by repository mode, with or without extended attributes. */
  readonly #local = new Map<string, Batcher<LocalItem>>();
  #bytesWritten = 0;

  constructor(
    native: NativeAddon,
    repo: Repository,
    { link = 'none', alsoSha256 = false, threads = defaultThreads(), source }: IngestOptions,
  ) {
    this.#objectsRoot = repo.objects.root;
    this.threads = threads;
    this.#archive = new Batcher(threads, (items) => this.#sendArchive(items));
    this.#idBytes = digestBytes(repo.algorithm);
    this.#link = link;
    this.#where = source === undefined ? {} : { file: source.url };
    createObjectsDirectory(repo.objects.root);
    this.#engine = new native.Ingest({
      objectsPath: repo.objects.root,
      algorithm: repo.algorithm,
      secure: repo.secure,
      alsoSha256,
      threads,
    });
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  add(checksum: Checksum, body: FileBody): Promise<IngestedFile> {
    if (body.form === 'archive-chunks') return this.#addChunks(checksum, body.chunks);
    if (body.form === 'archive') return this.#archive.add({ checksum, body }, body.bytes.length);
    const { mode, ignoreXattrs = false } = body;
    const way = `${mode} ${ignoreXattrs}`;
    let batcher = this.#local.get(way);
    if (batcher === undefined) {
      batcher = new Batcher(this.threads, (items) => this.#sendLocal({ mode, ignoreXattrs }, items));
      this.#local.set(way, batcher);
    }
    return batcher.add({ checksum, body }, 0);
  }

  async addLoose(
    { objectsPath, mode, ignoreXattrs, onRead }: LooseObjects,
    checksums: Uint8Array,
  ): Promise<Array<IngestedFile | undefined>> {
    const batch = await this.#engine.loose(objectsPath, checksums, { mode, link: this.#link, ignoreXattrs });
    onRead(batch.sourceBytes);
    return Array.from(batch.status, (status, i) => (status < FIRST_REFUSAL ? this.#file(batch, i) : undefined));
  }

  async adopt(files: readonly FileToAdopt[]): Promise<AdoptedFile[]> {
    const batch = await this.#engine.adopt(
      files.map(({ path }) => path),
      files.map(({ header }) => serializeContentHeader(header)),
    );
    return files.map(({ path }, i) => {
      const checksum = checksumFromBytes(batch.checksums, CHECKSUM_BYTES * i);
      const outcome = this.#outcome(batch, i, { checksum, body: { form: 'local', path, mode: 'bare' } });
      if ('error' in outcome) throw outcome.error;
      return { ...outcome.file, checksum };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.close();
  }

  async #sendArchive(items: ArchiveItem[]): Promise<Outcome[]> {
    const bodies = items.map(({ body }) => body.bytes);
    const batch = await this.#engine.archive(bodies, concatChecksums(items));
    const outcomes = items.map(({ checksum, body }, i) => this.#outcome(batch, i, { checksum, body }));
    for (const bytes of bodies) release(bytes);
    return outcomes;
  }

  async #sendLocal(
    { mode, ignoreXattrs }: { mode: RepositoryMode; ignoreXattrs: boolean },
    items: LocalItem[],
  ): Promise<Outcome[]> {
    const batch = await this.#engine.local(
      items.map(({ body }) => body.path),
      concatChecksums(items),
      {
        mode,
        link: this.#link,
        ignoreXattrs,
        ...(mode === 'bare-split-xattrs' ? { xattrsPaths: items.map(({ body }) => body.xattrsPath ?? '') } : {}),
      },
    );
    return items.map(({ checksum, body }, i) => this.#outcome(batch, i, { checksum, body }));
  }

  async #addChunks(checksum: Checksum, chunks: AsyncIterable<OwnedBytes>): Promise<IngestedFile> {
    const stream = this.#engine.stream(idToBytes(checksum));
    let head: OwnedBytes | undefined; // of a refused one, it says what is wrong with the header
    try {
      for await (const chunk of chunks) {
        head ??= chunk;
        const isWanted = await stream.write(chunk);
        if (chunk !== head) returnPiece(chunk);
        if (!isWanted) break;
      }
      const outcome = this.#outcome(await stream.end(), 0, {
        checksum,
        body: { form: 'archive-chunks', chunks },
        head,
      });
      if ('error' in outcome) throw outcome.error;
      return outcome.file;
    } finally {
      stream.abort();
      if (head !== undefined) returnPiece(head);
    }
  }

  #outcome(batch: IngestBatch, i: number, object: Omit<Refused, 'source'>): Outcome {
    if (batch.status[i] >= FIRST_REFUSAL)
      return { error: refusalError(batch, i, { ...object, source: this.#where }, this.#objectsRoot) };
    return { file: this.#file(batch, i) };
  }

  #file(batch: IngestBatch, i: number): IngestedFile {
    const status = batch.status[i];
    const sizeBytes = batch.sizes[i];
    if (batch.how[i] === IngestHow.written) this.#bytesWritten += sizeBytes;
    const file: IngestedFile = {
      data: batch.data.subarray(batch.dataOffsets[i], batch.dataOffsets[i + 1]),
      sizeBytes,
      isNew: status === IngestStatus.new,
    };
    if (status !== IngestStatus.inline) file.object = batch.ids.subarray(i * this.#idBytes, (i + 1) * this.#idBytes);
    if (batch.sha256Ids !== undefined && sizeBytes > 0)
      file.sha256Digest = batch.sha256Ids.subarray(i * 32, (i + 1) * 32);
    return file;
  }
}

/** A fresh repository has none. */
function createObjectsDirectory(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw explainWriteError(error, { file: path });
  }
}

/** Statuses below are successes (native/ingest-status.h). */
const FIRST_REFUSAL = 16;

type Outcome = { file: IngestedFile } | { error: unknown };

/** Collects items of one kind until a batch is worth a call. */
class Batcher<Item> {
  readonly #send: (items: Item[]) => Promise<Outcome[]>;
  #waiting: Waiting<Item>[] = [];
  #bytes = 0;
  #isFlushScheduled = false;
  /** Items in calls that have not returned, and how many of them keep the threads busy. */
  #sent = 0;
  readonly #enough: number;

  constructor(threads: number, send: (items: Item[]) => Promise<Outcome[]>) {
    this.#enough = threads * ENOUGH_OBJECTS;
    this.#send = send;
  }

  add(item: Item, bytes: number): Promise<IngestedFile> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#bytes += bytes;
      if (this.#waiting.length >= BATCH_OBJECTS || this.#bytes >= BATCH_BYTES) void this.#flush();
      else this.#scheduleFlush();
    });
  }

  /**
   * What is there at the end of this turn of the event loop goes out, unless the threads have enough to do: then the end of that takes it
   * along. Waiting for more items could be waiting for ever.
   */
  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    setImmediate(() => {
      this.#isFlushScheduled = false;
      if (this.#waiting.length > 0 && this.#sent < this.#enough) void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    this.#sent += batch.length;
    try {
      const outcomes = await this.#send(batch.map(({ item }) => item));
      for (let i = 0; i < batch.length; i++) {
        const outcome = outcomes[i];
        if ('file' in outcome) batch[i].resolve(outcome.file);
        else batch[i].reject(outcome.error);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    this.#sent -= batch.length;
    if (this.#waiting.length > 0) this.#scheduleFlush();
  }
}

function concatChecksums(items: Array<{ checksum: Checksum }>): Uint8Array {
  const all = new Uint8Array(32 * items.length);
  for (let i = 0; i < items.length; i++) all.set(idToBytes(items[i].checksum), 32 * i);
  return all;
}
