/** Ingest without the addon: one object at a time through Node's own zlib and crypto, fsync per file, insecure repositories only. */

import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { createInflateRaw } from 'node:zlib';
import { AddonNeededError, DigestMismatchError, FormatError, SourceError, type Where } from '../errors.ts';
import type { FileBody, RepositoryMode } from '../formats/file-body.ts';
import { type Checksum, inlineContentMax, objectIdFromBytes } from '../formats/ids.ts';
import {
  isSymlink,
  parseArchiveHeader,
  serializeArchiveHeader,
  serializeContentHeader,
} from '../formats/ostree/file-header.ts';
import { MAX_HEADER_BYTES } from '../formats/ostree/limits.ts';
import type { AdoptedFile, FileIngest, FileToAdopt, IngestedFile, IngestOptions } from './ingest.ts';
import type { Repository } from './repository.ts';
import { openVerityHasher } from './verity-hasher.ts';

/** Length word and padding in front of the header variant (ostree content stream). */
const PREFIX_BYTES = 8;

export class PortableIngest implements FileIngest {
  readonly threads = 1;
  readonly #repo: Repository;
  readonly #alsoSha256: boolean;
  readonly #where: Where;
  #bytesWritten = 0;

  constructor(repo: Repository, { alsoSha256 = false, source }: IngestOptions) {
    if (repo.secure)
      throw new AddonNeededError('a secure repository needs the native addon (fs-verity); see doc/native.md', {
        file: repo.path,
      });
    if (source !== undefined) requireReadable(source.mode, source.url);
    this.#repo = repo;
    this.#alsoSha256 = alsoSha256;
    this.#where = source === undefined ? {} : { file: source.url };
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  async add(checksum: Checksum, body: FileBody): Promise<IngestedFile> {
    const where = { ...this.#where, object: `${checksum}.file` };
    if (body.form === 'archive') return this.#addArchive(checksum, [body.bytes], where);
    if (body.form === 'archive-chunks') return this.#addArchive(checksum, body.chunks, where);
    requireReadable(body.mode, body.path);
    return this.#addArchive(checksum, readLocal(body.path), { ...where, file: body.path });
  }

  async adopt(files: readonly FileToAdopt[]): Promise<AdoptedFile[]> {
    const adopted: AdoptedFile[] = [];
    for (const file of files) adopted.push(await this.#adoptOne(file));
    return adopted;
  }

  async #adoptOne({ path, header }: FileToAdopt): Promise<AdoptedFile> {
    const where = { file: path };
    const { size } = await stat(path).catch((error: unknown) => {
      throw new SourceError('cannot be read', where, { cause: error });
    });
    const hash = createHash('sha256').update(serializeContentHeader(header));
    const file = await this.#store(
      serializeArchiveHeader(header, size),
      exactly(readLocal(path), size, where),
      size,
      hash,
    );
    return { ...file, checksum: hash.digest('hex') as Checksum };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #addArchive(
    checksum: Checksum,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    where: Where,
  ): Promise<IngestedFile> {
    const { head, rest } = await splitHeader(chunks);
    try {
      const { header, sizeBytes, headerBytes } = parseArchiveHeader(head, where);
      const hash = createHash('sha256').update(serializeContentHeader(header));
      const after = joined(head.subarray(headerBytes), rest);
      const content = isSymlink(header) ? expectNothing(after, where) : inflate(after, sizeBytes, where);
      return await this.#store(head.slice(0, headerBytes), content, sizeBytes, hash, () => {
        const actual = hash.digest('hex');
        if (actual !== checksum) throw new DigestMismatchError(checksum, actual, where);
      });
    } finally {
      await rest.return?.(undefined); // a file or connection may hang on it
    }
  }

  /** Content of exactly `sizeBytes`, hashed on the way; nothing gets a name before `verify` has agreed. */
  async #store(
    header: Uint8Array,
    content: AsyncIterable<Uint8Array>,
    sizeBytes: number,
    hash: Hash,
    verify: () => void = () => {},
  ): Promise<IngestedFile> {
    const sha256Verity = this.#alsoSha256 ? openVerityHasher('sha256') : undefined;
    const sha256Digest = () => (sizeBytes > 0 ? sha256Verity?.digest() : undefined);
    if (sizeBytes <= inlineContentMax(this.#repo.algorithm)) {
      const data = new Uint8Array(header.length + sizeBytes);
      data.set(header);
      let at = header.length;
      for await (const chunk of content) {
        data.set(chunk, at);
        at += chunk.length;
        hash.update(chunk);
        sha256Verity?.update(chunk);
      }
      verify();
      return { data, sizeBytes, isNew: false, sha256Digest: sha256Digest() };
    }
    await using temporary = await this.#repo.objects.createTemporary();
    const verity = openVerityHasher(this.#repo.algorithm);
    for await (const chunk of content) {
      hash.update(chunk);
      verity.update(chunk);
      sha256Verity?.update(chunk);
      await temporary.write(chunk);
    }
    verify();
    const object = verity.digest();
    const isNew = await temporary.publish(objectIdFromBytes(object));
    if (isNew) this.#bytesWritten += sizeBytes;
    return { data: header, object, sizeBytes, isNew, sha256Digest: sha256Digest() };
  }
}

/** The bare modes keep what belongs to a file in its inode and xattrs, which takes more than Node. */
function requireReadable(mode: RepositoryMode, file: string): void {
  if (mode === 'archive') return;
  throw new AddonNeededError(`reading a ${mode} repository needs the native addon; see doc/native.md`, { file });
}

/** A file on disk may change while it is read. */
async function* exactly(
  content: AsyncIterable<Uint8Array>,
  sizeBytes: number,
  where: Where,
): AsyncGenerator<Uint8Array> {
  let total = 0;
  for await (const chunk of content) {
    total += chunk.length;
    if (total > sizeBytes) break;
    yield chunk;
  }
  if (total !== sizeBytes) throw new FormatError('changed while it was read', where);
}

async function* readLocal(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 18 });
  } catch (error) {
    throw new SourceError('cannot be read', { file: path }, { cause: error });
  }
}

/** Reads until the whole header variant is there. `head` may hold bytes after it. */
async function splitHeader(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<{ head: Uint8Array; rest: AsyncIterator<Uint8Array> | Iterator<Uint8Array> }> {
  const rest =
    Symbol.asyncIterator in chunks
      ? chunks[Symbol.asyncIterator]()
      : (chunks as Iterable<Uint8Array>)[Symbol.iterator]();
  let head = new Uint8Array(0);
  for (;;) {
    if (head.length >= PREFIX_BYTES) {
      const variantBytes = new DataView(head.buffer, head.byteOffset).getUint32(0, false);
      if (variantBytes > MAX_HEADER_BYTES || head.length >= PREFIX_BYTES + variantBytes) return { head, rest };
    }
    const next = await rest.next();
    if (next.done) return { head, rest }; // the header parser names what is missing
    const grown = new Uint8Array(head.length + next.value.length);
    grown.set(head);
    grown.set(next.value, head.length);
    head = grown;
  }
}

async function* joined(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array> | Iterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield first;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

/** A symlink's body, which is empty. */
async function* expectNothing(bytes: AsyncIterable<Uint8Array>, where: Where): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    if (chunk.length > 0)
      throw new FormatError(`${chunk.length} bytes follow the header of a symlink`, { ...where, field: 'content' });
    yield chunk;
  }
}

/** Raw deflate, exactly `sizeBytes` long and nothing after it. */
async function* inflate(
  compressed: AsyncIterable<Uint8Array>,
  sizeBytes: number,
  where: Where,
): AsyncGenerator<Uint8Array> {
  const inflater = createInflateRaw();
  let fed = 0;
  let failure: unknown;
  const feeding = (async () => {
    try {
      for await (const chunk of compressed) {
        fed += chunk.length;
        if (inflater.destroyed) return;
        if (!inflater.write(chunk)) await drained(inflater);
      }
      inflater.end();
    } catch (error) {
      failure = error;
      inflater.destroy(error as Error);
    }
  })();
  let total = 0;
  try {
    for await (const chunk of inflater as AsyncIterable<Uint8Array>) {
      total += chunk.length;
      if (total > sizeBytes)
        throw new FormatError(`content is longer than the ${sizeBytes} bytes of the header`, {
          ...where,
          field: 'size',
        });
      yield chunk;
    }
  } catch (error) {
    if (failure !== undefined) throw failure;
    if (error instanceof FormatError) throw error;
    throw new FormatError('is no complete raw deflate stream', { ...where, field: 'content' }, { cause: error });
  } finally {
    inflater.destroy();
    await feeding;
  }
  if (total < sizeBytes)
    throw new FormatError(`content has ${total} bytes, the header says ${sizeBytes}`, { ...where, field: 'size' });
  if (inflater.bytesWritten < fed)
    throw new FormatError(`${fed - inflater.bytesWritten} bytes follow the deflate stream`, {
      ...where,
      field: 'content',
    });
}

/** Resolves on `drain`, and also when nobody will read any more. */
const drained = (stream: Readable & NodeJS.WritableStream): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.once('drain', done);
    stream.once('close', done);
  });
