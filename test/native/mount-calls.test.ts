/** The mount calls, on small file systems of our own. Needs root. */

import { closeSync, openSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { readVector } from '../support/vectors.ts';
import { addon } from './ingest-rows.ts';
import { mountTmpfs } from './small-file-systems.ts';

const MOUNT_ATTR_RDONLY = 1;
const MNT_DETACH = 2;
const failsWith = (code: string, syscall: string): unknown => expect.objectContaining({ code, syscall });

test('mount, change to read-only, unmount', async () => {
  const disk = await mountTmpfs('100k');
  await writeFile(join(disk.path, 'file'), 'x');
  const mount = openSync(disk.path, 'r');
  addon.mountSetattr(mount, { set: MOUNT_ATTR_RDONLY });
  await expect(writeFile(join(disk.path, 'other'), 'x')).rejects.toThrow('EROFS');
  expect(addon.fileSystem(disk.path)).toMatchObject({ magic: 0x01021994, readOnly: true });
  addon.mountSetattr(mount, { clear: MOUNT_ATTR_RDONLY });
  await writeFile(join(disk.path, 'other'), 'x');
  expect(() => addon.umount(disk.path, 0)).toThrow(failsWith('EBUSY', 'umount2'));
  closeSync(mount);
  await disk[Symbol.asyncDispose]();
});

test('overlay layers by descriptor; flags; a detached unmount', async () => {
  await using directory = await makeTemporaryDirectory();
  for (const [layer, name] of [
    ['lower', 'a'],
    ['data', 'b'],
  ] as const) {
    await mkdir(directory.join(layer));
    await writeFile(directory.join(layer, name), name);
  }
  await mkdir(directory.join('mnt'));
  const layers = ['lower', 'data'].map((layer) => openSync(directory.join(layer), 'r'));
  const overlay = addon.fsopen('overlay');
  addon.fsconfigFlag(overlay, 'ro');
  addon.fsconfigString(overlay, 'source', 'test');
  for (const layer of layers) addon.fsconfigFd(overlay, 'lowerdir+', layer);
  addon.fsconfigCreate(overlay);
  const mount = addon.fsmount(overlay, MOUNT_ATTR_RDONLY);
  addon.moveMount(mount, directory.join('mnt'));
  expect((await readdir(directory.join('mnt'))).sort()).toEqual(['a', 'b']);
  expect(await readFile(directory.join('mnt', 'b'), 'utf8')).toBe('b');
  addon.umount(directory.join('mnt'), MNT_DETACH); // the descriptors keep it busy
  for (const fd of [...layers, overlay, mount]) closeSync(fd);
  expect(await readdir(directory.join('mnt'))).toEqual([]);
});

test('the kernel says what is wrong', () => {
  const overlay = addon.fsopen('overlay');
  expect(addon.fsMessages(overlay)).toEqual([]);
  expect(() => addon.fsconfigString(overlay, 'no-such-option', 'x')).toThrow(failsWith('EINVAL', 'fsconfig'));
  expect(addon.fsMessages(overlay).join('\n')).toContain('no-such-option');
  expect(addon.fsMessages(overlay)).toEqual([]);
  closeSync(overlay);
});

test('failures are errors with number and call', () => {
  expect(() => addon.fsopen('no-such-type')).toThrow(failsWith('ENODEV', 'fsopen'));
  expect(() => addon.fsmount(1_000_000, 0)).toThrow(failsWith('EBADF', 'fsmount'));
  expect(() => addon.fsconfigCreate(1_000_000)).toThrow(failsWith('EBADF', 'fsconfig'));
  expect(() => addon.moveMount(1_000_000, '/')).toThrow(failsWith('EBADF', 'move_mount'));
  expect(() => addon.mountSetattr(1_000_000, { set: 1 })).toThrow(failsWith('EBADF', 'mount_setattr'));
  expect(() => addon.umount('/nowhere', 0)).toThrow(failsWith('ENOENT', 'umount2'));
  expect(() => addon.attachLoopDevice(1_000_000)).toThrow(failsWith('EBADF', 'LOOP_CONFIGURE'));
  expect(() => addon.mountSetattr(1, { set: 'x' as never })).toThrow(TypeError);
});

test('a loop device, read-only, gone with its last user', async () => {
  await using directory = await makeTemporaryDirectory();
  const image = gunzipSync(readVector('native/btrfs-16m.img.gz'));
  await writeFile(directory.join('image'), image);
  const file = openSync(directory.join('image'), 'r');
  const device = addon.attachLoopDevice(file);
  closeSync(file);
  expect(device.path).toMatch(/^\/dev\/loop\d+$/);
  expect((await readFile(device.path)).equals(image)).toBe(true);
  await expect(writeFile(device.path, 'x', { flag: 'r+' })).rejects.toThrow(/EPERM|EROFS|EACCES/);
  const number = device.path.slice('/dev/loop'.length);
  expect(await readFile(`/sys/block/loop${number}/loop/backing_file`, 'utf8')).toContain('image');
  closeSync(device.fd);
  await expect(readFile(`/sys/block/loop${number}/loop/backing_file`, 'utf8')).rejects.toThrow('ENOENT');
});
