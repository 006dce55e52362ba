/** `cfs-ostree commit` gives the id that `ostree commit` gives for the same tree and options. */

import { chmod, chown, link, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Checksum } from '../../src/formats/ids.ts';
import { runCliError, runCliJson } from '../cli/run-cli.ts';
import { runOstree } from '../support/chroot.ts';
import { AWKWARD_REF, CANONICAL_REF, OS_TREE_PEERS, osTree } from '../support/os-tree.ts';
import { describeWithPeers, getPeer } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { Store } from './store.ts';

const TIME = '2024-05-06T07:08:09Z';

/** Owners, modes, xattrs, links, sizes around every threshold; quick to commit. */
async function makeSmallTree(tree: string): Promise<void> {
  await mkdir(join(tree, 'usr/bin'), { recursive: true });
  await mkdir(join(tree, 'boot'), { mode: 0o700 });
  for (const size of [0, 1, 64, 65, 128, 129, 5000])
    await writeFile(join(tree, `usr/${size}`), Buffer.alloc(size, 'x'));
  await writeFile(join(tree, 'usr/bin/tool'), 'a tool\n');
  await chown(join(tree, 'usr/bin/tool'), 1000, 100);
  await chmod(join(tree, 'usr/bin/tool'), 0o6775);
  await chmod(join(tree, 'usr/bin'), 0o2775);
  await link(join(tree, 'usr/5000'), join(tree, 'usr/bin/5000-too'));
  await symlink('../bin/tool', join(tree, 'usr/größe'));
  await runChecked(getPeer('python3'), ['-c', SET_XATTRS, tree]);
}
const SET_XATTRS = `
import os, sys
os.chdir(sys.argv[1])
os.setxattr("usr/bin/tool", "security.capability", bytes.fromhex("0100000200100000000000000000000000000000"))
os.setxattr("usr/65", "user.b", b"2"); os.setxattr("usr/65", "user.a", b"1"); os.setxattr("usr/65", "user.empty", b"")
os.setxattr("usr", "trusted.overlay.opaque", b"y")
os.setxattr("usr/größe", "trusted.link", b"\\xff\\x00", follow_symlinks=False)
`;

vi.setConfig({ testTimeout: 180_000 }); // many programs one after the other

describeWithPeers('commit', OS_TREE_PEERS, () => {
  let directory: TemporaryDirectory;
  let tree: string;
  let store: Store;
  const repository = (mode: string): string => directory.join(mode);
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    await osTree();
    tree = directory.join('tree');
    await makeSmallTree(tree);
    store = await Store.init(directory.join('store'));
    for (const mode of ['archive', 'bare', 'bare-user', 'bare-user-only']) {
      await runOstree(['init', `--repo=${repository(mode)}`, `--mode=${mode}`]);
      await runOstree(['config', `--repo=${repository(mode)}`, 'set', 'core.fsync', 'false']);
    }
  });
  afterAll(() => directory[Symbol.asyncDispose]());

  async function theirs(branch: string, options: string[], mode = 'archive'): Promise<Checksum> {
    const args = [`--repo=${repository(mode)}`, `--branch=${branch}`, `--tree=dir=${tree}`, ...options];
    return (await runOstree(['commit', ...args])).stdout.trim() as Checksum;
  }
  const ours = async (branch: string, options: string[]): Promise<Checksum> =>
    (await store.commit(tree, '--branch', branch, ...options)).commit;

  const CASES: Array<[name: string, options: string[]]> = [
    ['nothing else', []],
    ['--subject', ['--subject=Größe', '--parent=none']],
    ['--subject and --body', ['--subject=A subject', '--body=First line\n\nAnd ünïcode.\n', '--parent=none']],
    ['--body alone', ['--body=no subject', '--parent=none']],
    ['an empty subject', ['--subject=', '--parent=none']],
    ['--owner-uid', ['--owner-uid=2147483647']],
    ['--owner-gid', ['--owner-gid=7']],
    ['both owners', ['--owner-uid=0', '--owner-gid=0']],
    ['--no-xattrs', ['--no-xattrs']],
    ['--canonical-permissions', ['--canonical-permissions']],
    ['--canonical-permissions --no-xattrs', ['--canonical-permissions', '--no-xattrs']],
    ['--canonical-permissions and an owner', ['--canonical-permissions', '--owner-uid=0', '--owner-gid=0']],
    ['one --add-metadata-string', ['--add-metadata-string=version=1.0']],
    [
      'several, in their order',
      ['z=1', 'a=2', 'm=x=y', 'ünï=ö', 'empty='].map((pair) => `--add-metadata-string=${pair}`),
    ],
    ['a key twice', ['--add-metadata-string=a=1', '--add-metadata-string=b=2', '--add-metadata-string=a=3']],
    [
      'a key twice in a dictionary',
      ['a=1', 'b=2', 'a=3'].map((pair) => `--add-metadata-string=${pair}`).concat('--generate-composefs-metadata'),
    ],
    ['--generate-composefs-metadata', ['--generate-composefs-metadata']],
    ['--generate-composefs-metadata --no-xattrs', ['--generate-composefs-metadata', '--no-xattrs']],
    [
      '--generate-composefs-metadata --canonical-permissions',
      ['--generate-composefs-metadata', '--canonical-permissions'],
    ],
  ];
  test.each(CASES)('has the same id with %s', async (name, options) => {
    const branch = `case/${CASES.findIndex(([other]) => other === name)}`;
    const all = [...options, `--timestamp=${TIME}`];
    expect(await ours(branch, all)).toBe(await theirs(branch, all));
  });

  test('follows its branch, and another parent where one is named', async () => {
    const at = (second: number) => [`--timestamp=@${second}`, `--subject=${second}`];
    const first = await ours('line', at(1));
    expect(first).toBe(await theirs('line', at(1)));
    const second = await ours('line', at(2));
    expect(second).toBe(await theirs('line', at(2)));
    const beside = [...at(3), `--parent=${first}`];
    expect(await ours('line', beside)).toBe(await theirs('line', beside));
    const alone = [...at(4), '--parent=none'];
    expect(await ours('line', alone)).toBe(await theirs('line', alone));
  });

  test.each(['1970-01-01T00:00:00Z', '2024-02-29T23:59:59+05:30', '@4294967296', '2038-01-19 03:14:08 +0000'])(
    'means the same by --timestamp=%s',
    async (time) => {
      const options = [`--timestamp=${time}`, '--parent=none', '--no-xattrs'];
      expect(await ours('times', options)).toBe(await theirs('times', options));
    },
  );

  test.each(['2024-01-31', '2024-01-31T12:00:00', '2024-01-31 12:00:00', '2024-01-31T12:00:00Z'])(
    'means the same by --timestamp=%s where it is not the time of Greenwich',
    async (time) => {
      const options = [`--timestamp=${time}`, '--branch=zones', '--parent=none', '--no-xattrs'];
      const env = { TZ: 'EST5EDT' };
      const args = ['commit', `--repo=${repository('archive')}`, `--tree=dir=${tree}`, ...options];
      const { commit } = await runCliJson<{ commit: string }>(['commit', '--repo', store.path, tree, ...options], {
        env,
      });
      expect(commit).toBe((await runOstree(args, { env })).stdout.trim());
    },
  );

  test('has the same id as commits into bare and bare-user, xattrs and owners included', async () => {
    const options = [`--timestamp=${TIME}`, '--subject=s'];
    const commit = await ours('modes', options);
    expect(await theirs('modes', options, 'bare')).toBe(commit);
    expect(await theirs('modes', options, 'bare-user')).toBe(commit);
  });

  test('with --canonical-permissions it is what bare-user-only makes of the tree', async () => {
    const commit = await ours('only', [`--timestamp=${TIME}`, '--canonical-permissions']);
    expect(await theirs('only', [`--timestamp=${TIME}`], 'bare-user-only')).toBe(commit);
  });

  // libostree puts metadata through a hash table when it adds the digest: the order is that table's, and grows with it.
  const KEYS = ['version', 'ostree.linux', 'ostree.bootable', 'xa.ref', 'a', 'b', 'zz', 'ünï', 'rpmostree.inputhash'];
  test.each([...Array(13).keys(), 20, 40, 70])('keeps %i keys in the order of GLib', async (count) => {
    const keys = Array.from({ length: count }, (_, i) => KEYS[i] ?? `org.example.key-${i * i}`);
    const metadata = keys.map((key, i) => `--add-metadata-string=${key}=${i}`);
    const options = [...metadata, '--generate-composefs-metadata', `--timestamp=${TIME}`, '--parent=none'];
    expect(await ours('glib', options)).toBe(await theirs('glib', options));
  });

  test('gives the awkward tree the id that ostree gave it', async () => {
    const { tree: awkwardTree, repositories, first, awkward, canonical } = await osTree();
    const own = await Store.init(directory.join('awkward'));
    await own.pull(repositories.archive, first);
    const second = [
      '--subject',
      'At 2024-01-02 00:00:00 +0000',
      '--timestamp',
      '2024-01-02T00:00:00Z',
      '--parent',
      first,
    ];
    expect(await own.commit(awkwardTree, '--branch', AWKWARD_REF, ...second)).toMatchObject({
      commit: awkward,
      parent: first,
    });
    const third = ['--subject', 'At 2024-01-03 00:00:00 +0000', '--timestamp', '2024-01-03T00:00:00Z'];
    const plain = ['--canonical-permissions', '--no-xattrs'];
    expect(await own.commit(awkwardTree, '--branch', CANONICAL_REF, ...third, ...plain)).toMatchObject({
      commit: canonical,
    });
    await writeFile(directory.join('awkward.dump'), await own.dump(AWKWARD_REF));
    await own.json('untag', AWKWARD_REF);
    const dumpfile = ['--dumpfile', directory.join('awkward.dump'), '--branch', AWKWARD_REF];
    expect(await own.commit(...dumpfile, ...second)).toMatchObject({ commit: awkward });
    expect(await own.problems()).toEqual([]);
  });

  test('the digest of the awkward tree is the one that ostree computes', async () => {
    const { tree: awkwardTree } = await osTree();
    const bearable = directory.join('bearable');
    await runChecked('cp', ['-al', awkwardTree, bearable]);
    await rm(join(bearable, 'symlinks/4095')); // libcomposefs 1.0.8 aborts when a target needs a block of its own
    const options = ['--generate-composefs-metadata', `--timestamp=${TIME}`, '--branch=digest'];
    const args = ['commit', `--repo=${repository('archive')}`, `--tree=dir=${bearable}`, ...options];
    const commit = (await runOstree(args)).stdout.trim();
    expect(await store.commit(bearable, ...options)).toMatchObject({ commit });
    const wide = await Store.init(directory.join('sha512'), { algorithm: 'sha512' });
    expect(await wide.commit(bearable, ...options)).toMatchObject({ commit });
  });

  test.each([
    ['--canonical-permissions with another owner', ['--canonical-permissions', '--owner-uid=5']],
    ['--canonical-permissions with another group', ['--canonical-permissions', '--owner-gid=6']],
    ['a parent that is no commit', ['--parent=not-a-checksum']],
  ])('refuses what ostree refuses: %s', async (_name, options) => {
    await expect(theirs('refused', options)).rejects.toThrow('exit status 1');
    expect(
      (await runCliError(['commit', tree, '--repo', store.path, '--branch=refused', ...options])).exitCode,
    ).not.toBe(0);
  });
});
