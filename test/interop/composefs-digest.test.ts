/** `ostree.composefs.digest.v0`: what ostree promises we recompute, and a promise that the tree does not keep is refused. */

import { link, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Checksum } from '../../src/formats/ids.ts';
import { runCliError } from '../cli/run-cli.ts';
import { chrootCommand, runOstree } from '../support/chroot.ts';
import { OS_TREE_PEERS } from '../support/os-tree.ts';
import { describeWithPeers, getPeer } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { type Algorithm, Store } from './store.ts';

const KEY = 'ostree.composefs.digest.v0';
const ALGORITHMS: Algorithm[] = ['sha256', 'sha512'];

/** Trees that meet the rules of libostree's mapping; the image adds usr, etc, boot, var and sysroot where they are missing. */
const TREES: Record<string, (root: string) => Promise<unknown>> = {
  'with nothing in it': async () => {},
  'of every size': async (root) => {
    await mkdir(join(root, 'usr'));
    for (const size of [0, 1, 64, 65, 128, 129, 4096, 4097, 600_000])
      await writeFile(join(root, 'usr', `${size}`), Buffer.alloc(size, `${size} `));
  },
  'with its own usr, etc and var, none a directory': async (root) => {
    await symlink('usr-of-another-name', join(root, 'usr'));
    await writeFile(join(root, 'etc'), 'a file\n');
    await writeFile(join(root, 'var'), '');
  },
  'with hard links and equal files': async (root) => {
    await mkdir(join(root, 'boot'), { mode: 0o700 });
    await writeFile(join(root, 'boot/a'), Buffer.alloc(5000, 'a'));
    await link(join(root, 'boot/a'), join(root, 'boot/b'));
    await writeFile(join(root, 'boot/c'), Buffer.alloc(5000, 'a'));
    await symlink('a', join(root, 'boot/d'));
    await symlink('a', join(root, 'boot/e'));
  },
  'with xattrs of overlayfs and a root that has some': async (root) => {
    await writeFile(join(root, 'file'), 'x\n');
    await mkdir(join(root, 'sysroot'));
    await runChecked(getPeer('setfattr'), ['-n', 'trusted.overlay.opaque', '-v', 'y', join(root, 'sysroot')]);
    await runChecked(getPeer('setfattr'), ['-n', 'trusted.overlay.metacopy', '-v', 'z', join(root, 'file')]);
    await runChecked(getPeer('setfattr'), ['-n', 'security.selinux', '-v', 'u:r:t:s0', root]);
  },
};

vi.setConfig({ testTimeout: 180_000 }); // many programs one after the other

describeWithPeers('composefs digest', [...OS_TREE_PEERS, 'setfattr'], () => {
  let directory: TemporaryDirectory;
  const trees = Object.keys(TREES);
  const commits = new Map<string, Checksum>();
  const branch = (tree: string): string => `tree/${trees.indexOf(tree)}`;
  const repository = (): string => directory.join('bare');

  async function commit(tree: string, ref: string, ...options: string[]): Promise<Checksum> {
    const args = ['commit', `--repo=${repository()}`, `--branch=${ref}`, `--tree=dir=${directory.join(tree)}`];
    return (await runOstree([...args, '--timestamp=@1', ...options])).stdout.trim() as Checksum;
  }

  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    await runOstree(['init', `--repo=${repository()}`, '--mode=bare']);
    await runOstree(['config', `--repo=${repository()}`, 'set', 'core.fsync', 'false']);
    for (const [name, make] of Object.entries(TREES)) {
      await mkdir(directory.join(name));
      await make(directory.join(name));
      commits.set(name, await commit(name, branch(name), '--generate-composefs-metadata'));
    }
  });
  afterAll(() => directory[Symbol.asyncDispose]());

  test.each(trees)(
    'a tree %s: the image of `ostree checkout --composefs`, the digest that it puts into the commit, and ours',
    async (tree) => {
      const file = directory.join('image');
      await rm(file, { force: true });
      // ostree makes its temporary file where it stands.
      const script = `cd "$1" && ostree checkout --composefs --repo="$2" "$3" "$4"`;
      const [program, ...args] = chrootCommand([
        'sh',
        '-c',
        script,
        'sh',
        directory.path,
        repository(),
        branch(tree),
        file,
      ]);
      await runChecked(program, args, { cwd: '/' });
      const store = await Store.init(directory.join(`${branch(tree)}-ours`.replace('/', '-')), { algorithm: 'sha512' });
      const { image } = await store.json<{ image: string }>(
        'compute-id',
        '--image',
        file,
        '--algorithm',
        'fsverity-sha256-12',
      );
      const options = ['--branch', branch(tree), '--timestamp=@1', '--generate-composefs-metadata'];
      expect(await store.commit(directory.join(tree), ...options)).toMatchObject({ commit: commits.get(tree) });
      const { metadata } = await store.json<{ metadata: Record<string, unknown> }>('show', branch(tree));
      expect(metadata[KEY]).toBe(image);
    },
  );

  test.each(ALGORITHMS)('%s: pull and create-image say that it matches', async (algorithm) => {
    const store = await Store.init(directory.join(`match-${algorithm}`), { algorithm });
    for (const tree of trees) {
      expect(await store.pull(repository(), branch(tree))).toMatchObject({
        digest: 'match',
        commit: commits.get(tree),
      });
      expect(await store.json('create-image', branch(tree), '--require-digest')).toMatchObject({ digest: 'match' });
    }
    expect(await store.problems()).toEqual([]);
  });

  test('sha512: contents that are here already have their digests in the side index, and are hashed where it is gone', async () => {
    const tree = 'of every size';
    const [earlier, later] = [
      await commit(tree, 'plain'),
      await commit(tree, 'promised', '--generate-composefs-metadata'),
    ];
    const promised = await Store.init(directory.join('reused'), { algorithm: 'sha512' });
    await promised.pull(repository(), branch(tree)); // hashes all contents
    expect(await promised.pull(repository(), 'promised')).toMatchObject({
      commit: later,
      fetched: { files: 0 },
      digest: 'match',
    });
    const plain = await Store.init(directory.join('reused-plain'), { algorithm: 'sha512' });
    await plain.pull(repository(), 'plain'); // does not
    const { digest, commit: pulled } = await plain.pull(repository(), 'promised', '--base', earlier);
    expect([pulled, digest]).toEqual([later, undefined]);
    expect(await plain.json('create-image', 'promised', '--require-digest')).toMatchObject({ digest: 'match' });
  });

  const bytes = (text: string): string => `[${(text.match(/../g) ?? []).map((byte) => `byte 0x${byte}`).join(', ')}]`;
  test.each(
    ALGORITHMS.flatMap((algorithm) => [
      { algorithm, name: 'of zeros', digest: '00'.repeat(32), exitCode: 7, code: 'CFS_UNTRUSTED' },
      { algorithm, name: 'that is too long', digest: 'ab'.repeat(64), exitCode: 5, code: 'CFS_FORMAT' },
      { algorithm, name: 'that is too short', digest: 'ab'.repeat(31), exitCode: 5, code: 'CFS_FORMAT' },
    ]),
  )('$algorithm: a digest $name is refused', async ({ algorithm, name, digest, exitCode, code }) => {
    const ref = `wrong/${algorithm}/${name.replaceAll(/\W/g, '-')}`;
    await commit('of every size', ref, `--add-metadata=${KEY}=${bytes(digest)}`);
    const path = directory.join(ref.replaceAll('/', '-'));
    const store = await Store.init(path, { algorithm });
    const refused = await runCliError(['pull', '--repo', path, repository(), ref]);
    expect(refused).toMatchObject({ exitCode, error: { code, where: { field: KEY } } });
    expect(await store.json('refs')).toEqual([]);
    expect(await store.problems()).toEqual([]);
    expect(await store.json('gc')).toMatchObject({ objectsKept: 0 });
  });

  test.each(ALGORITHMS)('%s: the digest of another tree is refused', async (algorithm) => {
    const store = await Store.init(directory.join(`other-${algorithm}`), { algorithm });
    await store.pull(repository(), branch('with nothing in it'));
    const { metadata } = await store.json<{ metadata: Record<string, string> }>('show', branch('with nothing in it'));
    await commit('of every size', `wrong/other-${algorithm}`, `--add-metadata=${KEY}=${bytes(metadata[KEY])}`);
    const refused = await runCliError(['pull', '--repo', store.path, repository(), `wrong/other-${algorithm}`]);
    expect(refused).toMatchObject({ exitCode: 7, error: { code: 'CFS_UNTRUSTED' } });
  });

  test.each(ALGORITHMS)('%s: --require-digest refuses a commit without one', async (algorithm) => {
    const plain = await commit('of every size', 'absent');
    const store = await Store.init(directory.join(`absent-${algorithm}`), { algorithm });
    expect(await store.pull(repository(), plain, '--name', 'absent')).toMatchObject({ digest: 'absent' });
    const refused = await runCliError(['create-image', '--repo', store.path, 'absent', '--require-digest']);
    expect(refused).toMatchObject({ exitCode: 7, error: { code: 'CFS_UNTRUSTED' } });
    expect(await store.json('images')).toEqual([]);
  });
});
