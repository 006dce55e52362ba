/**
 * `streams/` and `images/`: first-level links from a name to an object, and refs, links from a name to a first-level name.
 * Only the exact targets that writers produce are understood; nothing is ever followed by the kernel.
 *
 * Node's synchronous calls: they are done sooner than another thread is told of them, and node:fs/promises is not loaded for a listing.
 */

import { lstatSync, readdirSync, readlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  explainWriteError,
  FormatError,
  MissingObjectError,
  NotFoundError,
  UsageError,
  type Where,
} from '../errors.ts';
import type { Algorithm, ObjectId } from '../formats/ids.ts';
import { isPathAbsent } from './absence.ts';
import { makeDirectory } from './directories.ts';
import { nameOfRefTarget, objectOfTarget, objectTarget, refTarget } from './link-targets.ts';
import { lockDirectory } from './lock.ts';
import { checkFirstLevelName, checkRefPath, REFS_DIRECTORY } from './names.ts';
import { replaceSymlink } from './replace-symlink.ts';

export type LinkKind = 'streams' | 'images';

export interface LinkDirectoryOptions {
  repositoryPath: string;
  kind: LinkKind;
  algorithm: Algorithm;
  requireWritable(): Promise<void>;
  hasObject(id: ObjectId): Promise<boolean>;
  touched(directory: string): void;
}

/** One entry directly inside `streams/` or `images/`, as it lies there. */
export interface FirstLevelEntry {
  name: string;
  /** Undefined: no symlink. */
  linkText?: string;
  /** Where the link's text is exactly that of an object. */
  id?: ObjectId;
}

/** One leaf below `refs/`, as it lies there. */
export interface RefEntry {
  /** Relative to `refs/`, components joined with `/`. */
  ref: string;
  /** Undefined: no symlink. */
  linkText?: string;
  /** First-level name, where the link's text is exactly that of one. */
  target?: string;
}

const DIRECTORY_MODE = 0o755;

export class LinkDirectory {
  readonly kind: LinkKind;
  readonly #options: LinkDirectoryOptions;
  readonly #root: string;

  constructor(options: LinkDirectoryOptions) {
    this.#options = options;
    this.kind = options.kind;
    this.#root = join(options.repositoryPath, options.kind);
  }

  /**
   * The object behind a first-level name. The link says nothing about whether the object is there.
   * @throws UsageError for impossible names; FormatError when the entry is no link or its target is not exactly an object's
   */
  async resolve(name: string): Promise<ObjectId | undefined> {
    const where = this.#where(name);
    checkFirstLevelName(name, where);
    const target = this.#readLink(join(this.#root, name), where);
    if (target === undefined) return undefined;
    const id = objectOfTarget(target, this.#options.algorithm);
    if (id === undefined) throw new FormatError(`link target ${JSON.stringify(target)} is not an object's`, where);
    return id;
  }

  /**
   * Creates or atomically replaces a first-level link. The object must be complete and durable: see publish.ts.
   * @throws MissingObjectError when there is no such object
   */
  async publish(name: string, id: ObjectId): Promise<void> {
    const where = this.#where(name);
    checkFirstLevelName(name, where);
    if (this.kind === 'images' && name !== id) throw new UsageError(`an image is linked by its id ${id}`, where);
    await this.#options.requireWritable();
    if (!(await this.#options.hasObject(id))) throw new MissingObjectError(`object ${id} is not stored`, where);
    await this.#replace([], name, objectTarget(id), where);
  }

  /**
   * Keeps other publishers away until it is disposed of: nobody may take a link away between its making and that of its ref, and
   * two pulls of one commit share its partial stream.
   */
  async lock(): Promise<AsyncDisposable> {
    await this.#options.requireWritable();
    try {
      if (await makeDirectory(this.#root, DIRECTORY_MODE)) this.#options.touched(this.#options.repositoryPath);
      return await lockDirectory(this.#root);
    } catch (error) {
      throw explainWriteError(error, { file: this.kind });
    }
  }

  /** Removes a first-level link. @returns false when there was none */
  async remove(name: string): Promise<boolean> {
    checkFirstLevelName(name, this.#where(name));
    return this.#unlink(name);
  }

  /** First-level links with the object that each names, sorted by name; what is no such link is passed over. */
  async *list(): AsyncGenerator<{ name: string; id: ObjectId }> {
    for await (const { name, id } of this.entries()) if (id !== undefined) yield { name, id };
  }

  /** Everything directly inside but `refs`, sound or not, sorted by name. */
  async *entries(): AsyncGenerator<FirstLevelEntry> {
    for (const entry of this.#readDirectory('')) {
      if (entry.name === REFS_DIRECTORY) continue;
      const linkText = entry.isSymbolicLink() ? this.#readLinkIfThere(entry.name) : undefined;
      yield {
        name: entry.name,
        linkText,
        id: linkText === undefined ? undefined : objectOfTarget(linkText, this.#options.algorithm),
      };
    }
  }

  /**
   * Points a ref at a first-level name, atomically.
   * @throws NotFoundError when there is no such name, MissingObjectError when it leads to no object
   */
  async setRef(refPath: string, name: string): Promise<void> {
    const where = this.#whereRef(refPath);
    checkRefPath(refPath, where);
    await this.#options.requireWritable();
    const id = await this.resolve(name);
    if (id === undefined) throw new NotFoundError(`there is no ${this.kind}/${name}`, where);
    if (!(await this.#options.hasObject(id)))
      throw new MissingObjectError(`${this.kind}/${name} leads to object ${id}, which is missing`, where);
    const components = refPath.split('/');
    const leaf = components.pop() as string;
    await this.#replace([REFS_DIRECTORY, ...components], leaf, refTarget(refPath, name), where);
  }

  /** @returns false when there was none */
  async removeRef(refPath: string): Promise<boolean> {
    checkRefPath(refPath, this.#whereRef(refPath));
    this.#checkParents(refPath);
    return this.#unlink(`${REFS_DIRECTORY}/${refPath}`);
  }

  /**
   * The first-level name that a ref points at.
   * @throws FormatError when it is no link, or its target is not exactly a first-level name's
   */
  async resolveRef(refPath: string): Promise<string | undefined> {
    const where = this.#whereRef(refPath);
    checkRefPath(refPath, where);
    if (!this.#checkParents(refPath)) return undefined;
    const target = this.#readLink(join(this.#root, REFS_DIRECTORY, refPath), where);
    if (target === undefined) return undefined;
    const name = nameOfRefTarget(refPath, target);
    if (name === undefined)
      throw new FormatError(`link target ${JSON.stringify(target)} is not that of an entry of ${this.kind}/`, where);
    return name;
  }

  /** Refs with the first-level name that each points at; what is no such link is passed over. */
  async *listRefs(): AsyncGenerator<{ ref: string; target: string }> {
    for await (const { ref, target } of this.refEntries()) if (target !== undefined) yield { ref, target };
  }

  /** Every leaf below `refs/`, sound or not, sorted within each directory. */
  async *refEntries(): AsyncGenerator<RefEntry> {
    const pending = [''];
    for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
      const below: string[] = [];
      for (const entry of this.#readDirectory(join(REFS_DIRECTORY, directory))) {
        const ref = directory === '' ? entry.name : `${directory}/${entry.name}`;
        if (entry.isDirectory()) below.push(ref);
        else if (!entry.isSymbolicLink()) yield { ref };
        else {
          const linkText = this.#readLinkIfThere(`${REFS_DIRECTORY}/${ref}`);
          yield { ref, linkText, target: linkText === undefined ? undefined : nameOfRefTarget(ref, linkText) };
        }
      }
      pending.push(...below.reverse());
    }
  }

  /** When the link itself was made, in milliseconds since the epoch. */
  refChangedAt(refPath: string): number | undefined {
    return this.#changedAt(`${REFS_DIRECTORY}/${refPath}`);
  }

  linkChangedAt(name: string): number | undefined {
    return this.#changedAt(name);
  }

  #changedAt(path: string): number | undefined {
    try {
      return lstatSync(join(this.#root, path)).mtimeMs;
    } catch (error) {
      if (isPathAbsent(error)) return undefined;
      throw error;
    }
  }

  #readLink(path: string, where: Where): string | undefined {
    this.#checkDirectory('');
    try {
      return readlinkSync(path);
    } catch (error) {
      if (isPathAbsent(error)) return undefined;
      if ((error as NodeJS.ErrnoException).code === 'EINVAL')
        throw new FormatError('is not a symlink', where, { cause: error });
      throw error;
    }
  }

  /** For listings: an entry whose name is not UTF-8 cannot be asked again by name, and has no target then. */
  #readLinkIfThere(path: string): string | undefined {
    try {
      return readlinkSync(join(this.#root, path));
    } catch (error) {
      if (isPathAbsent(error)) return undefined;
      throw error;
    }
  }

  async #replace(parents: string[], leaf: string, target: string, where: Where): Promise<void> {
    const { repositoryPath, touched } = this.#options;
    try {
      let directory = this.#root;
      for (const component of ['', ...parents]) {
        const parent = directory;
        directory = join(directory, component);
        if (await makeDirectory(directory, DIRECTORY_MODE)) touched(parent);
      }
      if (await replaceSymlink(repositoryPath, target, join(directory, leaf))) touched(directory);
    } catch (error) {
      throw explainWriteError(error, where);
    }
  }

  async #unlink(path: string): Promise<boolean> {
    await this.#options.requireWritable();
    this.#checkDirectory('');
    try {
      unlinkSync(join(this.#root, path));
      return true;
    } catch (error) {
      if (isPathAbsent(error)) return false;
      throw explainWriteError(error, { file: `${this.kind}/${path}` });
    }
  }

  #readDirectory(path: string) {
    if (!this.#checkDirectory(path)) return [];
    const entries = readdirSync(join(this.#root, path), { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  /** Every directory on the way to a ref must be one here, not a link to one elsewhere. */
  #checkParents(refPath: string): boolean {
    let path: string = REFS_DIRECTORY;
    for (const component of ['', ...refPath.split('/').slice(0, -1)]) {
      path = join(path, component);
      if (!this.#checkDirectory(path)) return false;
    }
    return true;
  }

  /** False where there is none. @throws FormatError when something else has that name */
  #checkDirectory(path: string): boolean {
    try {
      const stats = lstatSync(join(this.#root, path));
      if (!stats.isDirectory()) throw new FormatError('is not a directory', { file: join(this.kind, path) });
      return true;
    } catch (error) {
      if (isPathAbsent(error)) return false;
      throw error;
    }
  }

  #where(name: string): Where {
    return { file: `${this.kind}/${name}` };
  }
  #whereRef(refPath: string): Where {
    return { file: `${this.kind}/${REFS_DIRECTORY}/${refPath}` };
  }
}
