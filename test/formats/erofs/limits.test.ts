/**
 * What no image can hold is refused before anything is written, and what claims to be more than the image has, before
 * it is read.
 */

import { describe, expect, test } from 'vitest';
import { FormatError, LimitError } from '../../../src/errors.ts';
import type { ByteString } from '../../../src/formats/byte-string.ts';
import { serializeDumpfile } from '../../../src/formats/dumpfile.ts';
import { BLOCK_BYTES, SUPERBLOCK_OFFSET, Superblock } from '../../../src/formats/erofs/layout.ts';
import { ErofsImage } from '../../../src/formats/erofs/reader.ts';
import { chooseErofsVersion, type ErofsOptions, serializeErofs } from '../../../src/formats/erofs/writer.ts';
import type { ObjectId } from '../../../src/formats/ids.ts';
import type { Directory, Inode, Xattr } from '../../../src/formats/tree.ts';

const METADATA = { permissions: 0o644, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0, xattrs: [] as Xattr[] };
const text = (value: string): ByteString => value as ByteString;
const makeDirectory = (entries: Record<string, Inode> = {}): Directory => ({
  kind: 'directory',
  ...METADATA,
  entries: new Map(Object.entries(entries).map(([name, inode]) => [text(name), inode])),
});
const file = (content = new Uint8Array(0), metadata: Partial<typeof METADATA> = {}): Inode => ({
  kind: 'file',
  ...METADATA,
  ...metadata,
  content,
});
const symlink = (length: number): Inode => ({ kind: 'symlink', ...METADATA, target: text('t'.repeat(length)) });
const external = (rest: object): Inode => ({ kind: 'external', ...METADATA, sizeBytes: 9, ...rest });
const xattr = (name: string, length = 1): Xattr => ({ name: text(name), value: new Uint8Array(length) });
const DIGEST = 'ab'.repeat(32) as ObjectId;
const V1: ErofsOptions = { version: 1, algorithm: 'sha256' };
const V2: ErofsOptions = { version: 2, algorithm: 'sha256' };

describe('a tree is refused, with its path,', () => {
  test.each<[string, Inode, ErofsOptions, string]>([
    ['permissions above 07777', file(undefined, { permissions: 0o100644 }), V1, 'mode'],
    ['a uid of 33 bits', file(undefined, { uid: 2 ** 32 }), V1, 'uid'],
    ['a negative gid', file(undefined, { gid: -1 }), V1, 'gid'],
    ['a time of 65 bits', file(undefined, { mtimeSeconds: 2n ** 63n }), V1, 'mtime'],
    ['10^9 nanoseconds', file(undefined, { mtimeNanoseconds: 1e9 }), V1, 'mtime'],
    ['an xattr without a name', file(undefined, { xattrs: [xattr('')] }), V1, 'xattr name'],
    ['a NUL in an xattr name', file(undefined, { xattrs: [xattr('user.a\0b')] }), V1, 'xattr name'],
    ['an xattr twice', file(undefined, { xattrs: [xattr('user.a'), xattr('user.a')] }), V1, 'xattr name'],
    ['an xattr name of 256 bytes', file(undefined, { xattrs: [xattr('u'.repeat(256))] }), V1, 'xattr name'],
    ['an xattr value of 64 KiB', file(undefined, { xattrs: [xattr('user.a', 65536)] }), V2, 'xattr value'],
    ['32 KiB of xattrs', file(undefined, { xattrs: [xattr('user.a', 32743)] }), V1, 'xattrs'],
    ['5001 bytes inline', file(new Uint8Array(5001)), V1, 'content'],
    ['513 bytes inline', file(new Uint8Array(513)), V2, 'content'],
    ['a target of 4096 bytes', symlink(4096), V1, 'target'],
    ['a target of 1025 bytes', symlink(1025), V2, 'target'],
    ['an empty target', symlink(0), V1, 'target'],
    ['a body above 2^53', external({ sizeBytes: 2 ** 54 }), V1, 'size'],
    ['half a byte', external({ sizeBytes: 0.5 }), V1, 'size'],
    ['a digest of another algorithm', external({ digest: DIGEST }), { version: 1, algorithm: 'sha512' }, 'digest'],
    ['a payload that climbs', external({ payload: 'a/../../etc/passwd' }), V1, 'payload'],
    ['a payload that is no object', external({ payload: 'ab/cd.file' }), V2, 'payload'],
    ['a device number of 33 bits', { kind: 'block', ...METADATA, rdev: 2 ** 32 }, V1, 'rdev'],
    ['a link count of 33 bits', { kind: 'fifo', ...METADATA, nlink: 2 ** 32 }, V1, 'nlink'],
  ])('%s', (_what, inode, options, field) => {
    const root = makeDirectory({ d: makeDirectory({ f: inode }) });
    expect(() => serializeErofs(root, options)).toThrow(
      expect.objectContaining({
        name: expect.stringMatching(/FormatError|LimitError/),
        where: { file: '/d/f', format: 'tree', field },
      }),
    );
  });

  test.each(['', '.', '..', 'a/b', 'a\0b', 'n'.repeat(256)])('the name %j', (name) => {
    for (const options of [V1, V2]) {
      const root = makeDirectory({ d: makeDirectory({ [name]: file() }) });
      expect(() => serializeErofs(root, options)).toThrow(FormatError);
    }
  });

  test('a directory at two places, also inside itself', () => {
    const shared = makeDirectory();
    expect(() => serializeErofs(makeDirectory({ a: shared, b: shared }), V1)).toThrow('two names');
    const loop = makeDirectory();
    loop.entries.set(text('d'), loop);
    for (const options of [V1, V2]) expect(() => serializeErofs(loop, options)).toThrow(FormatError);
    expect(chooseErofsVersion(loop)).toBe(0);
    expect(() => [...serializeDumpfile(loop)]).toThrow(LimitError);
  });

  test('a whiteout with two names', () => {
    const whiteout: Inode = { kind: 'character', ...METADATA, rdev: 0 };
    for (const options of [V1, V2])
      expect(() => serializeErofs(makeDirectory({ a: whiteout, b: whiteout }), options)).toThrow('two names');
  });
});

describe('many xattrs on one inode', () => {
  const names = (count: number): Xattr[] => Array.from({ length: count }, (_, i) => xattr(`user.${i}`));

  test('versions 0 and 1 refer to 128 shared ones and store the others with the inode', () => {
    const root = makeDirectory({
      a: file(undefined, { xattrs: names(1500) }),
      b: file(undefined, { xattrs: names(1500) }),
    });
    const image = serializeErofs(root, V1);
    const stored = [...ErofsImage.open(image).walk()].find(({ name }) => name === 'a')?.inode;
    expect(image[(stored?.offset as number) + 32 + 4]).toBe(128);
    expect(stored?.xattrs.length).toBe(1500);
    expect(serializeErofs(ErofsImage.open(image).readTree(), V1)).toEqual(image);
  });

  test('version 2 refers to 255, and refuses more', () => {
    const make = (count: number): Directory =>
      makeDirectory({ a: file(undefined, { xattrs: names(count) }), b: file(undefined, { xattrs: names(count) }) });
    const image = serializeErofs(make(255), V2);
    expect(serializeErofs(ErofsImage.open(image).readTree(), V2)).toEqual(image);
    expect(() => serializeErofs(make(256), V2)).toThrow(LimitError);
  });

  test('an area that its count cannot describe is refused', () => {
    const xattrs = [0, 1, 2, 3, 4].map((i) => xattr(`user.${i}`, 65535));
    expect(() => serializeErofs(makeDirectory({ f: file(undefined, { xattrs }) }), V2)).toThrow(LimitError);
    const image = serializeErofs(makeDirectory({ f: file(undefined, { xattrs: xattrs.slice(2) }) }), V2);
    expect(serializeErofs(ErofsImage.open(image).readTree(), V2)).toEqual(image);
  });
});

describe('depth', () => {
  const nested = (depth: number): Directory => {
    const root = makeDirectory();
    let directory = root;
    for (let i = 0; i < depth; i++) {
      const child = makeDirectory();
      directory.entries.set(text('d'), child);
      directory = child;
    }
    return root;
  };

  test.each([V1, V2])('1024 directories inside one another, not more, in version $version', (options) => {
    const image = serializeErofs(nested(1024), options);
    expect(serializeErofs(ErofsImage.open(image).readTree(), options)).toEqual(image);
    expect(() => serializeErofs(nested(1025), options)).toThrow(LimitError);
  });
});

test('an image whose inodes share data is refused before it grows in memory', () => {
  // 2000 files of a block and a tail each; then all of them claim the first block, and the others are cut off
  const entries: Record<string, Inode> = {};
  for (let i = 0; i < 2000; i++) entries[`f${i}`] = file(new Uint8Array(5000).fill(i));
  const image = serializeErofs(makeDirectory(entries), V1);
  const view = new DataView(image.buffer);
  const inodes = [...ErofsImage.open(image).walk()].flatMap(({ inode }) => (inode?.kind === 'file' ? [inode] : []));
  expect(inodes.length).toBe(2000);
  const firstBlock = Math.min(...inodes.map(({ u }) => u));
  for (const { offset } of inodes) view.setUint32(offset + 16, firstBlock, true);
  const cut = image.slice(0, (firstBlock + 1) * BLOCK_BYTES);
  new DataView(cut.buffer).setUint32(SUPERBLOCK_OFFSET + Superblock.blocks, firstBlock + 1, true);
  expect(() => ErofsImage.open(cut).readTree()).toThrow('overlaps');
});

test('time and memory of a large tree stay in proportion', () => {
  const root = makeDirectory();
  for (let i = 0; i < 300; i++) {
    const directory = makeDirectory();
    for (let j = 0; j < 100; j++) {
      const xattrs = [
        { name: text('security.selinux'), value: Uint8Array.of(0x78, 0) },
        { name: text(`user.${j % 7}`), value: Uint8Array.of(i) },
      ];
      directory.entries.set(text(`file-${j}`), file(new Uint8Array(j), { xattrs }));
    }
    root.entries.set(text(`directory-${i}`), directory);
  }
  for (const options of [V1, V2]) {
    const started = performance.now();
    const image = serializeErofs(root, options);
    expect(ErofsImage.open(image).readTree().entries.size).toBe(300);
    expect(performance.now() - started).toBeLessThan(5000);
  }
});
