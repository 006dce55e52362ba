import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type CfsError, FormatError, LimitError } from '../../src/errors.ts';
import { type ByteString, byteStringFromBytes } from '../../src/formats/byte-string.ts';
import { parseDumpfile, serializeDumpfile } from '../../src/formats/dumpfile.ts';
import { type ErofsVersion, serializeErofs } from '../../src/formats/erofs/writer.ts';
import { fsVerityDigest } from '../../src/formats/fs-verity.ts';
import { toHex } from '../../src/formats/ids.ts';
import type { Directory, Inode, Leaf } from '../../src/formats/tree.ts';
import { readVector, readVectorJson } from '../support/vectors.ts';

const ROOT = '/ 0 40755 2 0 0 0 1.0 - - -';
/** One byte per character. */
const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
const parse = (...lines: string[]): Directory => parseDumpfile(bytesOf(`${[ROOT, ...lines].join('\n')}\n`));
const print = (root: Directory): string =>
  byteStringFromBytes(new Uint8Array(Buffer.concat([...serializeDumpfile(root)])));
const entry = (root: Directory, name: string): Inode => root.entries.get(name as ByteString) as Inode;
const xattrOf = (inode: Inode, name: string): string | undefined => {
  const xattr = inode.xattrs.find((one) => one.name === name);
  return xattr === undefined ? undefined : byteStringFromBytes(xattr.value);
};

const DIGEST = '5a'.repeat(32);
const OBJECT = `5a/${'5a'.repeat(31)}`;

describe('a dump with most features', () => {
  const dump = [
    '/ 0 40755 3 0 0 0 1.5 - - - user.a=1 user.b=2',
    '/a\\x20b 0 40700 2 1 2 0 0.7 - - -',
    '/a\\x20b/tab\\t=\\\\\\xff 5 100644 2 0 0 0 3.0 - a-\\n\\x00= -',
    '/dash 1 100644 1 0 0 0 3.0 - \\x2d - user.d=- user.e= user.q\\x3dk=v\\x3dw',
    '/ext 70000 100644 1 0 0 0 3.0 24/68a46e176a177595e990eb47a412543db36d7026e1ba03efecc1bd81abdc1d - 2468a46e176a177595e990eb47a412543db36d7026e1ba03efecc1bd81abdc1d',
    '/hl 0 @120000 - - - - 0.0 /a\\x20b/tab\\t=\\\\\\xff - -',
    '/lnk 1 120777 1 0 0 0 3.0 \\x2d - -',
    '/nul 0 20666 1 0 0 259 3.0 - - -',
    '/wh 0 20600 1 0 0 0 3.0 - - -',
    '',
  ].join('\n');
  const root = parseDumpfile(bytesOf(dump));

  test('is what its tree is printed as', () => expect(print(root)).toBe(dump));

  test('becomes what it says', () => {
    const directory = entry(root, 'a b') as Directory;
    const file = directory.entries.get('tab\t=\\\xff' as ByteString);
    expect(file).toMatchObject({ kind: 'file', content: bytesOf('a-\n\0='), mtimeSeconds: 3n, mtimeNanoseconds: 0 });
    expect(entry(root, 'hl')).toBe(file);
    expect(directory).toMatchObject({ permissions: 0o700, uid: 1, gid: 2, mtimeSeconds: 0n, mtimeNanoseconds: 7 });
    expect(xattrOf(entry(root, 'dash'), 'user.q=k')).toBe('v=w');
    expect(xattrOf(entry(root, 'dash'), 'user.e')).toBe('');
    expect(entry(root, 'lnk')).toMatchObject({ kind: 'symlink', target: '-' });
    expect(entry(root, 'nul')).toMatchObject({ kind: 'character', rdev: 259 });
  });

  test.each([
    [0, 'fe4b16c59ff77b854de724b2f15327e7570c5bd2bdd2feacae0e53dc1da2cbc0'],
    [1, '14be6c649c7fa0ca2aebf59818ac6aa4e6dcd0ec31b7af1d51eb20663bf297d3'],
    [2, '692554a33aeb183f564d933ed16f791903a1f96e40362155d8ff2de4cfd8ab0d'],
  ] as Array<[ErofsVersion, string]>)('gives the image of version %i', (version, digest) => {
    const image = serializeErofs(root, { version, algorithm: 'sha256' });
    expect(toHex(fsVerityDigest('sha256', image))).toBe(digest);
  });
});

test('the example in the documentation is in the form that we write', () => {
  const page = readFileSync(new URL('../../doc/formats/dumpfile.md', import.meta.url), 'utf8');
  const [, example] = /```text\n(.*?)```/s.exec(page) ?? [];
  expect(print(parseDumpfile(bytesOf(example)))).toBe(example);
});

describe('accepted', () => {
  const leafOf = (line: string): Leaf => [...parse(line).entries.values()][0] as Leaf;
  test.each<[string, Partial<Leaf>]>([
    ['/f 0 100644 1 0 0 0 5.001 - - -', { kind: 'file', mtimeSeconds: 5n, mtimeNanoseconds: 1 }],
    ['/f 0 100644 1 0 0 0 -5.9 - - -', { mtimeSeconds: -5n, mtimeNanoseconds: 9 }],
    ['/f 1 100644 1 0 0 0 5.0 - \\xFF -', { kind: 'file', content: bytesOf('\xff') }],
    ['/f 1 100644 1 0 0 0 5.0 - \xff -', { kind: 'file', content: bytesOf('\xff') }],
    ['/f 5 100644 1 0 0 0 5.0 - - -', { kind: 'external', sizeBytes: 5 }],
    [`/f 5 100644 1 0 0 0 5.0 - - ${DIGEST.toUpperCase()}`, { kind: 'external', digest: DIGEST as never }],
    [`/f 5 100644 1 0 0 0 5.0 - - ${DIGEST}${DIGEST}`, { kind: 'external', digest: (DIGEST + DIGEST) as never }],
    [`/f 0 100644 1 0 0 0 5.0 ${OBJECT} - ${DIGEST}`, { kind: 'file', content: new Uint8Array(0) }],
    ['/f 5 100644 1 0 0 0 5.0 /abs/path - -', { kind: 'external', payload: '/abs/path' as ByteString }],
    ['/l 9 120777 1 0 0 0 5.0 ab - -', { kind: 'symlink', target: 'ab' as ByteString }],
    ['/w 12 20000 1 0 0 0 5.0 - - -', { kind: 'character', rdev: 0 }],
    ['/f 0 100644 7 0 0 0 5.0 - - -', { nlink: 7 }],
    [`/f 9007199254740992 100644 1 0 0 0 5.0 ${OBJECT} - ${DIGEST}`, { sizeBytes: 2 ** 53 }],
    [`/${'n'.repeat(255)} 0 100644 1 0 0 0 1.0 - - -`, { kind: 'file' }],
    [`/l 0 120777 1 0 0 0 1.0 ${'t'.repeat(4095)} - -`, { kind: 'symlink' }],
    [`/f 5000 100644 1 0 0 0 1.0 - ${'c'.repeat(5000)} -`, { kind: 'file' }],
  ])('%s', (line, expected) => {
    expect(leafOf(line)).toMatchObject(expected);
  });

  test.each([
    ['user.a=b=c', 'user.a', 'b=c'],
    ['user.a=', 'user.a', ''],
    ['user.a=b user.a=c', 'user.a', 'c'],
    [`${'k'.repeat(255)}=v`, 'k'.repeat(255), 'v'],
    [`user.k=${'v'.repeat(32742)}`, 'user.k', 'v'.repeat(32742)],
    ['user.k\\x00=v', 'user.k\0', 'v'],
  ])('xattr %s', (field, name, value) => {
    expect(xattrOf(leafOf(`/f 0 100644 1 0 0 0 5.0 - - - ${field}`), name)).toBe(value);
  });

  test('a name that is a dash, and a file without a last newline', () => {
    const root = parseDumpfile(bytesOf(`${ROOT}\n/- 0 100644 1 0 0 0 1.0 - - -`));
    expect([...root.entries.keys()]).toEqual(['-']);
  });

  test('1024 directories inside one another', () => {
    const lines = Array.from({ length: 1024 }, (_, depth) => `${'/d'.repeat(depth + 1)} 0 40755 2 0 0 0 0.0 - - -`);
    const root = parse(...lines);
    expect(print(parse(...print(root).trimEnd().split('\n').slice(1)))).toBe(print(root));
  });
});

describe('refused', () => {
  const file = (
    change: Partial<Record<'path' | 'size' | 'mode' | 'nlink' | 'uid' | 'gid' | 'rdev' | 'mtime', string>>,
    rest = '- - -',
  ) => {
    const { path, size, mode, nlink, uid, gid, rdev, mtime } = {
      ...{ path: '/f', size: '0', mode: '100644', nlink: '1', uid: '0', gid: '0', rdev: '0', mtime: '1.0' },
      ...change,
    };
    return `${path} ${size} ${mode} ${nlink} ${uid} ${gid} ${rdev} ${mtime} ${rest}`;
  };
  const OFFSET = ROOT.length + 1;

  test.each<[string, string, number]>([
    [file({ path: '/.' }), 'PATH', 0],
    [file({ path: '/..' }), 'PATH', 0],
    [file({ path: '/d/../f' }), 'PATH', 0],
    [file({ path: '/f/' }), 'PATH', 0],
    [file({ path: 'f' }), 'PATH', 0],
    [file({ path: '//f' }), 'PATH', 0],
    [file({ path: '/a\\x00b' }), 'PATH', 0],
    [file({ path: '/a\\' }), 'PATH', 2],
    [file({ mode: '644' }), 'MODE', 5],
    [file({ mode: '100648' }), 'MODE', 5],
    [file({ mode: '@40755' }), 'MODE', 5],
    [file({ mode: '@644' }), 'MODE', 5],
    [file({ mode: '1@00644' }), 'MODE', 5],
    [file({ mode: '170644' }), 'MODE', 5],
    [file({ size: '0x10' }), 'SIZE', 3],
    [file({ size: '+1' }), 'SIZE', 3],
    [file({ nlink: '4294967296' }), 'NLINK', 12],
    [file({ uid: '4294967296' }), 'UID', 14],
    [file({ gid: '-1' }), 'GID', 16],
    [file({ rdev: '1' }), 'RDEV', 18],
    [file({ mtime: '5' }), 'MTIME', 20],
    [file({ mtime: '1.1000000000' }), 'MTIME', 20],
    [file({ mtime: '1.-1' }), 'MTIME', 20],
    [file({ mtime: '9223372036854775808.0' }), 'MTIME', 20],
    [file({}, '- \\q -'), 'CONTENT', 26],
    [file({}, '- \\ -'), 'CONTENT', 26],
    [file({}, '- \\xf -'), 'CONTENT', 26],
    [file({}, '- a\\x+f -'), 'CONTENT', 27],
    [file({ size: '2' }, '- a -'), 'CONTENT', 26],
    [file({ size: '2' }, '-  -'), 'CONTENT', 26],
    [file({ size: '2' }, `- aa ${DIGEST}`), 'DIGEST', 29],
    [file({ size: '2' }, `${OBJECT} aa -`), 'PAYLOAD', 24],
    [file({ size: '2' }, 'a/../b - -'), 'PAYLOAD', 24],
    [file({ size: '2' }, 'a//b - -'), 'PAYLOAD', 24],
    [file({ size: '2' }, '/ - -'), 'PAYLOAD', 24],
    [file({ size: '2' }, ' - -'), 'PAYLOAD', 24],
    [file({}, '- - - ab'), 'xattr', 30],
    [file({}, '- - - =b'), 'xattr', 30],
    [file({}, '- - -  a=b'), 'xattr', 30],
    [file({}, '- - - a=b '), 'xattr', 34],
    [file({}, '- - - a=\\y'), 'xattr', 32],
    [file({}, '- - - a\\x00b=c'), 'xattr', 30],
    [file({}, '- - -\r'), 'PATH', 0],
    [file({}, '- - \0'), 'PATH', 28],
    [file({}, '- -'), 'DIGEST', 27],
    [file({ size: '9' }, '- - abcd'), 'DIGEST', 28],
    [file({ size: '9' }, `- - ${'z'.repeat(64)}`), 'DIGEST', 28],
    [file({ size: '9' }, `- - ${DIGEST}ab`), 'DIGEST', 28],
    [file({ mode: '120777' }, '- - -'), 'PAYLOAD', 24],
    [file({ mode: '120777' }, 'a - aa'), 'DIGEST', 28],
    [file({ mode: '40755' }, '- a -'), 'CONTENT', 25],
    [file({ mode: '10644' }, 'x - -'), 'PAYLOAD', 23],
    ['', 'PATH', 0],
    ['/', 'MODE', 1],
    [ROOT, 'PATH', 0],
    ['/a 0 @100644 1 0 0 0 1.0 /a - -', 'PAYLOAD', 25],
    ['/b 0 @100644 1 0 0 0 1.0 /d - -', 'PAYLOAD', 25],
    ['/b 0 @100644 1 0 0 0 1.0 / - -', 'PAYLOAD', 25],
    ['/b 0 @100644 1 0 0 0 1.0 d - -', 'PAYLOAD', 25],
    ['/b 0 @100644 1 0 0 0 1.0 - - -', 'PAYLOAD', 25],
    ['/b 0 @100644 1 0 0 0 1.0', 'PAYLOAD', 24],
  ])('%j', (line, field, offset) => {
    expect(() => parse(line)).toThrow(
      expect.objectContaining({ where: { format: 'dumpfile', field, offset: OFFSET + offset } }),
    );
  });

  test.each([
    file({ path: `/${'n'.repeat(256)}` }),
    file({}, `- - - ${'k'.repeat(256)}=v`),
    file({}, `- - - user.k=${'v'.repeat(32743)}`),
    file({ size: '5001' }, `- ${'c'.repeat(5001)} -`),
    file({ size: '4096', mode: '120777' }, `${'t'.repeat(4096)} - -`),
    file({ size: '9007199254740993' }, `${OBJECT} - ${DIGEST}`),
    file({ size: '9' }, `${'p'.repeat(4096)} - -`),
    file({ size: '4294967296', mode: '20644' }),
  ])('too large: %j', (line) => {
    expect(() => parse(line)).toThrow(LimitError);
  });

  test('a directory too deep', () => {
    const lines = Array.from({ length: 1025 }, (_, depth) => `${'/d'.repeat(depth + 1)} 0 40755 2 0 0 0 0.0 - - -`);
    expect(() => parse(...lines)).toThrow(LimitError);
  });

  test('links to directories and whiteouts, in circles and below links', () => {
    const directory = '/d 0 40755 2 0 0 0 0.0 - - -';
    expect(() => parse(directory, '/l 0 @100644 - - - - 0.0 /d - -')).toThrow('line 3');
    expect(() => parse('/w 0 20000 1 0 0 0 0.0 - - -', '/l 0 @100644 - - - - 0.0 /w - -')).toThrow('whiteout');
    const circle = Array.from({ length: 1000 }, (_, i) => `/${i} 0 @100644 - - - - 0.0 /${(i + 1) % 1000} - -`);
    expect(() => parse(...circle)).toThrow('circle');
    expect(() => parse(directory, '/l 0 @100644 - - - - 0.0 /d - -', file({ path: '/l/f' }))).toThrow(FormatError);
  });
});

describe('hardlinks', () => {
  const chain = (...targets: Array<[string, string]>): string[] =>
    targets.map(([path, target]) => `${path} 0 @100644 - - - - 0.0 ${target} - -`);

  test('may come before their target, and lead to other links', () => {
    const root = parse(...chain(['/a', '/b'], ['/b', '/c'], ['/d', '/a']), '/c 3 100644 4 0 0 0 0.0 - abc -');
    const leaves = new Set(root.entries.values());
    expect(leaves.size).toBe(1);
    const [leaf] = leaves as Set<Leaf>;
    expect(leaf).toMatchObject({ kind: 'file', content: bytesOf('abc'), origin: { directory: root, name: 'c' } });
    expect(leaf.nlink).toBeUndefined();
    expect(print(root)).toBe(
      `${[
        ROOT,
        '/a 0 @120000 - - - - 0.0 /c - -',
        '/b 0 @120000 - - - - 0.0 /c - -',
        '/c 3 100644 4 0 0 0 0.0 - abc -',
        '/d 0 @120000 - - - - 0.0 /c - -',
      ].join('\n')}\n`,
    );
  });

  test('a long chain takes no stack', () => {
    const links = Array.from({ length: 50_000 }, (_, i): [string, string] => [`/l${i}`, `/l${i + 1}`]);
    const root = parse(...chain(...links), '/l50000 0 100644 1 0 0 0 0.0 - - -');
    expect(new Set(root.entries.values()).size).toBe(1);
    expect((entry(root, 'l0') as Leaf).nlink).toBe(1); // as its line says, which is not how many there are
  });

  test('the first entry is the one that a walk by names meets first, not the shortest or smallest path', () => {
    const lines = [
      '/a 0 40755 2 0 0 0 0.0 - - -',
      '/a/f 0 100644 2 0 0 0 0.0 - - -',
      '/a! 0 40755 2 0 0 0 0.0 - - -',
      ...chain(['/a!/f', '/a/f']),
    ];
    const leaf = (entry(parse(...lines), 'a') as Directory).entries.get('f' as ByteString) as Leaf;
    expect(leaf.origin).toBeUndefined();
  });
});

describe('hostile files', () => {
  const { cases } = readVectorJson<{
    cases: Array<{ id: string; category: string; verdict: string; dir: string; files: { dump: string } }>;
  }>('hostile/expected.json');
  const dumps = cases.filter(({ category }) => category === 'dumps');
  test('there are some', () => expect(dumps.length).toBeGreaterThan(40));

  test.each(dumps)('$id: $verdict', ({ verdict, dir, files }) => {
    let problem: unknown;
    try {
      parseDumpfile(readVector(`hostile/${dir}/${files.dump}`), { file: files.dump });
    } catch (error) {
      problem = error;
    }
    if (problem !== undefined) {
      expect(problem).toBeInstanceOf(FormatError);
      const { where } = problem as CfsError;
      expect(where).toMatchObject({ file: files.dump, format: 'dumpfile' });
      expect(where.offset).toBeTypeOf('number');
    }
    if (verdict === 'accept') expect(problem).toBeUndefined();
    if (verdict === 'reject') expect(problem).toBeDefined();
  });
});
