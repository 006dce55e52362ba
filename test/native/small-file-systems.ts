/** File systems of our own for a test, mounted on a directory of it. Need root. */

import { closeSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { getPeer } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { readVector } from '../support/vectors.ts';
import { addon } from './ingest-rows.ts';

export interface MountedFileSystem extends AsyncDisposable {
  /** Where it is mounted. */
  path: string;
}

/** @param sizeText as tmpfs takes it, e.g. `200k` @param inodes how many files, directories and links it can hold */
export async function mountTmpfs(sizeText: string, inodes?: number): Promise<MountedFileSystem> {
  const directory = await makeTemporaryDirectory();
  const path = directory.join('mnt');
  await mkdir(path);
  const context = addon.fsopen('tmpfs');
  addon.fsconfigString(context, 'size', sizeText);
  if (inodes !== undefined) addon.fsconfigString(context, 'nr_inodes', String(inodes));
  addon.fsconfigCreate(context);
  const mount = addon.fsmount(context, 0);
  addon.moveMount(mount, path);
  closeSync(mount);
  closeSync(context);
  return unmountedLater(path, directory);
}

/** One that keeps its data on a disk, which is full later than the program thinks: blocks are chosen when data is flushed. */
export async function mountExt4(sizeMib: number): Promise<MountedFileSystem> {
  const directory = await makeTemporaryDirectory();
  const path = directory.join('mnt');
  const image = directory.join('image');
  await mkdir(path);
  await runChecked(getPeer('mke2fs'), ['-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0', image, `${sizeMib}M`]);
  await runChecked('mount', ['-t', 'ext4', '-o', 'loop', image, path]);
  return unmountedLater(path, directory);
}

/** Has reflinks. */
export async function mountBtrfs(): Promise<MountedFileSystem> {
  const directory = await makeTemporaryDirectory();
  const path = directory.join('mnt');
  await mkdir(path);
  await writeFile(directory.join('image'), gunzipSync(readVector('native/btrfs-16m.img.gz')));
  await runChecked('mount', ['-t', 'btrfs', '-o', 'loop', directory.join('image'), path]);
  return unmountedLater(path, directory);
}

function unmountedLater(path: string, directory: AsyncDisposable): MountedFileSystem {
  return {
    path,
    async [Symbol.asyncDispose]() {
      addon.umount(path, 0);
      await directory[Symbol.asyncDispose]();
    },
  };
}
