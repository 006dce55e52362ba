/** `objects/`: immutable files named by their fs-verity digest. Whatever is read was checked against its name first. */

import { closeSync, lstatSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { DigestMismatchError, explainWriteError, FormatError, MissingObjectError, type Where } from '../errors.ts';
import { type Algorithm, digestBytes, type ObjectId, objectIdFromBytes, objectRelativePath } from '../formats/ids.ts';
import type { OwnedBytes } from '../formats/owned-bytes.ts';
import { native, nodeHashing } from '../native.ts';
import { isAbsent } from './absence.ts';
import { type ObjectEntry, type ObjectNames, readObjectNames, readOutsiders } from './object-names.ts';
import { explainReadError, openRegularFile, openRegularFileSync, readWhole, readWholeSync } from './regular-file.ts';
import { TemporaryObject } from './temporary-object.ts';
import { measureVerity } from './verity.ts';

export interface ObjectStoreOptions {
  repositoryPath: string;
  algorithm: Algorithm;
  /** Every object must have fs-verity. */
  secure: boolean;
  /** Asked before every write; rejects where nothing may be written. */
  requireWritable(): Promise<void>;
  /** A directory got a new entry. */
  touched(directory: string): void;
}

/** What is wrong with an object, or nothing. */
export type ObjectVerdict =
  | { state: 'intact' }
  | { state: 'mismatch'; measured: string }
  /** The repository is secure and the file has no fs-verity. */
  | { state: 'no-verity' };

/** Of what is no object: see `sizesOf`. */
export const NO_SIZE = -1;

export class ObjectStore {
  /** Absolute path of `objects/`. */
  readonly root: string;
  readonly #options: ObjectStoreOptions;
  readonly #checkedDirectories = new Set<string>();
  /** Set once the file system said that it has no fs-verity: asking again for every object would be waste. */
  #verityUnsupported = false;

  constructor(options: ObjectStoreOptions) {
    this.#options = options;
    this.root = join(options.repositoryPath, 'objects');
  }

  path(id: ObjectId): string {
    return join(this.root, objectRelativePath(id));
  }

  async has(id: ObjectId): Promise<boolean> {
    return (await this.sizeOf(id)) !== undefined;
  }

  /** Undefined where there is no such object or its name is taken by something that is no file. */
  async sizeOf(id: ObjectId): Promise<number | undefined> {
    this.#checkDirectory(id);
    try {
      const stats = lstatSync(this.path(id));
      return stats.isFile() ? stats.size : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** The same at once, for loops over very many objects. */
  sizeOfSync(id: ObjectId): number | undefined {
    const stats = lstatSync(this.path(id), { throwIfNoEntry: false });
    return stats?.isFile() ? stats.size : undefined;
  }

  /**
   * Sizes of very many objects; NO_SIZE where `sizeOf` says undefined.
   * @param ids raw digests, concatenated
   */
  async sizesOf(ids: Uint8Array): Promise<Float64Array> {
    const { algorithm } = this.#options;
    if (ids.length === 0) return new Float64Array(0);
    if (native !== undefined) return native.objectSizes(this.root, algorithm, ids);
    const oneId = digestBytes(algorithm);
    return Float64Array.from(
      { length: ids.length / oneId },
      (_, i) => this.sizeOfSync(objectIdFromBytes(ids.subarray(i * oneId, (i + 1) * oneId))) ?? NO_SIZE,
    );
  }

  /**
   * The bytes of an object, checked: by the kernel's measurement where the file has fs-verity, else by hashing.
   * @throws MissingObjectError, DigestMismatchError, LimitError above `maxBytes`, FormatError (no file; no fs-verity in a secure
   * repository)
   */
  async read(id: ObjectId, { maxBytes }: { maxBytes: number }): Promise<OwnedBytes> {
    const { handle, sizeBytes } = await this.openUnverified(id);
    try {
      const bytes = await readWhole(handle, sizeBytes, maxBytes, whereOf(id));
      this.#requireIntact(handle.fd, bytes, id);
      return bytes;
    } finally {
      await handle.close();
    }
  }

  /** The same at once: for whoever has nothing else to do meanwhile. @throws as `read` */
  readSync(id: ObjectId, { maxBytes }: { maxBytes: number }): OwnedBytes {
    const { fd, sizeBytes } = this.openUnverifiedSync(id);
    try {
      const bytes = readWholeSync(fd, sizeBytes, maxBytes, whereOf(id));
      this.#requireIntact(fd, bytes, id);
      return bytes;
    } finally {
      closeSync(fd);
    }
  }

  #requireIntact(fd: number, bytes: Uint8Array, id: ObjectId): void {
    const verdict = this.measure(fd, id) ?? compare(nodeHashing.fsVerity(this.#options.algorithm, bytes), id);
    throwUnlessIntact(verdict, id, whereOf(id));
  }

  /**
   * Checks an object without keeping its content in memory; what the kernel has measured is not read again.
   * @throws as `read`
   */
  async verify(id: ObjectId): Promise<{ sizeBytes: number }> {
    const { handle, sizeBytes } = await this.openVerified(id);
    await handle.close();
    return { sizeBytes };
  }

  /**
   * The same, and the file still open: for whoever reads it a second time because it is too large to be held. Objects never change, and
   * with fs-verity the kernel checks them again.
   * @throws as `read`
   */
  async openVerified(id: ObjectId): Promise<{ handle: FileHandle; sizeBytes: number }> {
    const where = whereOf(id);
    const opened = await this.openUnverified(id);
    try {
      const verdict = this.measure(opened.handle.fd, id) ?? compare(await this.#hash(opened.handle), id);
      throwUnlessIntact(verdict, id, where);
      return opened;
    } catch (error) {
      await opened.handle.close();
      throw explainReadError(error, where);
    }
  }

  /**
   * The file itself, for whoever checks it while reading.
   * @throws MissingObjectError, FormatError when the name is taken by something that is no file
   */
  async openUnverified(id: ObjectId): Promise<{ handle: FileHandle; sizeBytes: number }> {
    this.#checkDirectory(id);
    const opened = await openRegularFile(this.path(id), whereOf(id));
    if (opened === undefined) throw new MissingObjectError('is missing', whereOf(id));
    return { handle: opened.handle, sizeBytes: opened.stats.size };
  }

  /** The same at once; the caller closes it. */
  openUnverifiedSync(id: ObjectId): { fd: number; sizeBytes: number } {
    this.#checkDirectory(id);
    const opened = openRegularFileSync(this.path(id), whereOf(id));
    if (opened === undefined) throw new MissingObjectError('is missing', whereOf(id));
    return { fd: opened.fd, sizeBytes: opened.stats.size };
  }

  /** The kernel's word on an open object file; undefined where the content has to be hashed instead. */
  measure(fd: number, id: ObjectId): ObjectVerdict | undefined {
    if (!this.#verityUnsupported) {
      const measured = measureVerity(fd);
      if (typeof measured !== 'string')
        return measured.algorithm === this.#options.algorithm
          ? compare(measured.digest, id)
          : { state: 'mismatch', measured: `${measured.algorithm} ${objectIdFromBytes(measured.digest)}` };
      this.#verityUnsupported = measured !== 'off';
    }
    return this.#options.secure ? { state: 'no-verity' } : undefined;
  }

  /**
   * Stores bytes that are in memory. `isNew`: false when an intact object was there.
   * @param id of just these bytes, where the caller has computed it already
   */
  async store(bytes: Uint8Array, id = this.#idOf(bytes)): Promise<{ id: ObjectId; isNew: boolean }> {
    await this.#options.requireWritable();
    if (await this.#isIntact(id)) return { id, isNew: false };
    await using temporary = await this.createTemporary();
    await temporary.write(bytes);
    return { id, isNew: await temporary.publish(id) };
  }

  #idOf(bytes: Uint8Array): ObjectId {
    return objectIdFromBytes(nodeHashing.fsVerity(this.#options.algorithm, bytes));
  }

  /** A new file without a name, to be written and then published under its digest. */
  async createTemporary(): Promise<TemporaryObject> {
    const { algorithm, secure, requireWritable, touched } = this.#options;
    await requireWritable();
    return TemporaryObject.create({
      root: this.root,
      algorithm,
      secure,
      touched,
      isIntact: (id) => this.#isIntact(id),
    });
  }

  /** What is in the directories `objects/xx`, sorted by directory. @param isWanted by first byte: directories to look into */
  names(isWanted: (firstByte: number) => boolean = () => true): AsyncGenerator<ObjectNames> {
    return readObjectNames(this.root, this.#options.algorithm, isWanted);
  }

  /** The same one by one, objects first in each few directories, then `outsiders`. */
  async *list(): AsyncGenerator<ObjectEntry> {
    const oneId = digestBytes(this.#options.algorithm);
    for await (const { ids, others } of this.names()) {
      for (let at = 0; at < ids.length; at += oneId) {
        const id = objectIdFromBytes(ids.subarray(at, at + oneId));
        yield { path: `objects/${objectRelativePath(id)}`, id, kind: 'file' };
      }
      yield* others;
    }
    yield* this.outsiders();
  }

  /** What lies in `objects/` itself and is no directory of objects, sorted. */
  outsiders(): ObjectEntry[] {
    return readOutsiders(this.root);
  }

  /** The caller holds the exclusive lock and knows that nothing needs the object. */
  async remove(id: ObjectId): Promise<void> {
    await this.#options.requireWritable();
    try {
      await fs.unlink(this.path(id));
    } catch (error) {
      if (!isAbsent(error)) throw explainWriteError(error, { file: `objects/${objectRelativePath(id)}` });
    }
  }

  async #hash(handle: FileHandle): Promise<Uint8Array> {
    const { hashOpenFile } = await import('./hash-files.ts'); // most commands never need it
    return hashOpenFile(handle, this.#options.algorithm);
  }

  async #isIntact(id: ObjectId): Promise<boolean> {
    try {
      await this.verify(id);
      return true;
    } catch (error) {
      if (error instanceof MissingObjectError || error instanceof DigestMismatchError || error instanceof FormatError)
        return false;
      throw error;
    }
  }

  /** `objects/` and `objects/xx` must be directories here, not links to directories elsewhere. */
  #checkDirectory(id: ObjectId): void {
    const fanout = id.slice(0, 2);
    if (this.#checkedDirectories.has(fanout)) return;
    for (const path of ['objects', `objects/${fanout}`]) {
      try {
        const stats = lstatSync(join(this.#options.repositoryPath, path));
        if (!stats.isDirectory()) throw new FormatError('is not a directory', { file: path });
      } catch (error) {
        if (isAbsent(error)) return;
        throw error;
      }
    }
    this.#checkedDirectories.add(fanout);
  }
}

const whereOf = (id: ObjectId): Where => ({ file: `objects/${objectRelativePath(id)}` });

const compare = (digest: Uint8Array, id: ObjectId): ObjectVerdict => {
  const measured = objectIdFromBytes(digest);
  return measured === id ? { state: 'intact' } : { state: 'mismatch', measured };
};

function throwUnlessIntact(verdict: ObjectVerdict, id: ObjectId, where: Where): void {
  switch (verdict.state) {
    case 'intact':
      return;
    case 'mismatch':
      throw new DigestMismatchError(id, verdict.measured, where);
    case 'no-verity':
      throw new FormatError('has no fs-verity, which this repository requires', where);
  }
}
