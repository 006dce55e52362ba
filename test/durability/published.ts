/** An ostree repository with two commits, small enough to be pulled many hundred times, in the forms that pulls read. */

import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Checksum } from '../../src/formats/ids.ts';
import { serializeDetachedMetadata } from '../../src/formats/ostree/detached-metadata.ts';
import { runCliJson } from '../cli/run-cli.ts';
import { sharedFixture } from '../support/run-directory.ts';
import { Random } from './random.ts';

export interface Published {
  /** Repositories with refs `os/first` and `os/main`, whose parent is the first. */
  archive: string;
  bare: string;
  /** Where the second commit was made of. */
  tree: string;
  first: Checksum;
  second: Checksum;
}

/** How many files of a kind a tree has. `small` ones are kept in the commit stream, `large` is one of several MiB. */
interface TreeSize {
  external: number;
  small: number;
  large: boolean;
}

const LARGE_BYTES = 4 << 20;

/** About 260 files. */
export const published = (): Promise<Published> => publishedAs('published', { external: 160, small: 100, large: true });
/** A handful of files: every system call of a pull of it can be made to fail. */
export const publishedTiny = (): Promise<Published> =>
  publishedAs('published-tiny', { external: 4, small: 2, large: false });

const publishedAs = (name: string, size: TreeSize): Promise<Published> =>
  sharedFixture(name, (directory) => publishTrees(directory, size));

async function publishTrees(directory: string, size: TreeSize): Promise<Published> {
  const repo = join(directory, 'store');
  const tree = join(directory, 'tree');
  const run = <T>(...args: string[]) => runCliJson<T>([...args, '--repo', repo]);
  const commit = (branch: string, ...options: string[]) =>
    run<{ commit: Checksum }>(
      ...['commit', tree, '--branch', branch, '--canonical-permissions', '--no-xattrs', '--subject', branch],
      ...['--generate-composefs-metadata', ...options],
    );
  await runCliJson(['init', '--insecure', repo]);
  await writeTree(tree, size);
  const first = await commit('os/first', '--timestamp', '1000');
  await changeTree(tree, size);
  const second = await commit('os/main', '--parent', first.commit, '--timestamp', '2000');
  const forms = { archive: join(directory, 'archive'), bare: join(directory, 'bare') };
  for (const [mode, path] of Object.entries(forms)) {
    await run('export', 'os/first', 'os/main', path, '--mode', mode);
    for (const { commit } of [first, second])
      await writeFile(
        join(path, 'objects', commit.slice(0, 2), `${commit.slice(2)}.commitmeta`),
        serializeDetachedMetadata([['test.signature', { type: 's', value: `by nobody, of ${commit}` }]]),
      );
  }
  return { ...forms, tree, first: first.commit, second: second.commit };
}

async function writeTree(tree: string, { external, small, large }: TreeSize): Promise<void> {
  const random = new Random(1);
  for (let i = 0; i < external; i++) await writeBytes(join(tree, externalName(i)), 129 + random.integer(6000), i);
  for (let i = 0; i < small; i++) await writeBytes(join(tree, `etc/d${i % 7}/small${i}`), 1 + random.integer(60), i);
  await symlink('d0/small0', join(tree, 'etc/link'));
  if (large) await writeBytes(join(tree, 'usr/lib/large'), LARGE_BYTES, 0);
}

const externalName = (i: number): string => `usr/d${i % 11}/file${i}`;

/** A third of the files is other, some are new. */
async function changeTree(tree: string, { external }: TreeSize): Promise<void> {
  for (let i = 0; i < external; i += 3) await writeBytes(join(tree, externalName(i)), 500 + i, external + i);
  for (let i = 0; i < external / 4; i++) await writeBytes(join(tree, `opt/new${i}`), 300 + i, 2 * external + i);
}

async function writeBytes(path: string, length: number, seed: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const random = new Random(seed);
  await writeFile(
    path,
    Uint8Array.from({ length }, () => random.integer(256)),
  );
}
