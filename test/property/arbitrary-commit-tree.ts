/** Random trees that an ostree commit can hold: names in UTF-8, files, symlinks and directories, at the sizes where something changes. */

import fc from 'fast-check';
import { type ByteString, byteStringFromText } from '../../src/formats/byte-string.ts';
import type { Directory, Inode, InodeMetadata, Leaf, Xattr } from '../../src/formats/tree.ts';

/**
 * `disk`: what a root user can make on a Linux file system. `dumpfile`: whatever an ostree object can say, xattrs of any name on
 * anything included. `plain`: what a bare-user-only repository can hold, too.
 */
export type TreeKind = 'disk' | 'dumpfile' | 'plain';

const encoder = new TextEncoder();
const text = (value: string): ByteString => byteStringFromText(value);
const isName = (name: string): boolean =>
  !/[\0/]/.test(name) && name !== '.' && name !== '..' && encoder.encode(name).length <= 255;

const ODD_NAMES = [
  ...['-', '--', '-r', '@', '=', '#', '*', '"', "'", '\\', '\\x2f', ' ', '  ', 'a b', '\n', '\r', '\t', '\x01', '\x7f'],
  ...['é', 'e\u0301', 'Å', '\u212b', 'ﬀ', '\u200f', '\ufeff', '\ufffd', '😀', '\u{10ffff}', '…', '...', '.x', '..x'],
  ...[
    '00',
    'ff',
    'x'.repeat(255),
    `${'é'.repeat(127)}x`,
    '😀'.repeat(63),
    'trusted.overlay.whiteout',
    'constructor',
    '__proto__',
  ],
];
const nameArbitrary: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('a', 'b', 'c', 'etc', 'usr'),
  fc.constantFrom(...ODD_NAMES),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }).filter(isName),
);

/** Around the limits of inlining (64, 128), of blocks and of dumpfiles (5000). */
const SIZES = [0, 0, 1, 2, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 5000, 5001, 8192, 8193, 70_000];
/** Few patterns, so that content repeats under different metadata. */
const contentArbitrary: fc.Arbitrary<Uint8Array> = fc
  .record({ size: fc.oneof(fc.constantFrom(...SIZES), fc.nat(300)), pattern: fc.nat(2) })
  .map(({ size, pattern }) =>
    Uint8Array.from({ length: size }, (_, i) =>
      pattern === 0 ? 0 : (Math.imul(i + pattern, 0x9e3779b1) >>> 23) & 0xff,
    ),
  );

const ANYWHERE = [
  'trusted.a',
  'trusted.overlay.opaque',
  'trusted.overlay.overlay.x',
  'trusted.overlay.whiteouts',
  'security.selinux',
];
const NOT_ON_SYMLINKS = ['user.a', 'user.b', 'user.overlay.opaque', 'user.é =\n', `user.${'x'.repeat(250)}`];
const NEVER_ON_DISK = ['odd', 'lustre.lov', 'system.posix_acl_access', 'user.\xff', 'trusted.overlay.metacopy'];

const valueArbitrary: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.constantFrom('', 'x', 'label:of:something\0', '\0é').map((value) => encoder.encode(value)),
  fc.uint8Array({ minLength: 1, maxLength: 40 }),
  fc.constantFrom(200, 4000, 5000).map((size) => new Uint8Array(size).fill(0x5a)),
);

function xattrsArbitrary(kind: TreeKind, isSymlink: boolean): fc.Arbitrary<Xattr[]> {
  if (kind === 'plain') return fc.constant([]);
  const names = [
    ...ANYWHERE,
    ...(isSymlink && kind === 'disk' ? [] : NOT_ON_SYMLINKS),
    ...(kind === 'dumpfile' ? NEVER_ON_DISK : []),
  ];
  const xattr = fc.record({ name: fc.constantFrom(...names).map(text), value: valueArbitrary });
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant<Xattr[]>([]) },
    { weight: 1, arbitrary: fc.uniqueArray(xattr, { maxLength: 4, selector: ({ name }) => name }) },
  );
}

function metadataArbitrary(kind: TreeKind, type: 'file' | 'symlink' | 'directory'): fc.Arbitrary<InodeMetadata> {
  const id = kind === 'plain' ? fc.constant(0) : fc.constantFrom(0, 0, 0, 1, 1000, 65_534, 2 ** 31, 2 ** 32 - 2);
  const usual = fc.constantFrom(0o644, 0o755, 0o600, 0o4755, 0o2755, 0o1777, 0o6711, 0, 0o7777);
  const mode = fc.oneof(usual, fc.integer({ min: 0, max: 0o7777 }));
  const isFixed = type === 'symlink' && kind !== 'dumpfile';
  return fc.record({
    permissions: isFixed ? fc.constant(0o777) : kind === 'plain' ? mode.map((bits) => bits & 0o775) : mode,
    uid: id,
    gid: id,
    mtimeSeconds: fc.constant(0n),
    mtimeNanoseconds: fc.constant(0),
    xattrs: xattrsArbitrary(kind, type === 'symlink'),
  });
}

/** Up to the limits of version 2 images (1024) and of ostree (4095). */
const targetArbitrary: fc.Arbitrary<ByteString> = fc
  .oneof(
    fc.constantFrom('a', '..', '/', '/usr/lib', 'nowhere', ' ', '\n', 'é', '-', '😀/\\x41'),
    fc.constantFrom(1023, 1024, 1025, 4095).map((length) => 't'.repeat(length)),
  )
  .map(text);

const leafArbitrary = (kind: TreeKind): fc.Arbitrary<Leaf> =>
  fc.oneof(
    {
      weight: 5,
      arbitrary: both(metadataArbitrary(kind, 'file'), {
        kind: fc.constant('file' as const),
        content: contentArbitrary,
      }),
    },
    {
      weight: 2,
      arbitrary: both(metadataArbitrary(kind, 'symlink'), {
        kind: fc.constant('symlink' as const),
        target: targetArbitrary,
      }),
    },
  );

const both = <A extends object, B extends object>(
  a: fc.Arbitrary<A>,
  b: { [K in keyof B]: fc.Arbitrary<B[K]> },
): fc.Arbitrary<A & B> =>
  fc.tuple(a, fc.record(b) as unknown as fc.Arbitrary<B>).map(([first, second]) => ({ ...first, ...second }));

type Step =
  | { what: 'directory'; metadata: InodeMetadata }
  | { what: 'leaf'; leaf: Leaf }
  | { what: 'link'; to: number }
  /** Directories inside one another. */
  | { what: 'chain'; metadata: InodeMetadata; depth: number };

/** Paths of a file system end at 4096 bytes, and tests put some of their own in front. */
const MAX_PATH_BYTES = 3000;

interface Place {
  directory: Directory;
  pathBytes: number;
}

/** Built in steps, so that a failing tree shrinks well; each step goes into one of the directories that are there by then. */
export function commitTreeArbitrary(kind: TreeKind): fc.Arbitrary<Directory> {
  const directory = metadataArbitrary(kind, 'directory');
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 3, arbitrary: fc.record({ what: fc.constant('directory' as const), metadata: directory }) },
    { weight: 9, arbitrary: fc.record({ what: fc.constant('leaf' as const), leaf: leafArbitrary(kind) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('link' as const), to: fc.nat() }) },
    {
      weight: 1,
      arbitrary: fc.record({
        what: fc.constant('chain' as const),
        metadata: directory,
        depth: fc.integer({ min: 2, max: 40 }),
      }),
    },
  );
  const steps = fc.array(fc.tuple(step, fc.nat(), nameArbitrary), { maxLength: 30, size: 'max' });
  return fc.record({ root: directory, steps }).map(({ root, steps: all }) => {
    const places: Place[] = [{ directory: { kind: 'directory', ...root, entries: new Map() }, pathBytes: 0 }];
    const leaves: Leaf[] = [];
    for (const [one, at, name] of all) addEntry(one, places[at % places.length], text(name), places, leaves);
    return places[0].directory;
  });
}

function addEntry(step: Step, place: Place, name: ByteString, places: Place[], leaves: Leaf[]): void {
  const { directory } = place;
  const pathBytes = place.pathBytes + 1 + name.length;
  if (directory.entries.has(name) || pathBytes > MAX_PATH_BYTES) return;
  const add = (inode: Inode) => directory.entries.set(name, inode);
  switch (step.what) {
    case 'directory': {
      const made: Directory = { kind: 'directory', ...step.metadata, entries: new Map() };
      places.push({ directory: made, pathBytes });
      add(made);
      return;
    }
    case 'leaf':
      leaves.push(step.leaf);
      add(step.leaf);
      return;
    case 'link':
      if (leaves.length > 0) add(leaves[step.to % leaves.length]);
      return;
    case 'chain': {
      const made: Directory = { kind: 'directory', ...step.metadata, entries: new Map() };
      add(made);
      let last = made;
      for (let depth = 1; depth < step.depth; depth++) {
        const next: Directory = { ...last, entries: new Map() };
        last.entries.set(text('d'), next);
        last = next;
      }
      places.push({ directory: last, pathBytes: pathBytes + 2 * (step.depth - 1) });
    }
  }
}
