/** One composefs repository on disk, open: its settings, its lock, its objects and names. */

import { accessSync, closeSync, constants, lstatSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AddonNeededError, CfsError, explainWriteError, FormatError, RepositoryError } from '../errors.ts';
import type { Algorithm } from '../formats/ids.ts';
import {
  checkFeatures,
  parseRepositoryMeta,
  type RepositoryMeta,
  serializeRepositoryMeta,
} from '../formats/repository-meta.ts';
import { native } from '../native.ts';
import { LinkDirectory } from './links.ts';
import { type LockMode, type LockOptions, RepositoryLock } from './lock.ts';
import { createMetadataFile, isSecure, METADATA_FILE, readMetadataFile, syncDirectory } from './metadata-file.ts';
import { ObjectStore } from './objects.ts';
import { type InferredSettings, inferSettings, OLD_FORMAT_EROFS_VERSION } from './old-format.ts';

export interface OpenOptions {
  /** Shared for work, exclusive for gc. */
  lock: LockMode;
  /** Fails at once where nothing may be written; upgrades a repository of the old format. */
  write?: boolean;
  lockTimeoutMs?: number;
  /** Called once, after 2 s of waiting for the lock. */
  onLockWait?: (message: string) => void;
  signal?: AbortSignal;
  /** Treats a secure repository as an insecure one: content is then hashed here wherever the kernel has not measured it. */
  insecure?: boolean;
  /** For checks: opens whatever there is, with `metadataProblem` set instead of an error. Nothing can be written then. */
  tolerant?: boolean;
}

/** Why `meta.json` cannot be used: missing or damaged, or of a layout that we do not know. */
export interface MetadataProblem {
  kind: 'unreadable' | 'incompatible';
  error: CfsError;
}

/** What `meta.json` says, and how far it may be believed. */
interface Settings {
  meta: RepositoryMeta;
  secure: boolean;
  access: 'read-write' | 'read-only';
  /** There is no `meta.json` yet; the first write makes one, with fs-verity or without. */
  oldFormat?: { secure: boolean };
  problem?: MetadataProblem;
}

/**
 * @throws RepositoryError (exit 10): none there, or not one that we may use as asked; FormatError: damaged `meta.json`;
 * LockedError; AddonNeededError
 */
export async function openRepository(path: string, options: OpenOptions): Promise<Repository> {
  const absolute = resolve(path);
  const directory = { fd: openDirectory(absolute) };
  let lock: RepositoryLock | undefined;
  try {
    const { lockTimeoutMs: timeoutMs, onLockWait: onWait, signal } = options;
    lock = await RepositoryLock.acquire(directory, absolute, options.lock, {
      timeoutMs,
      onWait,
      signal,
    } satisfies LockOptions);
    checkDirectories(absolute);
    const settings = readSettings(absolute, options);
    const repository = new Repository(absolute, directory.fd, lock, settings);
    if (options.write) await repository.requireWritable();
    return repository;
  } catch (error) {
    lock?.release();
    closeSync(directory.fd);
    throw explainOpenError(error, absolute);
  }
}

export class Repository implements AsyncDisposable {
  /** Absolute. */
  readonly path: string;
  readonly algorithm: Algorithm;
  /** fs-verity is required of every object. */
  readonly secure: boolean;
  readonly objects: ObjectStore;
  readonly streams: LinkDirectory;
  readonly images: LinkDirectory;
  /** The repository itself, open. */
  readonly #fd: number;
  readonly #lock: RepositoryLock;
  readonly #settings: Settings;
  #writable: Promise<void> | undefined;
  /** Directories with new entries since the last barrier; only kept where there is no `syncfs`. */
  readonly #touched = new Set<string>();
  #closed = false;

  constructor(path: string, fd: number, lock: RepositoryLock, settings: Settings) {
    this.path = path;
    this.algorithm = settings.meta.algorithm;
    this.secure = settings.secure;
    this.#fd = fd;
    this.#lock = lock;
    this.#settings = settings;
    const common = {
      repositoryPath: path,
      algorithm: this.algorithm,
      requireWritable: () => this.requireWritable(),
      touched: (changed: string) => this.#touch(changed),
    };
    this.objects = new ObjectStore({ ...common, secure: this.secure });
    const links = { ...common, hasObject: this.objects.has.bind(this.objects) };
    this.streams = new LinkDirectory({ ...links, kind: 'streams' });
    this.images = new LinkDirectory({ ...links, kind: 'images' });
  }

  get meta(): RepositoryMeta {
    return this.#settings.meta;
  }
  get erofs(): RepositoryMeta['erofs'] {
    return this.#settings.meta.erofs;
  }
  get lockMode(): LockMode {
    return this.#lock.mode;
  }
  /** Only of a repository opened as `tolerant`: why its `meta.json` cannot be used. */
  get metadataProblem(): MetadataProblem | undefined {
    return this.#settings.problem;
  }

  /**
   * Asked before every write; upgrades a repository of the old format.
   * @throws RepositoryError: unknown read-only-compatible features, no permission, read-only file system, no way to lock
   */
  requireWritable(): Promise<void> {
    this.#writable ??= this.#checkWritable();
    return this.#writable;
  }

  /** Everything stored so far is on disk when this resolves. Once for each publication, never for each object. */
  async barrier(): Promise<void> {
    try {
      const addon = native;
      if (addon !== undefined) await addon.syncfs(this.#fd);
      else for (const directory of this.#touched) await syncDirectory(directory);
      this.#touched.clear();
    } catch (error) {
      throw explainWriteError(error, { file: this.path });
    }
  }

  /** Gives the lock back. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#lock.release();
    closeSync(this.#fd);
  }

  #touch(directory: string): void {
    if (native === undefined) this.#touched.add(directory);
  }

  async #checkWritable(): Promise<void> {
    const where = { file: this.path };
    const { access: allowed, problem, oldFormat, meta } = this.#settings;
    if (problem !== undefined) throw problem.error;
    if (allowed === 'read-only')
      throw new RepositoryError(
        `can only be read: unknown features ${meta.features.readOnlyCompatible.join(', ')}`,
        where,
      );
    if (!this.#lock.effective)
      throw new AddonNeededError(
        'cannot be locked: needs the native addon, the fs-ext package or the flock program',
        where,
      );
    try {
      accessSync(this.path, constants.W_OK);
      if (oldFormat === undefined) return;
      const { algorithm } = meta;
      await createMetadataFile(this.path, serializeRepositoryMeta(meta), { algorithm, secure: oldFormat.secure });
      this.#settings.oldFormat = undefined;
    } catch (error) {
      throw explainWriteError(error, where);
    }
  }
}

function openDirectory(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw explainOpenError(error, path);
  }
}

function explainOpenError(error: unknown, path: string): unknown {
  if (error instanceof CfsError || !(error instanceof Error)) return error;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return noRepository(path, error);
    case 'EACCES':
    case 'EPERM':
      return new RepositoryError('permission denied', { file: path }, { cause: error });
    default:
      return error;
  }
}

const noRepository = (path: string, cause?: unknown): RepositoryError =>
  new RepositoryError(`there is no repository here; \`cfs-ostree init ${path}\` makes one`, { file: path }, { cause });

/** The repository's own directories must lie in it: a link in their place would lead our reads and writes elsewhere. */
function checkDirectories(path: string): void {
  for (const name of ['objects', 'streams', 'images', 'cfs-ostree']) {
    const stats = lstatSync(join(path, name), { throwIfNoEntry: false });
    if (stats !== undefined && !stats.isDirectory())
      throw new RepositoryError('is not a directory', { file: join(path, name) });
  }
}

function readSettings(path: string, { insecure = false, tolerant = false }: OpenOptions): Settings {
  try {
    const file = readMetadataFile(path);
    if (file !== undefined) {
      const meta = parseRepositoryMeta(file.bytes, { file: METADATA_FILE });
      const secure = isSecure(file.verity, meta.algorithm) && !insecure;
      return { meta, secure, access: checkFeatures(meta, { file: METADATA_FILE }) };
    }
    const inferred = inferSettings(path);
    if (inferred === undefined) throw noRepository(path);
    if (!tolerant) return oldSettings(inferred, insecure);
    throw new FormatError('is missing; a repository of the old format gets one with the first write', {
      file: METADATA_FILE,
    });
  } catch (error) {
    const problem = tolerant ? metadataProblem(error) : undefined;
    if (problem === undefined || !looksLikeRepository(path)) throw error;
    const inferred = inferSettings(path) ?? { algorithm: 'sha512', secure: false };
    return { ...oldSettings(inferred, insecure), problem };
  }
}

function metadataProblem(error: unknown): MetadataProblem | undefined {
  if (error instanceof AddonNeededError) return undefined;
  if (error instanceof FormatError) return { kind: 'unreadable', error };
  return error instanceof RepositoryError ? { kind: 'incompatible', error } : undefined;
}

/** As composefs-rs 0.9 upgrades it: EROFS version 1. */
function oldSettings({ algorithm, secure }: InferredSettings, insecure: boolean): Settings {
  const bytes = serializeRepositoryMeta({ algorithm, erofs: { default: OLD_FORMAT_EROFS_VERSION, extra: [] } });
  const meta = parseRepositoryMeta(bytes, { file: METADATA_FILE });
  return { meta, secure: secure && !insecure, access: 'read-write', oldFormat: { secure } };
}

const looksLikeRepository = (path: string): boolean =>
  [METADATA_FILE, 'objects', 'streams'].some((name) => isThere(join(path, name)));

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}
