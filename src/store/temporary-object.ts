/** An object on its way into the store: no name until its content is complete and its digest known. */

import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { explainWriteError, FormatError } from '../errors.ts';
import { type Algorithm, idToBytes, type ObjectId, objectRelativePath } from '../formats/ids.ts';
import { native } from '../native.ts';
import { makeDirectory } from './directories.ts';
import { TEMPORARY_NAME_TRIES, TEMPORARY_OBJECT_PREFIX, temporaryName } from './temporaries.ts';
import { enableVerity } from './verity.ts';

/** What a temporary has to know about its store. */
export interface TemporaryContext {
  /** Absolute path of `objects/`. */
  root: string;
  algorithm: Algorithm;
  secure: boolean;
  /** Whether a file of this name is there and is what its name says. */
  isIntact(id: ObjectId): Promise<boolean>;
  /** A directory got a new entry; without `syncfs` the barrier has to flush it. */
  touched(directory: string): void;
}

const OBJECT_MODE = 0o644;
/** Linux `__O_TMPFILE`, which Node does not name; it needs O_DIRECTORY beside it. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
const NAMED_FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;

export class TemporaryObject implements AsyncDisposable {
  readonly #context: TemporaryContext;
  #handle: FileHandle;
  /** None: an unnamed file, which only the addon can link. */
  #path: string | undefined;
  #open = true;

  private constructor(context: TemporaryContext, handle: FileHandle, path: string | undefined) {
    this.#context = context;
    this.#handle = handle;
    this.#path = path;
  }

  static async create(context: TemporaryContext): Promise<TemporaryObject> {
    try {
      await makeDirectory(context.root);
      if (native !== undefined) {
        const handle = await openUnnamed(context.root);
        if (handle !== undefined) return new TemporaryObject(context, handle, undefined);
      }
      const { handle, path } = await openNamed(context.root);
      return new TemporaryObject(context, handle, path);
    } catch (error) {
      throw explainWriteError(error, { file: context.root });
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < chunk.length; ) at += (await this.#handle.write(chunk, at, chunk.length - at)).bytesWritten;
    } catch (error) {
      throw explainWriteError(error, { file: this.#context.root });
    }
  }

  /**
   * Gives the content its name. A damaged object of that name (power was lost before its data was on disk) is replaced.
   * @param id fs-verity digest of what was written; a secure repository has the kernel measure it again
   * @returns false when an intact object of that name was there already
   */
  async publish(id: ObjectId): Promise<boolean> {
    const { root, algorithm, secure, touched } = this.#context;
    const path = join(root, objectRelativePath(id));
    const directory = join(root, id.slice(0, 2));
    try {
      if (native === undefined) await this.#handle.sync();
      if (secure) {
        await this.#reopenReadOnly();
        await enableVerity(this.#handle, algorithm, idToBytes(id), { object: id });
      }
      if (await makeDirectory(directory)) touched(root);
      const isNew = (await this.#linkAs(path)) || (await this.#replaceDamaged(path, id));
      if (isNew) touched(directory);
      return isNew;
    } catch (error) {
      throw explainWriteError(error, { file: root, object: id });
    } finally {
      await this[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#handle.close().catch(() => {});
    if (this.#path !== undefined) await fs.unlink(this.#path).catch(() => {}); // gc sweeps what stays
  }

  /** fs-verity can only be turned on while nobody has the file open for writing. */
  async #reopenReadOnly(): Promise<void> {
    const reader = await fs.open(`/proc/self/fd/${this.#handle.fd}`, constants.O_RDONLY);
    await this.#handle.close();
    this.#handle = reader;
  }

  async #linkAs(path: string): Promise<boolean> {
    try {
      if (this.#path !== undefined) await fs.link(this.#path, path);
      else native?.linkFd(this.#handle.fd, path);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }

  async #replaceDamaged(path: string, id: ObjectId): Promise<boolean> {
    if (await this.#context.isIntact(id)) return false;
    if (this.#path === undefined) {
      const named = join(this.#context.root, temporaryName(TEMPORARY_OBJECT_PREFIX));
      native?.linkFd(this.#handle.fd, named);
      this.#path = named;
    }
    try {
      await fs.rename(this.#path, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EISDIR') throw error;
      throw new FormatError(
        'a directory lies under this name; run `cfs-ostree fsck`',
        { object: id },
        { cause: error },
      );
    }
    this.#path = undefined;
    return true;
  }
}

async function openUnnamed(directory: string): Promise<FileHandle | undefined> {
  try {
    return await fs.open(directory, O_TMPFILE | constants.O_RDWR, OBJECT_MODE);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EOPNOTSUPP' || code === 'ENOTSUP' || code === 'EISDIR') return undefined; // the file system has no such thing
    throw error;
  }
}

async function openNamed(directory: string): Promise<{ handle: FileHandle; path: string }> {
  for (let attempt = 1; ; attempt++) {
    const path = join(directory, temporaryName(TEMPORARY_OBJECT_PREFIX));
    try {
      return { handle: await fs.open(path, NAMED_FLAGS, OBJECT_MODE), path };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === TEMPORARY_NAME_TRIES) throw error;
    }
  }
}
