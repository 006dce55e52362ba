/** The kernel's EROFS driver and erofs-utils read our images: every entry as we read it. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { type ByteString, byteStringToBytes } from '../../src/formats/byte-string.ts';
import type { ImageInode } from '../../src/formats/erofs/inode-reader.ts';
import { Layout } from '../../src/formats/erofs/layout.ts';
import { ErofsImage } from '../../src/formats/erofs/reader.ts';
import { type ErofsVersion, serializeErofs } from '../../src/formats/erofs/writer.ts';
import { toHex } from '../../src/formats/ids.ts';
import type { Directory, Inode } from '../../src/formats/tree.ts';
import { loadImageVectors } from '../formats/erofs/image-vectors.ts';
import { treeArbitrary } from '../support/arbitrary-tree.ts';
import { describeWithPeers, getPeer } from '../support/peers.ts';
import { runChecked, runCommand } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

interface MountedEntry {
  /** Path, names and contents are hexadecimal. */
  path: string;
  kind: string;
  permissions: number;
  uid: number;
  gid: number;
  nlink: number;
  mtime: string;
  size: string;
  inode: number;
  xattrs: Record<string, string | null>;
  device?: [major: number, minor: number];
  content?: string;
}

const hex = (text: ByteString): string => toHex(byteStringToBytes(text));

/** Xattrs that the kernel lists: those of the prefixes that it knows. */
const isListed = (name: string): boolean => /^(user|trusted|security)\./.test(name) || ACLS.has(name);
/** It lists more than it gives out: user.* exists on files and directories only, and no name is a prefix alone. */
const isReadable = (name: string, kind: string): boolean =>
  !/^[a-z]+\.$/.test(name) && (!name.startsWith('user.') || kind === 'file' || kind === 'directory');
const ACLS = new Set(['system.posix_acl_access', 'system.posix_acl_default']);

/** What our reader says the kernel is to show, by path. */
function expectedEntries(image: ErofsImage): Map<string, MountedEntry> {
  const entries = new Map<string, MountedEntry>();
  const tree = image.readTree();
  const directories: Directory[] = [];
  const names: ByteString[] = [];
  const firsts = new Map<number, MountedEntry>();
  for (const { name, depth, nid, inode: stored, isStub } of image.walk()) {
    names.length = Math.max(depth - 1, 0);
    if (depth > 0) names.push(name);
    const inode = depth === 0 ? tree : isStub ? undefined : (directories[depth - 1].entries.get(name) as Inode);
    if (inode?.kind === 'directory') directories[depth] = inode;
    const path = names.map((part) => `2f${hex(part)}`).join('');
    const entry =
      stored === undefined ? { ...(firsts.get(nid) as MountedEntry), path } : describeEntry(path, stored, inode);
    firsts.set(nid, entry);
    entries.set(path, entry);
  }
  return entries;
}

function describeEntry(path: string, stored: ImageInode, inode: Inode | undefined): MountedEntry {
  const { kind, permissions, uid, gid, nlink, mtimeSeconds, mtimeNanoseconds, sizeBytes, nid, u } = stored;
  const listed = stored.xattrs.filter(({ name }) => isListed(name));
  const entry: MountedEntry = {
    ...{ path, kind, permissions, uid, gid, nlink, inode: nid },
    mtime: `${mtimeSeconds * 1_000_000_000n + BigInt(mtimeNanoseconds)}`,
    size: `${sizeBytes}`,
    xattrs: Object.fromEntries(
      listed.map(({ name, value }) => [hex(name), isReadable(name, kind) ? toHex(value) : null]),
    ),
  };
  if (kind === 'character' || kind === 'block') entry.device = [(u >> 8) & 0xfff, (u & 0xff) | ((u >>> 12) & 0xfff00)];
  if (inode?.kind === 'symlink') entry.content = hex(inode.target);
  if (kind === 'file' && stored.layout !== Layout.chunked)
    entry.content = inode?.kind === 'file' ? toHex(inode.content) : '';
  return entry;
}

async function mountAndList(bytes: Uint8Array): Promise<MountedEntry[]> {
  await using directory = await makeTemporaryDirectory();
  await writeFile(directory.join('image'), bytes);
  const script =
    'mkdir "$1/mnt"; mount -t erofs -o loop,ro "$1/image" "$1/mnt"; python3 "$2" "$1/mnt"; umount "$1/mnt"';
  const lister = join(import.meta.dirname, 'list-erofs.py');
  // a namespace of its own: nothing stays mounted, whatever happens
  const { stdout } = await runChecked('unshare', [
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-ec',
    script,
    'sh',
    directory.path,
    lister,
  ]);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as MountedEntry);
}

async function requireSame(bytes: Uint8Array): Promise<number> {
  const expected = expectedEntries(ErofsImage.open(bytes));
  const mounted = await mountAndList(bytes);
  for (const entry of mounted) expect(entry).toEqual(expected.get(entry.path));
  expect(mounted.length).toBe(expected.size);
  return mounted.length;
}

const hasErofs = async (): Promise<boolean> => (await readFile('/proc/filesystems', 'utf8')).includes('erofs');

/**
 * Bodies beyond what the kernel takes for a file size, ids that stand for none, ACLs and capabilities that are none:
 * not for a mount.
 */
const MAX_FILE_BYTES = 2 ** 50;
const MAX_ID = 2 ** 32 - 2;

function fitForMount(root: Directory): Directory {
  const left = [root];
  for (const directory of left) {
    for (const inode of [directory, ...directory.entries.values()]) {
      inode.xattrs = inode.xattrs.filter(({ name }) => !/^system|^security.capability/.test(name));
      inode.uid = Math.min(inode.uid, MAX_ID);
      inode.gid = Math.min(inode.gid, MAX_ID);
      if (inode.kind === 'external') inode.sizeBytes = Math.min(inode.sizeBytes, MAX_FILE_BYTES);
      if (inode.kind !== 'directory') delete inode.nlink;
      else if (inode !== directory) left.push(inode);
    }
  }
  return root;
}

const samples = (version: ErofsVersion): Uint8Array[] => {
  const limits =
    version === 2
      ? ({ algorithm: 'sha512', maxContentBytes: 512, maxTargetBytes: 1024, payloads: 'objects' } as const)
      : ({ algorithm: 'sha256', maxContentBytes: 5000, maxTargetBytes: 4095, payloads: 'any' } as const);
  return fc
    .sample(treeArbitrary(limits), { seed: 20260802 + version, numRuns: 12 })
    .map((tree) => serializeErofs(fitForMount(tree), { version, algorithm: limits.algorithm }));
};

const vectors = loadImageVectors().filter(({ variant }) => variant !== 'auto');

describeWithPeers('mounted by the kernel', ['root', 'python3'], () => {
  beforeAll(async () => expect(await hasErofs(), 'the kernel has EROFS').toBe(true));

  test.each(vectors.filter(({ name }) => /(handmade.*v0|whiteouts.*v1|main-3.verity.*v0)$/.test(name)))(
    '$name',
    async ({ bytes }) => {
      expect(await requireSame(bytes)).toBeGreaterThan(256);
    },
  );

  test.each([0, 1, 2] as const)(
    'random trees, version %i',
    async (version) => {
      for (const image of samples(version)) await requireSame(image);
    },
    120_000,
  );

  test('version 2 of a tree that fills blocks', async () => {
    const { bytes } = vectors.find(({ name }) => name.includes('dir5000')) as (typeof vectors)[number];
    const image = serializeErofs(ErofsImage.open(bytes).readTree(), { version: 2, algorithm: 'sha256' });
    expect(await requireSame(image)).toBeGreaterThan(5000);
  });

  test('200 directories inside one another', async () => {
    const makeDirectory = (): Directory => ({
      ...{ kind: 'directory', permissions: 0o755, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0, xattrs: [] },
      entries: new Map(),
    });
    const root = makeDirectory();
    let directory = root;
    for (let depth = 0; depth < 200; depth++) {
      const child = makeDirectory();
      directory.entries.set('d' as ByteString, child);
      directory = child;
    }
    for (const version of [0, 2] as const) await requireSame(serializeErofs(root, { version, algorithm: 'sha256' }));
  });
});

describeWithPeers('fsck.erofs and dump.erofs', ['fsck.erofs', 'dump.erofs'], () => {
  const check = async (bytes: Uint8Array): Promise<number | null> => {
    await using directory = await makeTemporaryDirectory('memory');
    await writeFile(directory.join('image'), bytes);
    return (await runCommand(getPeer('fsck.erofs'), [directory.join('image')])).exitCode;
  };

  test.each([0, 1, 2] as const)(
    'random trees, version %i, are accepted',
    async (version) => {
      for (const image of samples(version)) expect(await check(image)).toBe(0);
    },
    120_000,
  );

  test('a damaged one is not', async () => {
    const image = serializeErofs(ErofsImage.open(vectors[0].bytes).readTree(), { version: 0, algorithm: 'sha256' });
    image[36 * 32 + 5] = 0; // the root's type
    expect(await check(image)).not.toBe(0);
  });

  test('the superblock says what we say', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const { bytes } = vectors.find(({ name }) => name.includes('root-meta')) as (typeof vectors)[number];
    await writeFile(directory.join('image'), bytes);
    const { stdout } = await runChecked(getPeer('dump.erofs'), ['-s', directory.join('image')]);
    expect(stdout).toMatch(new RegExp(`blocks: +${bytes.length / 4096}\n`));
    expect(stdout).toMatch(/root nid: +36\n/);
    expect(stdout).toMatch(/created: .*2023/);
  });
});
