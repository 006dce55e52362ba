/** The tour: the whole main job, from files on this machine to a mounted image, with nothing but this program. */

import { appendFile, mkdir, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FormatError, RepositoryError } from '../errors.ts';
import type { ByteString } from '../formats/byte-string.ts';
import { byteStringToText } from '../formats/byte-string.ts';
import { monotonicMs } from '../monotonic-time.ts';
import { native } from '../native.ts';
import { type Progress, silentProgress } from '../progress.ts';
import { openSource } from '../sources/open-source.ts';
import { initRepository } from '../store/init.ts';
import { openRepository, type Repository } from '../store/repository.ts';
import { commitTree } from './commit.ts';
import { createImage } from './create-image.ts';
import { copyMachineFiles } from './demo-tree.ts';
import { diffTrees } from './diff-trees.ts';
import { exportCommits } from './export.ts';
import { checkRepository } from './fsck.ts';
import { collectGarbage } from './gc.ts';
import { listTree } from './list-tree.ts';
import { mountTree, unmountTree } from './mount.ts';
import { pull } from './pull.ts';
import { untagRef } from './refs.ts';
import { openTree } from './resolve-tree.ts';
import { StaticServer } from './static-server.ts';
import { walkTree } from './tree-path.ts';

export interface DemoStep {
  title: string;
  /** What a user would type. */
  command: string;
  elapsedMs: number;
  /** In one line. */
  result: string;
}

export interface DemoOptions {
  /** Called when a step is done. */
  onStep?(step: DemoStep): void;
  signal?: AbortSignal;
  progress?: Progress;
}

const REF = 'demo/os';
const FIRST = 'demo/first';

export async function runDemo(options: DemoOptions = {}): Promise<{ steps: DemoStep[] }> {
  const directory = await mkdtemp(join(tmpdir(), 'cfs-ostree-demo-'));
  try {
    return await new Demo(directory, options).run();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

class Demo {
  readonly #steps: DemoStep[] = [];
  readonly #options: DemoOptions;
  readonly #progress: Progress;
  readonly #tree: string;
  readonly #build: string;
  readonly #published: string;
  readonly #store: string;
  readonly #mountpoint: string;

  constructor(directory: string, options: DemoOptions) {
    this.#options = options;
    this.#progress = options.progress ?? silentProgress;
    this.#tree = join(directory, 'tree');
    this.#build = join(directory, 'build');
    this.#published = join(directory, 'published');
    this.#store = join(directory, 'store');
    this.#mountpoint = join(directory, 'mnt');
  }

  async run(): Promise<{ steps: DemoStep[] }> {
    await this.#publishFirst();
    await using server = await StaticServer.start(this.#published);
    await this.#pullFirst(server.url);
    await this.#publishUpdate();
    await this.#pullUpdate(server.url);
    await this.#lookInside();
    await this.#cleanUp();
    await this.#mountAndCompare();
    return { steps: this.#steps };
  }

  async #publishFirst(): Promise<void> {
    await this.#step('Take some real files of this machine', `cp -a /usr/share/doc … ${this.#tree}`, async () => {
      const { files, bytes } = await copyMachineFiles(this.#tree);
      return `${files} files, ${megabytes(bytes)}`;
    });
    await this.#step('A place to build commits', `cfs-ostree init --insecure ${this.#build}`, async () => {
      await initRepository(this.#build, { insecure: true });
      return 'an empty repository';
    });
    await this.#commit('Commit the files, as ostree would', 'First release');
    await this.#export('Publish as an ostree repository; any web server can serve it');
  }

  async #pullFirst(url: string): Promise<void> {
    await this.#step('A store on the receiving side', `cfs-ostree init --insecure ${this.#store}`, async () => {
      await initRepository(this.#store, { insecure: true });
      return 'sha512, EROFS version 1 (insecure: works on every file system)';
    });
    await this.#step('Pull over HTTP', `cfs-ostree pull ${url} ${REF} --repo ${this.#store}`, () => this.#pull(url));
    await this.#image('Build the image that a kernel can mount');
    await this.#inStore(`Keep the old version under a name`, `cfs-ostree tag ${REF} ${FIRST}`, async (repo) => {
      const { tagRef } = await import('./refs.ts');
      const { commit } = await tagRef(repo, REF, FIRST);
      return `${FIRST} is ${commit.slice(0, 16)}…`;
    });
  }

  async #publishUpdate(): Promise<void> {
    await this.#step('Change a few files', `echo … >> ${this.#tree}/…`, async () => {
      await mkdir(join(this.#tree, 'etc'), { recursive: true });
      await writeFile(join(this.#tree, 'etc/release'), 'VERSION=2\n'.repeat(40));
      const changed = await this.#changeSomeFiles();
      return `1 file added, ${changed} changed`;
    });
    await this.#commit('Commit again', 'Second release');
    await this.#export('Publish the update into the same repository');
  }

  async #pullUpdate(url: string): Promise<void> {
    const command = `cfs-ostree pull ${url} ${REF} --base ${FIRST} --repo ${this.#store}`;
    await this.#step('Pull the update: only what is new', command, () => this.#pull(url, FIRST));
    await this.#image('Build the new image');
  }

  async #lookInside(): Promise<void> {
    await this.#inStore('Look inside without mounting', `cfs-ostree ls ${REF} /`, async (repo) => {
      const { root } = await openTree(async () => repo, REF);
      return [...listTree(root)].map((entry) => entry.path).join('  ');
    });
    await this.#inStore('What has changed?', `cfs-ostree diff ${FIRST} ${REF}`, async (repo) => {
      const before = await openTree(async () => repo, FIRST);
      const after = await openTree(async () => repo, REF);
      const { added, removed, changed } = diffTrees(before.root, after.root);
      return `${added.length} added, ${removed.length} removed, ${changed.length} changed; first: ${added[0] ?? changed[0]?.path}`;
    });
  }

  async #cleanUp(): Promise<void> {
    await this.#inStore('Drop the old version', `cfs-ostree untag ${FIRST}`, async (repo) => {
      await untagRef(repo, FIRST);
      return 'nothing is deleted yet';
    });
    await this.#step('Collect what no ref wants any more', `cfs-ostree gc --repo ${this.#store}`, async () => {
      await using repo = await openRepository(this.#store, { lock: 'exclusive', write: true });
      const { objectsRemoved, bytesRemoved, objectsKept } = await collectGarbage(repo, { progress: this.#progress });
      return `${objectsRemoved} objects removed (${megabytes(bytesRemoved)}), ${objectsKept} kept`;
    });
    await this.#inStore('Check everything, byte for byte', 'cfs-ostree fsck', async (repo) => {
      const report = await checkRepository(repo, { progress: this.#progress });
      if (!report.ok) throw new FormatError(`fsck found ${report.findings.length} problems`, { file: this.#store });
      return `${report.objectsChecked} objects, ${megabytes(report.bytesChecked)}: all as they should be`;
    });
  }

  async #mountAndCompare(): Promise<void> {
    const command = `cfs-ostree mount ${REF} ${this.#mountpoint}`;
    if (process.getuid?.() !== 0 || native === undefined) {
      this.#record('Mount the image', command, 0, 'left out: needs root and the native addon');
      return;
    }
    await mkdir(this.#mountpoint);
    await this.#inStore('Mount the image and compare it with the files', command, async (repo) => {
      try {
        await mountTree(repo, REF, this.#mountpoint);
      } catch (error) {
        if (error instanceof RepositoryError) return `left out: ${error.message}`;
        throw error;
      }
      try {
        return `${await this.#compareMounted(repo)} files and links are the same through the kernel`;
      } finally {
        await unmountTree(this.#mountpoint);
      }
    });
  }

  async #pull(url: string, base?: string): Promise<string> {
    await using repo = await openRepository(this.#store, { lock: 'shared', write: true });
    await using source = await openSource(url);
    const { signal } = this.#options;
    const bases = base === undefined ? [] : [base];
    const [result] = (await pull(repo, source, [REF], { bases, progress: this.#progress, signal })).results;
    const { fetched, reused, bytesTransferred } = result;
    return (
      `${fetched.metadata + fetched.files} objects fetched in ${megabytes(bytesTransferred)}, ` +
      `${reused.metadata + reused.files} reused; commit ${result.commit.slice(0, 16)}…`
    );
  }

  #commit(title: string, subject: string): Promise<void> {
    const command = `cfs-ostree commit ${this.#tree} --branch ${REF} --subject "${subject}" --repo ${this.#build}`;
    return this.#step(title, command, async () => {
      await using repo = await openRepository(this.#build, { lock: 'shared', write: true });
      const noXattrs = native === undefined;
      const { commit, files, sizeBytes } = await commitTree(
        repo,
        { directory: this.#tree },
        { branch: REF, subject, noXattrs, progress: this.#progress, signal: this.#options.signal },
      );
      return `commit ${commit.slice(0, 16)}…, ${files} different files, ${megabytes(sizeBytes)}`;
    });
  }

  #export(title: string): Promise<void> {
    return this.#step(title, `cfs-ostree export ${REF} ${this.#published} --repo ${this.#build}`, async () => {
      await using repo = await openRepository(this.#build, { lock: 'shared' });
      const { written, present, bytesWritten } = await exportCommits(repo, [REF], this.#published, {
        progress: this.#progress,
        signal: this.#options.signal,
      });
      return `${written} objects written (${megabytes(bytesWritten)}), ${present} were there`;
    });
  }

  #image(title: string): Promise<void> {
    return this.#inStore(title, `cfs-ostree create-image ${REF}`, async (repo) => {
      const { commit } = await openTree(async () => repo, REF).then((tree) => {
        if (tree.kind !== 'commit') throw new FormatError('is no commit', { object: REF });
        return tree;
      });
      const { image, sizeBytes, entries } = await createImage(repo, { commit }, { progress: this.#progress });
      return `${entries} entries in ${megabytes(sizeBytes)}; image ${image.slice(0, 16)}…`;
    });
  }

  /** A line more in some small text files. @returns how many */
  async #changeSomeFiles(): Promise<number> {
    await using repo = await openRepository(this.#build, { lock: 'shared' });
    const { root } = await openTree(async () => repo, REF);
    let changed = 0;
    for (const { path, inode } of walkTree({ path: '/' as ByteString, inode: root })) {
      if (inode.kind !== 'external' || inode.sizeBytes > 100_000) continue;
      const file = join(this.#tree, byteStringToText(path));
      const isWritable = await appendFile(file, '\n').then(
        () => true,
        () => false,
      );
      if (isWritable && ++changed === 10) break;
    }
    return changed;
  }

  async #compareMounted(repo: Repository): Promise<number> {
    const { root } = await openTree(async () => repo, REF);
    let same = 0;
    for (const { path, inode } of walkTree({ path: '/' as ByteString, inode: root })) {
      const text = byteStringToText(path);
      const [mounted, original] = [join(this.#mountpoint, text), join(this.#tree, text)];
      if (inode.kind === 'directory') continue;
      const isSame =
        inode.kind === 'symlink'
          ? (await readlink(mounted)) === (await readlink(original))
          : (await readFile(mounted)).equals(await readFile(original));
      if (!isSame) throw new FormatError('is not the same through the mount', { file: text });
      same++;
    }
    return same;
  }

  #inStore(title: string, command: string, work: (repo: Repository) => Promise<string>): Promise<void> {
    return this.#step(title, `${command} --repo ${this.#store}`, async () => {
      await using repo = await openRepository(this.#store, { lock: 'shared', write: true });
      return await work(repo); // the repository stays open until then
    });
  }

  async #step(title: string, command: string, work: () => Promise<string>): Promise<void> {
    this.#options.signal?.throwIfAborted();
    const start = monotonicMs();
    const result = await work();
    this.#record(title, command, Math.round(monotonicMs() - start), result);
  }

  #record(title: string, command: string, elapsedMs: number, result: string): void {
    const step: DemoStep = { title, command, elapsedMs, result };
    this.#steps.push(step);
    this.#options.onStep?.(step);
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)} MB`;
