/** The files of a new commit: what they hold goes into the store, while the scan finds more of them. */

import type { CommitMapBuilder } from '../formats/commit-map-builder.ts';
import { type Checksum, checksumFromBytes, idToBytes, inlineContentMax } from '../formats/ids.ts';
import { isSymlink, serializeArchiveHeader, serializeContentHeader } from '../formats/ostree/file-header.ts';
import { nodeHashing } from '../native.ts';
import { type Progress, silentProgress } from '../progress.ts';
import type { FileIngest, FileToAdopt } from '../store/ingest.ts';
import { openIngest } from '../store/open-ingest.ts';
import type { Repository } from '../store/repository.ts';
import { forEachConcurrently } from './concurrently.ts';
import type { FileToCommit } from './scan-directory.ts';

export interface ContentOptions {
  generateComposefsMetadata?: boolean;
  jobs?: number;
  signal?: AbortSignal;
  progress?: Progress;
}

/** Files that are handed to ingest in one call, and such calls under way for each of its threads. */
const BATCH_FILES = 64;
const BATCHES_PER_THREAD = 4;

/** Stores file objects and remembers what each file's checksum turned out to be. */
export class ContentCommitter {
  readonly checksums = new Map<FileToCommit, Checksum>();
  readonly sha256Digests = new Map<Checksum, Uint8Array>();
  /** Distinct file objects, and the bytes of their content. */
  files = 0;
  sizeBytes = 0;
  readonly #repo: Repository;
  readonly #builder: CommitMapBuilder;
  readonly #options: ContentOptions;

  constructor(repo: Repository, builder: CommitMapBuilder, options: ContentOptions) {
    this.#repo = repo;
    this.#builder = builder;
    this.#options = options;
  }

  async addAll(files: Iterable<FileToCommit>): Promise<void> {
    const { jobs, signal, progress = silentProgress, generateComposefsMetadata } = this.#options;
    await using ingest = await openIngest(this.#repo, {
      threads: jobs,
      alsoSha256: generateComposefsMetadata && this.#repo.algorithm !== 'sha256',
    });
    await forEachConcurrently(inBatches(files), BATCHES_PER_THREAD * ingest.threads, async (batch) => {
      signal?.throwIfAborted();
      await this.#add(ingest, batch);
      progress.update({ phase: 'files', done: this.checksums.size, bytesDone: this.sizeBytes });
    });
  }

  async #add(ingest: FileIngest, batch: FileToCommit[]): Promise<void> {
    const onDisk = batch.filter((file): file is FileToCommit & FileToAdopt => file.path !== undefined);
    const adopted = await ingest.adopt(onDisk);
    for (let i = 0; i < onDisk.length; i++) {
      const { checksum, data, object, sizeBytes, sha256Digest } = adopted[i];
      if (sha256Digest !== undefined) this.sha256Digests.set(checksum, sha256Digest);
      this.#count(onDisk[i], checksum, data, object, sizeBytes);
    }
    for (const file of batch) if (file.path === undefined) await this.#addInMemory(file);
  }

  async #addInMemory(file: FileToCommit): Promise<void> {
    const { header, content = new Uint8Array(0) } = file;
    const { algorithm, objects } = this.#repo;
    const archiveHeader = serializeArchiveHeader(header, content.length);
    const checksum = checksumFromBytes(nodeHashing.sha256(serializeContentHeader(header), content));
    if (isSymlink(header) || content.length <= inlineContentMax(algorithm)) {
      const data = new Uint8Array(archiveHeader.length + content.length);
      data.set(archiveHeader);
      data.set(content, archiveHeader.length);
      return this.#count(file, checksum, data, undefined, content.length);
    }
    this.sha256Digests.set(checksum, nodeHashing.fsVerity('sha256', content));
    const { id } = await objects.store(content);
    this.#count(file, checksum, archiveHeader, idToBytes(id), content.length);
  }

  #count(
    file: FileToCommit,
    checksum: Checksum,
    data: Uint8Array,
    object: Uint8Array | undefined,
    sizeBytes: number,
  ): void {
    this.checksums.set(file, checksum);
    if (!this.#builder.add(idToBytes(checksum), data, object)) return;
    this.files++;
    this.sizeBytes += sizeBytes;
  }
}

function* inBatches<Item>(items: Iterable<Item>): Generator<Item[]> {
  let batch: Item[] = [];
  for (const item of items) {
    batch.push(item);
    if (batch.length < BATCH_FILES) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
