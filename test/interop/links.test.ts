/** `pull --link`: file content shared with a bare repository of ostree on the same file system. */

import { cp, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mountBtrfs } from '../native/small-file-systems.ts';
import { runOstree } from '../support/chroot.ts';
import { AWKWARD_REF, OS_TREE_PEERS, osTree } from '../support/os-tree.ts';
import { describeWithPeers, getPeer } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { readVectorFacts, unpackVectorRepository } from '../support/vector-repositories.ts';
import { Store } from './store.ts';

/** Paths of all objects. */
async function listObjects(directory: string): Promise<string[]> {
  const entries = await readdir(join(directory, 'objects'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

const fsck = (repository: string) => runOstree(['fsck', '-q', '--all', `--repo=${repository}`]);

describeWithPeers('links', OS_TREE_PEERS, () => {
  let directory: TemporaryDirectory;
  let source: string;
  let image: string | undefined;
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    source = directory.join('source');
    const { repositories } = await osTree();
    await runChecked('cp', ['-a', repositories.bare, source]);
    const copied = await Store.init(directory.join('copied'));
    image = (await copied.pull(source, AWKWARD_REF, '--create-image')).image;
  });
  afterAll(() => directory[Symbol.asyncDispose]());

  test('hard: one inode, and neither side can hurt the other', async () => {
    const store = await Store.init(directory.join('hard'));
    expect((await store.pull(source, AWKWARD_REF, '--link=hard', '--create-image')).image).toBe(image);
    const inodes = new Set<number>();
    for (const path of await listObjects(source)) inodes.add((await stat(path)).ino);
    const objects = await listObjects(store.path);
    const shared: string[] = [];
    for (const path of objects) if (inodes.has((await stat(path)).ino)) shared.push(path);
    expect(shared.length).toBeGreaterThan(10);
    // Never a file that others may write, or that would be setuid below objects/.
    for (const path of shared) expect((await stat(path)).mode & 0o7022).toBe(0);
    for (const path of shared) expect((await stat(path)).uid).toBe(0);
    expect(await store.problems()).toEqual([]);
    await fsck(source);

    await store.json('untag', AWKWARD_REF);
    await store.json('gc');
    expect(await listObjects(store.path)).toEqual([]);
    await fsck(source);
    await store.pull(source, AWKWARD_REF, '--link=hard');
    await runOstree(['refs', `--repo=${source}`, '--delete', 'os']);
    await runOstree(['prune', '--refs-only', `--repo=${source}`]);
    expect(await store.problems()).toEqual([]);
    await cp(store.path, directory.join('kept'), { recursive: true, verbatimSymlinks: true });
    expect((await new Store(directory.join('kept')).json<{ image: string }>('compute-id', AWKWARD_REF)).image).toBe(
      image,
    );
  });
});

describeWithPeers('links on a file system with reflinks', ['root', 'filefrag'], () => {
  const { checksum } = readVectorFacts().commits['main-3'];

  /** Of objects that do not fit into the file system's metadata. */
  async function extentsOf(store: Store): Promise<string[]> {
    const flags: string[] = [];
    for (const path of await listObjects(store.path)) {
      if ((await stat(path)).size < 60_000) continue;
      const { stdout } = await runChecked(getPeer('filefrag'), ['-v', path]);
      flags.push(stdout.includes('shared') ? 'shared' : 'own');
    }
    return flags;
  }

  test.each([
    [[], 'own'],
    [['--link'], 'shared'],
    [['--link=reflink'], 'shared'],
    [['--link=hard'], 'shared'],
  ])('%j: extents are %s', async (options, expected) => {
    await using fileSystem = await mountBtrfs();
    const source = join(fileSystem.path, 'source');
    await runChecked('mkdir', [source]);
    await unpackVectorRepository('bare', source);
    const store = await Store.init(join(fileSystem.path, 'store'));
    await store.pull(source, checksum, ...options, '--name', 'linked');
    await runChecked('sync', ['-f', fileSystem.path]);
    const extents = await extentsOf(store);
    expect(extents.length).toBeGreaterThan(1);
    expect(new Set(extents)).toEqual(new Set([expected]));
    expect(await store.problems()).toEqual([]);
  });

  test.each([
    [['--link'], 'some'],
    [['--link=hard'], 'some'],
    [['--link=reflink'], 'none'],
    [[], 'none'],
  ])('%j where there are no reflinks: %s are hard links', async (options, expected) => {
    await using directory = await makeTemporaryDirectory('memory');
    const source = directory.join('source');
    await runChecked('mkdir', [source]);
    await unpackVectorRepository('bare', source);
    const store = await Store.init(directory.join('store'));
    await store.pull(source, checksum, ...options, '--name', 'linked');
    const links = await Promise.all((await listObjects(store.path)).map(async (path) => (await stat(path)).nlink));
    expect(links.some((count) => count > 1) ? 'some' : 'none').toBe(expected);
    expect(await store.problems()).toEqual([]);
  });
});
