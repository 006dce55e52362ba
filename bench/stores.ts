/** Stores for trials: what a trial changes is its own and gone afterwards; what it only reads is made once. */

import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runChecked } from '../test/support/run-command.ts';
import { ensureBare, ensureHistory, ensureTree, type Fixture } from './fixture.ts';
import { cfsctl, cfsOstree, ostree, type ProgramName, run } from './programs.ts';
import type { Servers } from './servers.ts';

/** Name of the remote in stores of ostree. */
export const REMOTE = 'bench';

export class Stores {
  readonly #directory: string;
  readonly #fixture: Fixture;
  readonly #servers: Servers;
  /** Paths of what is kept between trials. */
  readonly #kept = new Map<string, Promise<string>>();
  #made = 0;

  /** @param directory empty, on the file system that is to be measured */
  constructor(directory: string, fixture: Fixture, servers: Servers) {
    this.#directory = directory;
    this.#fixture = fixture;
    this.#servers = servers;
  }

  /** Of nothing yet, on the file system that is measured. */
  path(): string {
    return join(this.#directory, `${this.#made++}`);
  }

  /** An empty store. */
  async empty(program: ProgramName): Promise<string> {
    const path = this.path();
    switch (program) {
      case 'cfs-ostree':
        await run(cfsOstree(path, 'init', '--insecure', path));
        break;
      case 'cfsctl':
        await run(cfsctl(path, 'init', '--insecure', path));
        break;
      case 'ostree': {
        const { url } = await this.#servers.near();
        await mkdir(path);
        await run(ostree(path, 'init', '--mode=bare'));
        await run(ostree(path, 'remote', 'add', '--no-sign-verify', REMOTE, url));
      }
    }
    return path;
  }

  /** A store with the base commit, for operations that change nothing. */
  withBase(program: ProgramName): Promise<string> {
    return this.keep(`${program} with base`, async () => {
      const path = await this.empty(program);
      await this.#pull(program, path, this.#fixture.base.ref);
      return path;
    });
  }

  /** The same, for an operation that adds or removes. */
  async copyWithBase(program: ProgramName): Promise<string> {
    return this.copyOf(await this.withBase(program));
  }

  /** A store that has both commits, and a name for the second one only. */
  async copyWithDroppedBase(program: ProgramName): Promise<string> {
    const template = this.keep(`${program} with base dropped`, async () => {
      const path = await this.copyWithBase(program);
      await this.#pull(program, path, this.#fixture.update.ref);
      const { ref } = this.#fixture.base;
      if (program === 'cfs-ostree') await run(cfsOstree(path, 'untag', ref));
      else if (program === 'cfsctl') await run(cfsctl(path, 'ostree', 'untag', ref));
      else await run(ostree(path, 'refs', '--delete', `${REMOTE}:${ref}`));
      return path;
    });
    return this.copyOf(await template);
  }

  /** A store of ours that has the base commit and all of the history. */
  async copyWithHistory(): Promise<string> {
    const template = this.keep('history', async () => {
      const path = await this.copyWithBase('cfs-ostree');
      const history = await ensureHistory(this.#fixture);
      const { url } = await this.#servers.near();
      await run(cfsOstree(path, 'pull', url, ...history, '--base', this.#fixture.base.ref));
      return path;
    });
    return this.copyOf(await template);
  }

  /** Both commits in a bare repository on the file system that is measured, so that files can be linked. Not to be changed. */
  bareSource(): Promise<string> {
    return this.keep('bare source', async () => this.#here(await ensureBare(this.#fixture)));
  }

  /** The base commit's files, on the file system that is measured. Not to be changed. */
  treeSource(): Promise<string> {
    return this.keep('tree source', async () => this.#here(await ensureTree(this.#fixture)));
  }

  /** A tree of hard links: no program that takes part changes an object once it has its name. */
  async copyOf(template: string): Promise<string> {
    const path = this.path();
    await runChecked('cp', ['-al', template, path]);
    return path;
  }

  /** Everything but what is kept. */
  async clean(): Promise<void> {
    const kept = new Set(await Promise.all(this.#kept.values()));
    for (let i = 0; i < this.#made; i++) {
      const path = join(this.#directory, `${i}`);
      if (!kept.has(path)) await rm(path, { recursive: true, force: true });
    }
  }

  /** What `make` returned, a path of `path()`, made when it is first asked for. */
  keep(name: string, make: () => Promise<string>): Promise<string> {
    const path = this.#kept.get(name) ?? make();
    this.#kept.set(name, path);
    return path;
  }

  /** Itself where it is on the same file system, else a copy. */
  async #here(directory: string): Promise<string> {
    if ((await stat(directory)).dev === (await stat(this.#directory)).dev) return directory;
    const path = this.path();
    await runChecked('cp', ['-a', directory, path]);
    return path;
  }

  async #pull(program: ProgramName, path: string, ref: string): Promise<void> {
    const { url } = await this.#servers.near();
    if (program === 'cfs-ostree') await run(cfsOstree(path, 'pull', url, ref));
    else if (program === 'ostree') await run(ostree(path, 'pull', REMOTE, ref));
    else await run(cfsctl(path, 'ostree', 'pull', '--no-delta', url, ref));
  }
}
