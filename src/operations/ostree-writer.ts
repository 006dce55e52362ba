/**
 * Adds objects and refs to an ostree repository in the order that libostree itself uses: stage, one sync, rename, sync the
 * directories, then refs (ostree-repo facts of libostree 2026.4). Content-addressed objects are never replaced.
 */

import {
  type FileHandle,
  link,
  lstat,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  unlink,
  utimes,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConflictError, explainWriteError, FormatError, LockedError, RepositoryError } from '../errors.ts';
import type { Checksum, ObjectId } from '../formats/ids.ts';
import { validateRefName } from '../formats/ostree/refs.ts';
import { parseRepoConfig } from '../formats/ostree/repo-config.ts';
import type { NativeAddon } from '../native.ts';
import { makeDirectories } from '../store/directories.ts';
import { temporaryName } from '../store/temporaries.ts';
import type { StoredFile } from './commit-reader.ts';
import { type ExportMode, type FileStager, openFileStager } from './ostree-file-stager.ts';

const MODE_IN_CONFIG: Record<ExportMode, string> = {
  archive: 'archive-z2',
  bare: 'bare',
  'bare-user': 'bare-user',
  'bare-user-only': 'bare-user-only',
};
/** The directory of objects comes last: it is what makes a directory a repository. */
const INITIAL_DIRECTORIES = [
  'tmp',
  'tmp/cache',
  'extensions',
  'state',
  'refs',
  'refs/heads',
  'refs/mirrors',
  'refs/remotes',
  'objects',
];
const METADATA_FILE_MODE = 0o644;
const TEMPORARY_CONFIG_PREFIX = '.tmp-config-';

export class OstreeWriter implements AsyncDisposable {
  written = 0;
  present = 0;
  bytesWritten = 0;
  hasSummary = false;
  readonly #path: string;
  readonly #staging: string;
  readonly #stager: FileStager;
  readonly #lock: FileHandle | undefined;
  readonly #native: NativeAddon | undefined;
  /** Staged file names, `<checksum>.<suffix>`. */
  readonly #staged = new Set<string>();
  readonly #detached = new Set<Checksum>();

  private constructor(
    path: string,
    staging: string,
    stager: FileStager,
    addon: NativeAddon | undefined,
    lock: FileHandle | undefined,
  ) {
    this.#path = path;
    this.#staging = staging;
    this.#stager = stager;
    this.#native = addon;
    this.#lock = lock;
  }

  /** @throws RepositoryError when something else is there; ConflictError when the repository has another mode */
  static async open(path: string, mode: ExportMode | undefined, addon: NativeAddon | undefined): Promise<OstreeWriter> {
    if (mode !== undefined) openFileStager(mode, addon); // refused before anything is made
    try {
      const actual = await openOrCreate(path, mode);
      const stager = openFileStager(actual, addon);
      const lock = await lockShared(path, addon);
      await makeDirectories(join(path, 'tmp'));
      const staging = await mkdtemp(join(path, 'tmp', 'cfs-ostree-export-'));
      const writer = new OstreeWriter(path, staging, stager, addon, lock);
      writer.hasSummary = await exists(join(path, 'summary'));
      return writer;
    } catch (error) {
      throw explainWriteError(error, { file: path });
    }
  }

  stageMetadata(checksum: Checksum, type: 'commit' | 'dirtree' | 'dirmeta', bytes: Uint8Array): Promise<void> {
    return this.#stage(checksum, type, async (target) => {
      await writeNew(target, bytes);
      return bytes.length;
    });
  }

  /** Content is hashed with its header on the way. @throws DigestMismatchError; FormatError for what the mode cannot hold */
  stageFile(checksum: Checksum, file: StoredFile, objectPath: (id: ObjectId) => string): Promise<void> {
    return this.#stage(checksum, this.#stager.suffix, (target) =>
      this.#stager.stage(target, checksum, file, objectPath),
    );
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
      const names = [...this.#staged].sort((a, b) => Number(a.endsWith('.commit')) - Number(b.endsWith('.commit')));
      for (const name of names) {
        const target = this.#objectPath(name);
        await makeDirectories(dirname(target));
        directories.add(dirname(target));
        await linkNew(join(this.#staging, name), target);
      }
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
    await rm(this.#staging, { recursive: true, force: true }).catch(() => {});
    await this.#lock?.close();
  }

  async #stage(checksum: Checksum, suffix: string, write: (target: string) => Promise<number>): Promise<void> {
    const name = `${checksum}.${suffix}`;
    if (this.#staged.has(name)) return;
    if (await exists(this.#objectPath(name))) {
      this.present++;
      return;
    }
    this.#staged.add(name);
    try {
      const bytes = await write(join(this.#staging, name));
      this.bytesWritten += bytes;
      this.written++;
    } catch (error) {
      this.#staged.delete(name);
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
    for (const entry of await readdir(this.#staging, { withFileTypes: true }))
      if (entry.isFile()) await syncPath(join(this.#staging, entry.name));
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

async function openOrCreate(path: string, mode: ExportMode | undefined): Promise<ExportMode> {
  const config = await readFile(join(path, 'config')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (config !== undefined) {
    const actual = parseRepoConfig(config, { file: join(path, 'config') }).mode;
    if (mode !== undefined && mode !== actual)
      throw new ConflictError(`is a repository of mode ${actual}, not ${mode}`, { file: path });
    if (actual === 'bare-split-xattrs')
      throw new RepositoryError('bare-split-xattrs repositories can only be read', { file: path });
    for (const name of INITIAL_DIRECTORIES) await makeDirectories(join(path, name));
    return actual;
  }
  await makeDirectories(path).catch((error: unknown) => {
    if (error instanceof FormatError || (error as NodeJS.ErrnoException).code === 'ENOTDIR')
      throw new RepositoryError('is no directory', { file: path });
    throw error;
  });
  const entries = await readdir(path);
  if (entries.some((name) => !name.startsWith(TEMPORARY_CONFIG_PREFIX)))
    throw new RepositoryError('is neither empty nor an ostree repository; name a new directory', { file: path });
  const chosen = mode ?? 'archive';
  for (const leftover of entries) await unlink(join(path, leftover));
  await writeConfig(path, `[core]\nrepo_version=1\nmode=${MODE_IN_CONFIG[chosen]}\n`);
  for (const name of INITIAL_DIRECTORIES) await makeDirectories(join(path, name));
  return chosen;
}

/** Whole or not at all: what is no repository and not empty would be refused from then on. */
async function writeConfig(path: string, text: string): Promise<void> {
  const temporary = join(path, temporaryName(TEMPORARY_CONFIG_PREFIX));
  try {
    await writeNew(temporary, new TextEncoder().encode(text));
    await rename(temporary, join(path, 'config'));
  } catch (error) {
    await unlink(temporary).catch(() => {}); // the first error is the one to tell
    throw error;
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

async function writeNew(path: string, bytes: Uint8Array, flags: 'wx' | 'w' = 'wx'): Promise<void> {
  const file = await open(path, flags, METADATA_FILE_MODE);
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
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
