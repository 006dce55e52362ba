/**
 * Adds objects and refs to an ostree repository in the order that libostree itself uses: stage, one sync, rename, sync the
 * directories, then refs (ostree-repo facts of libostree 2026.4). Content-addressed objects are never replaced.
 */

import { type FileHandle, link, lstat, mkdtemp, open, readdir, rename, rm, unlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConflictError, explainWriteError, LockedError } from '../errors.ts';
import type { Checksum, ObjectId } from '../formats/ids.ts';
import { validateRefName } from '../formats/ostree/refs.ts';
import type { NativeAddon } from '../native.ts';
import { makeDirectories } from '../store/directories.ts';
import type { Repository } from '../store/repository.ts';
import type { StoredCommit, StoredFile } from './commit-reader.ts';
import { type ExportedObject, stagedName, stagedPath } from './exported-object.ts';
import { NativeStaging } from './native-staging.ts';
import { type ExportMode, type FileStager, openFileStager } from './ostree-file-stager.ts';
import { METADATA_FILE_MODE, openOrCreateRepository, writeNew } from './ostree-repository.ts';

export class OstreeWriter implements AsyncDisposable {
  written = 0;
  present = 0;
  bytesWritten = 0;
  hasSummary = false;
  readonly #path: string;
  readonly #staging: string;
  readonly #mode: ExportMode;
  readonly #stager: FileStager;
  /** The fast way. */
  readonly #batches: NativeStaging | undefined;
  readonly #lock: FileHandle | undefined;
  readonly #native: NativeAddon | undefined;
  /** By name. */
  readonly #staged = new Map<string, ExportedObject>();
  readonly #detached = new Set<Checksum>();

  private constructor(
    path: string,
    staging: string,
    mode: ExportMode,
    stager: FileStager,
    batches: NativeStaging | undefined,
    addon: NativeAddon | undefined,
    lock: FileHandle | undefined,
  ) {
    this.#path = path;
    this.#staging = staging;
    this.#mode = mode;
    this.#stager = stager;
    this.#batches = batches;
    this.#native = addon;
    this.#lock = lock;
  }

  /** @throws RepositoryError when something else is there; ConflictError when the repository has another mode */
  static async open(
    { objects, algorithm }: Repository,
    path: string,
    mode: ExportMode | undefined,
    addon: NativeAddon | undefined,
  ): Promise<OstreeWriter> {
    if (mode !== undefined) openFileStager(mode, addon); // refused before anything is made
    try {
      const actual = await openOrCreateRepository(path, mode);
      const stager = openFileStager(actual, addon);
      const lock = await lockShared(path, addon);
      await makeDirectories(join(path, 'tmp'));
      const staging = await mkdtemp(join(path, 'tmp', 'cfs-ostree-export-'));
      const directories = { objects: objects.root, staging, target: join(path, 'objects') };
      const batches = addon && (await NativeStaging.open(addon, directories, actual, algorithm));
      const writer = new OstreeWriter(path, staging, actual, stager, batches, addon, lock);
      writer.hasSummary = await exists(join(path, 'summary'));
      return writer;
    } catch (error) {
      throw explainWriteError(error, { file: path });
    }
  }

  /** Objects of a stored commit. @returns those that have to be staged one by one: that works, or tells what is wrong */
  async stageBatch(stored: StoredCommit, objects: ExportedObject[]): Promise<ExportedObject[]> {
    if (this.#batches === undefined) return objects;
    const fresh = objects.filter((object) => !this.#staged.has(stagedName(object, this.#mode)));
    const results = await this.#batches.stage(stored, fresh);
    return fresh.filter((object, i) => {
      const result = results[i];
      if (result === undefined) return true;
      if (result === 'present') this.present++;
      else {
        this.#staged.set(stagedName(object, this.#mode), object);
        this.bytesWritten += result;
        this.written++;
      }
      return false;
    });
  }

  stageMetadata(checksum: Checksum, type: 'commit' | 'dirtree' | 'dirmeta', bytes: Uint8Array): Promise<void> {
    return this.#stage({ type, checksum }, async (target) => {
      await writeNew(target, bytes);
      return bytes.length;
    });
  }

  /** Content is hashed with its header on the way. @throws DigestMismatchError; FormatError for what the mode cannot hold */
  stageFile(checksum: Checksum, file: StoredFile, objectPath: (id: ObjectId) => string): Promise<void> {
    return this.#stage({ type: 'file', checksum }, (target) => this.#stager.stage(target, checksum, file, objectPath));
  }

  async stageDetachedMetadata(commit: Checksum, bytes: Uint8Array): Promise<void> {
    try {
      await writeNew(join(this.#staging, `${commit}.commitmeta`), bytes, 'w');
      this.#detached.add(commit);
    } catch (error) {
      throw explainWriteError(error, { file: this.#path });
    }
  }

  /** Makes everything staged durable and visible, then moves the refs. */
  async commit(refs: Array<{ ref: string; commit: Checksum }>): Promise<void> {
    try {
      for (const { ref } of refs) await this.#checkRef(ref);
      await this.#sync();
      const directories = new Set<string>();
      for (const name of this.#staged.keys()) directories.add(dirname(this.#objectPath(name)));
      const staged = [...this.#staged.values()];
      const isCommit = ({ type }: ExportedObject) => type === 'commit';
      const contents = staged.filter((object) => !isCommit(object));
      await (this.#batches?.publishContents(contents) ?? this.#link(contents));
      const commits = staged.filter(isCommit);
      await (this.#batches?.publish(commits) ?? this.#link(commits));
      for (const commit of this.#detached) {
        const target = this.#objectPath(`${commit}.commitmeta`);
        await makeDirectories(dirname(target));
        directories.add(dirname(target));
        await rename(join(this.#staging, `${commit}.commitmeta`), target);
      }
      for (const directory of [...directories, join(this.#path, 'objects')]) await syncPath(directory);
      for (const { commit } of refs) {
        await rm(join(this.#path, 'state', `${commit}.commitpartial`), { force: true });
        await rm(this.#objectPath(`${commit}.tombstone-commit`), { force: true });
      }
      for (const { ref, commit } of refs) await this.#writeRef(ref, commit);
      const now = new Date();
      await utimes(this.#path, now, now); // how readers notice that refs have changed
    } catch (error) {
      throw explainWriteError(error, { file: this.#path });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#batches?.[Symbol.asyncDispose]();
    await rm(this.#staging, { recursive: true, force: true }).catch(() => {});
    await this.#lock?.close();
  }

  /** The way without the addon. */
  async #link(objects: ExportedObject[]): Promise<void> {
    for (const object of objects) {
      const target = this.#objectPath(stagedName(object, this.#mode));
      await makeDirectories(dirname(target));
      await linkNew(join(this.#staging, stagedPath(object, this.#mode)), target);
    }
  }

  async #stage(object: ExportedObject, write: (target: string) => Promise<number>): Promise<void> {
    const name = stagedName(object, this.#mode);
    if (this.#staged.has(name)) return;
    if (await exists(this.#objectPath(name))) {
      this.present++;
      return;
    }
    this.#staged.set(name, object);
    const path = join(this.#staging, stagedPath(object, this.#mode));
    try {
      await makeDirectories(dirname(path));
      const bytes = await write(path);
      this.bytesWritten += bytes;
      this.written++;
    } catch (error) {
      this.#staged.delete(name);
      await rm(path, { force: true }).catch(() => {}); // what lies there may be published with its directory; the first error is the one to tell
      throw explainWriteError(error, { file: this.#path });
    }
  }

  #objectPath(name: string): string {
    return join(this.#path, 'objects', name.slice(0, 2), name.slice(2));
  }

  async #sync(): Promise<void> {
    if (this.#native !== undefined) {
      await using directory = await open(this.#path, 'r');
      await this.#native.syncfs(directory.fd);
      return;
    }
    for (const entry of await readdir(this.#staging, { withFileTypes: true, recursive: true }))
      if (entry.isFile()) await syncPath(join(entry.parentPath, entry.name));
  }

  /** `a` and `a/b` cannot both be refs: they are files. */
  async #checkRef(ref: string): Promise<void> {
    validateRefName(ref, { file: this.#path, field: 'ref' });
    const parts = ref.split('/');
    for (let i = 1; i <= parts.length; i++) {
      const stat = await lstat(join(this.#path, 'refs/heads', ...parts.slice(0, i))).catch(() => undefined);
      if (stat === undefined) return;
      if (stat.isDirectory() === (i === parts.length))
        throw new ConflictError(`ref ${parts.slice(0, i).join('/')} is in the way of ref ${ref}`, { file: this.#path });
    }
  }

  async #writeRef(ref: string, commit: Checksum): Promise<void> {
    const target = join(this.#path, 'refs/heads', ref);
    await makeDirectories(dirname(target));
    const temporary = join(this.#staging, 'ref');
    const file = await open(temporary, 'w', METADATA_FILE_MODE);
    try {
      await file.writeFile(`${commit}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
    await syncPath(dirname(target));
  }
}

/** How often, and how many times, the lock of the repository is tried: libostree waits 300 s by default. */
const LOCK_RETRY_MS = 500;
const LOCK_TRIES = 600;

/** libostree's shared lock, which keeps its prune away. Without the addon there is none to be had. */
async function lockShared(path: string, addon: NativeAddon | undefined): Promise<FileHandle | undefined> {
  if (addon === undefined) return undefined;
  const file = await open(join(path, '.lock'), 'a+', 0o660);
  for (let attempt = 0; attempt < LOCK_TRIES; attempt++) {
    if (addon.ofdLock(file.fd, 'sh')) return file;
    await new Promise((resolve) => setTimeout(resolve, LOCK_RETRY_MS));
  }
  await file.close();
  throw new LockedError('is locked by another process', { file: path });
}

/** Never replaces: an object that is there already has the same content. */
async function linkNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  await unlink(from);
}

async function syncPath(path: string): Promise<void> {
  await using file = await open(path, 'r');
  await file.sync();
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );
