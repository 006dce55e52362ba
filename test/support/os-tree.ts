/** ostree repositories with an awkward operating system tree (make-os-tree.py), committed by `ostree` itself. */

import { join } from 'node:path';
import type { Checksum } from '../../src/formats/ids.ts';
import { runOstree } from './chroot.ts';
import { getPeer, type PeerName } from './peers.ts';
import { runChecked } from './run-command.ts';
import { sharedFixture } from './run-directory.ts';

/** What `describeWithPeers` needs for these fixtures. */
export const OS_TREE_PEERS = ['root', 'ostree', 'python3'] as const satisfies PeerName[];

export const AWKWARD_REF = 'os/awkward';
export const CANONICAL_REF = 'os/canonical';
const MODES = ['archive', 'bare', 'bare-user'] as const;

export interface OsTree {
  /** The committed directory itself. */
  tree: string;
  /** Paths. All have AWKWARD_REF with its history; `archive` has CANONICAL_REF too, `bare-user-only` has nothing else. */
  repositories: Record<(typeof MODES)[number] | 'bare-user-only', string>;
  /** First commit of AWKWARD_REF. */
  first: Checksum;
  /** AWKWARD_REF: `tree` as it is. Its parent is `first`. */
  awkward: Checksum;
  /** CANONICAL_REF: `tree` as bare-user-only can hold it: no xattrs, owner root, no setuid. */
  canonical: Checksum;
}

/** 5,000 entries in a directory, 200 levels, xattrs, hard links, odd names, …; about two seconds. Read-only. */
export const osTree = (): Promise<OsTree> => sharedFixture('os-tree', (directory) => makeOsTree(directory, false));

/** The same with a file of 1 GiB in the newest commits; about twenty seconds and 5 GiB of disk. Read-only. */
export const largeOsTree = (): Promise<OsTree> =>
  sharedFixture('large-os-tree', (directory) => makeOsTree(directory, true));

async function makeOsTree(directory: string, large: boolean): Promise<OsTree> {
  const repository = (mode: string): string => join(directory, mode);
  const [tree, archive, userOnly] = [join(directory, 'tree'), repository('archive'), repository('bare-user-only')];
  for (const mode of [...MODES, 'bare-user-only']) await initRepository(repository(mode), mode);
  await changeTree(tree);
  const first = await commit(archive, tree, AWKWARD_REF, '2024-01-01 00:00:00 +0000');
  await changeTree(tree, '--change');
  if (large) await changeTree(tree, '--large');
  const awkward = await commit(archive, tree, AWKWARD_REF, '2024-01-02 00:00:00 +0000');
  for (const mode of ['bare', 'bare-user'])
    await runOstree(['pull-local', `--repo=${repository(mode)}`, '--depth=-1', archive]);
  const canonicalOptions = ['--canonical-permissions', '--no-xattrs'];
  const canonical = await commit(userOnly, tree, CANONICAL_REF, '2024-01-03 00:00:00 +0000', canonicalOptions);
  await runOstree(['pull-local', `--repo=${archive}`, userOnly]);
  const repositories = {
    archive,
    bare: repository('bare'),
    'bare-user': repository('bare-user'),
    'bare-user-only': userOnly,
  };
  return { tree, repositories, first, awkward, canonical };
}

async function initRepository(path: string, mode: string): Promise<void> {
  await runOstree(['init', `--repo=${path}`, `--mode=${mode}`]);
  await runOstree(['config', `--repo=${path}`, 'set', 'core.fsync', 'false']);
  await runOstree(['config', `--repo=${path}`, 'set', 'archive.zlib-level', '1']);
}

const changeTree = (tree: string, ...change: string[]): Promise<unknown> =>
  runChecked(getPeer('python3'), [join(import.meta.dirname, 'make-os-tree.py'), tree, ...change]);

async function commit(repo: string, tree: string, ref: string, timestamp: string, options: string[] = []) {
  const what = [`--repo=${repo}`, '-b', ref, `--tree=dir=${tree}`, `--timestamp=${timestamp}`, '-s', `At ${timestamp}`];
  const { stdout } = await runOstree(['commit', ...what, ...options]);
  return stdout.trim() as Checksum;
}
