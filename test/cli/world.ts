/** A small world that commands and their examples work in: a tree, a store with two commits of it, a published repository, files. */

import { appendFile, chmod, cp, link, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sharedFixture } from '../support/run-directory.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { runCli, runCliJson } from './run-cli.ts';

export interface World {
  /** What refs and files in the world stand for. */
  first: string;
  second: string;
  image: string;
}

/** Deterministic content that no inlining takes. */
const bytes = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 255);

async function makeTree(tree: string): Promise<void> {
  await mkdir(join(tree, 'etc'), { recursive: true });
  await mkdir(join(tree, 'usr/bin'), { recursive: true });
  await mkdir(join(tree, 'usr/share/doc'), { recursive: true });
  await writeFile(join(tree, 'etc/os-release'), 'NAME=Test\nVERSION=1\n');
  await writeFile(join(tree, 'etc/empty'), '');
  await writeFile(join(tree, 'usr/bin/tool'), bytes(200_000, 1));
  await chmod(join(tree, 'usr/bin/tool'), 0o4755);
  await writeFile(join(tree, 'usr/share/doc/große Datei.txt'), bytes(5_000, 2));
  await link(join(tree, 'usr/share/doc/große Datei.txt'), join(tree, 'usr/share/doc/same'));
  await symlink('../usr/bin/tool', join(tree, 'etc/tool'));
}

/** Files and directories: ./tree ./store ./published ./os.dump ./os.erofs ./mnt ./upper ./work; refs os/main, os/old; image name os-main. */
async function makeWorld(cwd: string): Promise<World> {
  const env = { CFS_OSTREE_REPO: './store' };
  const run = <T>(...args: string[]) => runCliJson<T>(args, { cwd, env });
  const tree = join(cwd, 'tree');
  await makeTree(tree);
  await run('init', '--insecure', './store');
  const commit = ['commit', './tree', '--branch', 'os/main', '--canonical-permissions', '--no-xattrs'];
  const first = await run<{ commit: string }>(...commit, '--subject', 'First', '--timestamp', '1000');
  await run('tag', 'os/main', 'os/old');
  await appendFile(join(tree, 'etc/os-release'), 'EXTRA=yes\n');
  await writeFile(join(tree, 'usr/bin/new'), bytes(300, 3));
  await chmod(join(tree, 'usr/share/doc'), 0o700);
  const second = await run<{ commit: string }>(
    ...commit,
    ...['--subject', 'Second', '--body', 'More about it.\nAnd more.', '--timestamp', '@2000'],
    ...['--add-metadata-string', 'version=2.0', '--generate-composefs-metadata'],
  );
  await run('export', 'os/main', 'os/old', './published');
  const { image } = await run<{ image: string }>('create-image', 'os/main', '--name', 'os-main');
  await run('create-image', 'os/main', '--output', './os.erofs');
  await writeFile(join(cwd, 'os.dump'), (await runCli(['dump', 'os/main'], { cwd, env })).stdoutBytes);
  for (const name of ['mnt', 'upper', 'work']) await mkdir(join(cwd, name));
  return { first: first.commit, second: second.commit, image };
}

export interface OwnWorld extends World, AsyncDisposable {
  /** Where it is; commands run here. */
  cwd: string;
  env: { CFS_OSTREE_REPO: string };
}

/** A copy that the test may change. */
export async function openWorld(): Promise<OwnWorld> {
  const { directory, world } = await sharedFixture('cli-world', async (made) => ({
    directory: made,
    world: await makeWorld(made),
  }));
  const copy = await makeTemporaryDirectory();
  await cp(directory, copy.path, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  return {
    ...world,
    cwd: copy.path,
    env: { CFS_OSTREE_REPO: './store' },
    [Symbol.asyncDispose]: () => copy[Symbol.asyncDispose](),
  };
}
