/** System calls that Node lacks: unnamed files, names, locks, attributes, durability. */

import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ByteString } from '../../src/formats/byte-string.ts';
import { runCommand } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { addon } from './ingest-rows.ts';
import { mountBtrfs } from './small-file-systems.ts';

const failsWith = (code: string, syscall: string): unknown =>
  expect.objectContaining({ code, syscall, message: expect.stringContaining(code) });

/** Closed at the end of the scope. */
function opened(path: string, flags = 'r'): { fd: number } & Disposable {
  const fd = openSync(path, flags);
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}

test('an unnamed file gets a name, once', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  const fd = addon.openTmpfile(directory.path, 0o640);
  writeSync(fd, 'content');
  addon.linkFd(fd, directory.join('named'));
  expect(() => addon.linkFd(fd, directory.join('named'))).toThrow(failsWith('EEXIST', 'linkat'));
  closeSync(fd);
  expect(readFileSync(directory.join('named'), 'utf8')).toBe('content');
  expect(() => addon.openTmpfile(directory.join('none'), 0o600)).toThrow(failsWith('ENOENT', 'open'));
});

test('a rename never replaces', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  const [a, b] = [directory.join('a'), directory.join('b')];
  await writeFile(a, 'a');
  addon.renameNoReplace(a, b);
  await writeFile(a, 'other');
  expect(() => addon.renameNoReplace(a, b)).toThrow(failsWith('EEXIST', 'renameat2'));
  expect(readFileSync(b, 'utf8')).toBe('a');
  expect(() => addon.renameNoReplace(directory.join('none'), b)).toThrow(failsWith('ENOENT', 'renameat2'));
});

test('locks are seen by other descriptors and other programs, and never waited for', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  const tryFlock = (kind: string) => runCommand('flock', ['-n', kind, directory.path, 'true']);
  using one = opened(directory.path);
  using two = opened(directory.path);
  expect([addon.flock(one.fd, 'sh'), addon.flock(two.fd, 'sh')]).toEqual([true, true]);
  expect(await tryFlock('-x')).toMatchObject({ exitCode: 1 });
  expect(await tryFlock('-s')).toMatchObject({ exitCode: 0 });
  expect(addon.flock(two.fd, 'un')).toBe(true);
  expect(addon.flock(one.fd, 'ex')).toBe(true);
  expect(addon.flock(two.fd, 'sh')).toBe(false);
  expect(await tryFlock('-s')).toMatchObject({ exitCode: 1 });
  expect(addon.flock(one.fd, 'un')).toBe(true);
  expect(await tryFlock('-x')).toMatchObject({ exitCode: 0 });
  expect(() => addon.flock(1_000_000, 'sh')).toThrow(failsWith('EBADF', 'flock'));
});

test('open-file-description locks belong to the descriptor', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  using one = opened(directory.join('lock'), 'w+');
  using two = opened(directory.join('lock'), 'r+');
  expect(addon.ofdLock(one.fd, 'sh')).toBe(true);
  expect(addon.ofdLock(two.fd, 'sh')).toBe(true);
  expect(addon.ofdLock(two.fd, 'ex')).toBe(false);
  expect(addon.ofdLock(one.fd, 'un')).toBe(true);
  expect(addon.ofdLock(two.fd, 'ex')).toBe(true);
  expect(addon.ofdLock(one.fd, 'sh')).toBe(false);
  expect(() => addon.ofdLock(1_000_000, 'sh')).toThrow(failsWith('EBADF', 'fcntl'));
});

test('attributes, of files, descriptors and symlinks, with any bytes in their names', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  const file = directory.join('file');
  const link = directory.join('link');
  await writeFile(file, '');
  await symlink('file', link);
  const odd = 'user.\xff\xe9' as ByteString;
  addon.setxattr(file, 'user.a', Uint8Array.of(1, 0, 2));
  addon.setxattr(link, odd, new Uint8Array(65536)); // followed
  addon.lsetxattr(link, 'trusted.of-link', Uint8Array.of(7));
  using open = opened(file);
  addon.setxattr(open.fd, 'user.empty', new Uint8Array(0));
  expect(addon.listxattr(file).sort()).toEqual(['user.a', 'user.empty', odd]);
  expect(addon.listxattr(open.fd).sort()).toEqual(['user.a', 'user.empty', odd]);
  expect(addon.llistxattr(link)).toEqual(['trusted.of-link']);
  expect(addon.getxattr(link, 'user.a')).toEqual(Uint8Array.of(1, 0, 2));
  expect(addon.getxattr(open.fd, odd)?.length).toBe(65536);
  expect(addon.getxattr(file, 'user.empty')).toEqual(new Uint8Array(0));
  expect(addon.lgetxattr(link, 'trusted.of-link')).toEqual(Uint8Array.of(7));
  expect(addon.lgetxattr(link, 'user.a')).toBeNull();
  expect(addon.getxattr(file, 'user.none')).toBeNull();
  expect(() => addon.getxattr(directory.join('none'), 'user.a')).toThrow(failsWith('ENOENT', 'getxattr'));
  expect(() => addon.llistxattr(directory.join('none'))).toThrow(failsWith('ENOENT', 'llistxattr'));
});

test('paths can be bytes', async () => {
  await using directory = await makeTemporaryDirectory('memory');
  const path = Buffer.concat([Buffer.from(`${directory.path}/`), Buffer.of(0xff, 0xfe)]);
  writeFileSync(path, '');
  addon.setxattr(path, 'user.a', Uint8Array.of(1));
  expect(addon.getxattr(path, 'user.a')).toEqual(Uint8Array.of(1));
  expect(() => addon.getxattr(Buffer.of(65, 0, 66), 'user.a')).toThrow('NUL');
});

test('reflinks: true where the file system has them, false where not, else an error', async () => {
  await using disk = await mountBtrfs();
  await using memory = await makeTemporaryDirectory('memory');
  const make = (path: string) => {
    writeFileSync(path, 'x'.repeat(10_000));
    return path;
  };
  {
    using from = opened(make(join(disk.path, 'from')));
    using to = opened(join(disk.path, 'to'), 'w+');
    expect(addon.reflink(from.fd, to.fd)).toBe(true);
    using elsewhere = opened(make(memory.join('elsewhere')), 'r+');
    expect(addon.reflink(from.fd, elsewhere.fd)).toBe(false);
    using other = opened(memory.join('other'), 'w+');
    expect(addon.reflink(elsewhere.fd, other.fd)).toBe(false);
    expect(() => addon.reflink(1_000_000, to.fd)).toThrow(failsWith('EBADF', 'FICLONE'));
  }
  expect(readFileSync(join(disk.path, 'to'), 'utf8')).toBe('x'.repeat(10_000));
});

test('fs-verity where there is none', async () => {
  await using directory = await makeTemporaryDirectory('memory'); // tmpfs
  await writeFile(directory.join('file'), 'x');
  using open = opened(directory.join('file'));
  const unsupported = expect.objectContaining({ code: expect.stringMatching(/^(ENOTTY|EOPNOTSUPP|ENOTSUP)$/) });
  expect(() => addon.enableVerity(open.fd, 'sha512')).toThrow(unsupported);
  expect(() => addon.measureVerity(open.fd)).toThrow(unsupported);
  expect(() => addon.measureVerity(1_000_000)).toThrow(failsWith('EBADF', 'FS_IOC_MEASURE_VERITY'));
});

test('syncfs', async () => {
  const directory = openSync(tmpdir(), 'r');
  const synced = addon.syncfs(directory);
  closeSync(directory); // it has its own
  await expect(synced).resolves.toBeUndefined();
  expect(() => addon.syncfs(1_000_000)).toThrow(failsWith('EBADF', 'fcntl'));
});

test('facts about file systems', async () => {
  await using memory = await makeTemporaryDirectory('memory');
  expect(addon.fileSystem(memory.path)).toMatchObject({ magic: 0x01021994, readOnly: false });
  expect(addon.fileSystem(memory.path).freeBytes).toBeGreaterThan(1_000_000);
  using open = opened('/proc');
  expect(addon.fileSystem(open.fd)).toMatchObject({ magic: 0x9fa0 });
  expect(() => addon.fileSystem(memory.join('none'))).toThrow(failsWith('ENOENT', 'statfs'));
});

test('wrong arguments are TypeErrors', () => {
  expect(() => addon.flock('1' as never, 'sh')).toThrow('descriptor');
  expect(() => addon.flock(-1, 'sh')).toThrow(TypeError);
  expect(() => addon.flock(1.5, 'sh')).toThrow(TypeError);
  expect(() => addon.flock(1, 'xx' as never)).toThrow('sh, ex or un');
  expect(() => addon.getxattr({} as never, 'user.a')).toThrow(TypeError);
  expect(() => addon.setxattr('/', 'user.a', [] as never)).toThrow('Uint8Array');
  expect(() => addon.linkFd(1, 'a\0b')).toThrow('NUL');
  expect(() => (addon.openTmpfile as () => number)()).toThrow(TypeError);
});
