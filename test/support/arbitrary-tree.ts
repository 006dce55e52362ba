/**
 * Random file trees for property tests: every kind of inode, shared xattrs, hard links, and sizes around the limits of
 * blocks.
 */

import fc from 'fast-check';
import { type ByteString, byteStringFromBytes } from '../../src/formats/byte-string.ts';
import { type Algorithm, digestBytes, type ObjectId } from '../../src/formats/ids.ts';
import type { Directory, Inode, InodeMetadata, Leaf, Xattr } from '../../src/formats/tree.ts';

export interface TreeLimits {
  algorithm: Algorithm;
  maxContentBytes: number;
  maxTargetBytes: number;
  /** Version 2 images name bodies by object id, and can only hold bodies that are named so. */
  payloads: 'any' | 'objects';
}

const text = (value: string): ByteString => value as ByteString;

const nameArbitrary: fc.Arbitrary<ByteString> = fc.oneof(
  fc.constantFrom(
    ...['a', 'b', 'c', '00', '7f', 'ff', 'FF', '!', '.x', '-', 'a b', '\xc3\xa9', '\xff\x80', '\n'].map(text),
  ),
  fc.integer({ min: 0, max: 999 }).map((i) => text(`file-${i}`)),
  fc.nat(255).map((byte) => text(`n${byte.toString(16)}`.repeat(40).slice(0, 1 + (byte % 100)))),
  fc
    .uint8Array({ minLength: 1, maxLength: 255, size: 'max' })
    .map((bytes) => byteStringFromBytes(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 1 : byte)))),
);

/** Lengths that lie at the ends of blocks, slots and tails. */
const lengthArbitrary = (max: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.nat(Math.min(max, 80)),
    fc.nat(max),
    fc.constantFrom(
      ...[
        1, 31, 32, 33, 512, 1024, 2047, 2048, 2049, 4030, 4031, 4032, 4063, 4064, 4065, 4095, 4096, 4097, 5000,
      ].filter((length) => length <= max),
    ),
  );

const xattrNames = [
  'user.a',
  'user.b',
  'user.overlay.whiteout',
  'user.overlay.whiteouts',
  'user.overlay.opaque',
  'trusted.a',
  'trusted.overlay.opaque',
  'trusted.overlay.metacopy',
  'trusted.overlay.redirect',
  'trusted.overlay.whiteout',
  'trusted.overlay.whiteouts',
  'trusted.overlay.overlay.x',
  'security.selinux',
  'security.capability',
  'system.posix_acl_access',
  'system.posix_acl_default',
  'system.posix_acl_accessX',
  'lustre.lov',
  'lustre.',
  'odd',
  'user.\xff=\n ',
].map(text);

const xattrArbitrary: fc.Arbitrary<Xattr> = fc.record({
  name: fc.oneof(
    fc.constantFrom(...xattrNames),
    fc.nat(400).map((i) => text(`user.${'x'.repeat(i % 240)}${i}`)),
  ),
  value: fc.oneof(
    fc
      .constantFrom('', 'x', 'y', 'label:of:something\0', '\0\xff')
      .map((value) => Uint8Array.from(value, (c) => c.charCodeAt(0))),
    fc.uint8Array({ maxLength: 40 }),
    lengthArbitrary(5000).map((length) => new Uint8Array(length).fill(0x5a)),
  ),
});

const timeArbitrary = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ mtimeSeconds: 0n, mtimeNanoseconds: 0 }) },
  {
    weight: 1,
    arbitrary: fc.record({
      mtimeSeconds: fc.oneof(fc.constant(-1n), fc.constant(1n), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
      mtimeNanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
    }),
  },
);

const idArbitrary = fc.oneof(
  { weight: 4, arbitrary: fc.nat(3) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 2 ** 32 - 1 }) },
);

const metadataArbitrary: fc.Arbitrary<InodeMetadata> = fc
  .record({
    permissions: fc.integer({ min: 0, max: 0o7777 }),
    uid: idArbitrary,
    gid: idArbitrary,
    time: timeArbitrary,
    xattrs: fc.oneof(
      { weight: 2, arbitrary: fc.constant<Xattr[]>([]) },
      { weight: 2, arbitrary: fc.uniqueArray(xattrArbitrary, { maxLength: 4, selector: ({ name }) => name }) },
      {
        weight: 1,
        arbitrary: fc.constant<Xattr[]>([{ name: text('security.selinux'), value: Uint8Array.of(0x78, 0) }]),
      },
    ),
  })
  .map(({ time, ...metadata }) => ({ ...metadata, ...time }));

const bodyArbitrary = (limits: TreeLimits): fc.Arbitrary<{ payload?: ByteString; digest?: ObjectId }> => {
  const digit = fc.nat(255).map((byte) => byte.toString(16).padStart(2, '0'));
  const id = digit.map((byte) => byte.repeat(digestBytes(limits.algorithm)) as ObjectId);
  const pathOf = (object: ObjectId): ByteString => text(`${object.slice(0, 2)}/${object.slice(2)}`);
  const named = fc.oneof(
    id.map((digest) => ({ digest, payload: pathOf(digest) })),
    id.map((object) => ({ payload: pathOf(object) })),
    fc.constant({}),
  );
  if (limits.payloads === 'objects') return named;
  const path = fc.oneof(
    id.map((object) => text(`${pathOf(object)}.file`)),
    lengthArbitrary(4095).map((length) => text('p'.repeat(Math.max(length, 1)))),
    fc.constantFrom(text('/abs'), text('-'), text('a b/\xff')),
  );
  return fc.oneof(
    named,
    fc.record({ payload: path }),
    fc.record({ payload: path, digest: id }),
    fc.record({ digest: id }),
  );
};

function leafArbitrary(limits: TreeLimits): fc.Arbitrary<Leaf> {
  const target = lengthArbitrary(limits.maxTargetBytes).map((length) => text('t'.repeat(Math.max(length, 1))));
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    lengthArbitrary(limits.maxContentBytes).map((length) => new Uint8Array(length).fill(0x2d)),
  );
  const sizeBytes = fc.oneof(
    fc.nat(10_000),
    fc.constantFrom(0, 1, 4096, 4097, 2 ** 20, 2 ** 32 - 1, 2 ** 32, 2 ** 43, 2 ** 43 + 1, 1017 * 2 ** 43, 2 ** 53),
  );
  const rdev = fc.constantFrom(0, 1, 259, 0xffffffff);
  const kind = fc.oneof(
    fc.record({ kind: fc.constant('file' as const), content }),
    fc
      .record({ kind: fc.constant('external' as const), sizeBytes, body: bodyArbitrary(limits) })
      .map(({ body, ...file }) => ({ ...file, ...body })),
    fc.record({ kind: fc.constant('symlink' as const), target }),
    fc.record({ kind: fc.constantFrom('character' as const, 'block' as const), rdev }),
    fc.record({ kind: fc.constantFrom('fifo' as const, 'socket' as const) }),
  );
  const nlink = fc.option(fc.constantFrom(0, 2, 65_535, 65_536, 2 ** 32 - 1), { nil: undefined, freq: 12 });
  return fc
    .record({ metadata: metadataArbitrary, kind, nlink })
    .map(({ metadata, kind, nlink }) => ({ ...metadata, ...kind, ...(nlink === undefined ? {} : { nlink }) }) as Leaf);
}

type Step =
  | { what: 'directory'; metadata: InodeMetadata }
  | { what: 'leaf'; leaf: Leaf }
  | { what: 'link'; to: number; isOwn: boolean }
  /** Many small files. */
  | { what: 'crowd'; count: number };

/**
 * Builds in steps, so that a failing tree shrinks well; each goes into one of the directories that are there by then.
 */
export function treeArbitrary(limits: TreeLimits): fc.Arbitrary<Directory> {
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 3, arbitrary: fc.record({ what: fc.constant('directory' as const), metadata: metadataArbitrary }) },
    { weight: 8, arbitrary: fc.record({ what: fc.constant('leaf' as const), leaf: leafArbitrary(limits) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('link' as const), to: fc.nat(), isOwn: fc.boolean() }) },
    {
      weight: 1,
      arbitrary: fc.record({ what: fc.constant('crowd' as const), count: fc.integer({ min: 1, max: 400 }) }),
    },
  );
  const steps = fc.array(fc.tuple(step, fc.nat(), nameArbitrary), { maxLength: 40, size: 'max' });
  return fc.record({ root: metadataArbitrary, steps }).map(({ root, steps }) => {
    const directories: Directory[] = [{ kind: 'directory', ...root, entries: new Map() }];
    const leaves: Leaf[] = [];
    for (const [one, place, name] of steps) {
      const directory = directories[place % directories.length];
      if (directory.entries.has(name) || name === '.' || name === '..') continue;
      const inode = makeInode(one, directory, name, leaves);
      if (inode === undefined) continue;
      directory.entries.set(name, inode);
      if (inode.kind === 'directory') directories.push(inode);
      else if (inode.kind !== 'character' || inode.rdev !== 0) leaves.push(inode); // whiteouts have one name
    }
    return directories[0];
  });
}

function makeInode(step: Step, directory: Directory, name: ByteString, leaves: Leaf[]): Inode | undefined {
  switch (step.what) {
    case 'directory':
      return { kind: 'directory', ...step.metadata, entries: new Map() };
    case 'leaf':
      return step.leaf;
    case 'link': {
      if (leaves.length === 0) return undefined;
      const leaf = leaves[step.to % leaves.length];
      if (step.isOwn) leaf.origin = { directory, name };
      return leaf;
    }
    case 'crowd': {
      const crowd: Directory = { ...directory, entries: new Map() };
      for (let i = 0; i < step.count; i++)
        crowd.entries.set(text(`${'n'.repeat(i % 90)}${i}`), {
          kind: 'fifo',
          permissions: i,
          uid: 0,
          gid: 0,
          mtimeSeconds: 0n,
          mtimeNanoseconds: 0,
          xattrs: [],
        });
      return crowd;
    }
  }
}
