/** The test tree of libostree's own tests/test-composefs.sh, whose digests libostree pins. */

import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type ByteString, byteStringFromText } from '../../src/formats/byte-string.ts';
import { serializeErofs } from '../../src/formats/erofs/writer.ts';
import { fsVerityDigest } from '../../src/formats/fs-verity.ts';
import { type Checksum, objectIdFromBytes, toHex } from '../../src/formats/ids.ts';
import { addLibostreeDirectories, libostreeFile } from '../../src/formats/libostree-tree.ts';
import { serializeContentHeader } from '../../src/formats/ostree/file-header.ts';
import type { Directory, ExternalFile, Inode } from '../../src/formats/tree.ts';

const OWNER = { uid: 0, gid: 0, xattrs: [] };
const EPOCH = { mtimeSeconds: 0n, mtimeNanoseconds: 0 };

function directory(entries: Record<string, Inode>): Directory {
  const byName = new Map(Object.entries(entries).map(([name, inode]) => [byteStringFromText(name), inode]));
  return { kind: 'directory', permissions: 0o755, ...OWNER, ...EPOCH, entries: byName };
}

const symlink = (target: string): Inode => ({
  kind: 'symlink',
  permissions: 0o777,
  ...OWNER,
  ...EPOCH,
  target: byteStringFromText(target),
});

function makeTree(hasDigests: boolean): Directory {
  const file = (line: string, permissions = 0o644): Inode => {
    const content = new TextEncoder().encode(`${line}\n`);
    const header = serializeContentHeader({ ...OWNER, mode: 0o100000 | permissions, target: '' as ByteString });
    const checksum = createHash('sha256').update(header).update(content).digest('hex') as Checksum;
    const digest = hasDigests ? objectIdFromBytes(fsVerityDigest('sha256', content)) : undefined;
    return libostreeFile({ permissions, ...OWNER }, { checksum, sizeBytes: content.length, digest });
  };
  const root = directory({
    firstfile: file('first'),
    somelink: symlink('nosuchfile'),
    baz: directory({
      cow: file('moo'),
      cowro: file('mooro', 0o600),
      saucer: file('alien'),
      alink: symlink('nonexistent'),
      deeper: directory({ ohyeah: file('hi'), ohyeahx: file('hix', 0o755) }),
      another: directory({ y: file('x') }),
      sub1: directory({ duplicate_a: file('SAME_CONTENT'), duplicate_b: file('SAME_CONTENT') }),
      sub2: directory({ duplicate_c: file('SAME_CONTENT') }),
    }),
  });
  addLibostreeDirectories(root);
  return root;
}

const imageOf = (root: Directory): Uint8Array => serializeErofs(root, { version: 0, algorithm: 'sha256' });
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test('files are found by their ostree checksum and verified by the digest of their content', () => {
  const baz = makeTree(true).entries.get('baz' as ByteString) as Directory;
  expect(baz.entries.get('cow' as ByteString) as ExternalFile).toMatchObject({
    payload: 'f6/a517d53831a40cff3886a965c70d57aa50797a8e5ea965b2c49cc575a6ff51.file',
    digest: 'ebaa23af194a798df610e5fe2bd10725c9c4a3a56a6b62d4d0ee551d4fc4be27',
    sizeBytes: 4,
  });
});

test('the image has the digest that libostree stores in the commit', () => {
  const image = imageOf(makeTree(true));
  expect(image.length).toBe(20480);
  expect(sha256(image)).toBe('031fab2c7f390b752a820146dc89f6880e5739cba7490f64024e0c7d11aad7c9');
  expect(toHex(fsVerityDigest('sha256', image))).toBe(
    'be956966c70970ea23b1a8043bca58cfb0d011d490a35a7817b36d04c0210954',
  );
});

test('without content digests it is the image of a checkout without them', () => {
  const image = imageOf(makeTree(false));
  expect(image.length).toBe(16384);
  expect(sha256(image)).toBe('78f873a76ccfea3ad7c86312ba0e06f8e0bca54ab4912b23871b31caafe59c24');
});

test('an entry that is there is left alone, whatever it is', () => {
  const usr = symlink('elsewhere');
  const root = directory({ usr });
  addLibostreeDirectories(root);
  expect([...root.entries.keys()].sort()).toEqual(['boot', 'etc', 'sysroot', 'usr', 'var']);
  expect(root.entries.get('usr' as ByteString)).toBe(usr);
});

test('empty files have no body', () => {
  const empty = libostreeFile(
    { permissions: 0o644, ...OWNER },
    { checksum: 'a'.repeat(64) as Checksum, sizeBytes: 0, digest: undefined },
  );
  expect(empty).toMatchObject({ kind: 'file', content: new Uint8Array(0) });
});
