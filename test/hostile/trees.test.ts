/** Commits made to hurt: names, targets, depths, counts and sizes that no honest writer produces, pulled by the built program. */

import { readdir, rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { byteStringFromText } from '../../src/formats/byte-string.ts';
import { parseType, serializeVariant } from '../../src/formats/gvariant.ts';
import type { Checksum } from '../../src/formats/ids.ts';
import { COMPOSEFS_DIGEST_KEY } from '../../src/formats/ostree/commit.ts';
import { serializeDirtree } from '../../src/formats/ostree/dirtree.ts';
import {
  MAX_DIRECTORY_ENTRIES,
  MAX_HEADER_BYTES,
  MAX_METADATA_BYTES,
  MAX_NAME_BYTES,
  MAX_TARGET_BYTES,
  MAX_TREE_DEPTH,
  MAX_TREE_PATHS,
  MAX_XATTR_NAME_BYTES,
  MAX_XATTR_VALUE_BYTES,
} from '../../src/formats/ostree/limits.ts';
import { ensureBuilt, runCliJson } from '../cli/run-cli.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { HOSTILE_REF } from './hostile-cases.ts';
import { HostileSource, name, sha256 } from './hostile-source.ts';
import { attack, type JsonError, NO_ADDON, readError, Victim } from './victim.ts';

let directory: TemporaryDirectory;
let server: StaticServer;
let count = 0;
beforeAll(async () => {
  await ensureBuilt();
  directory = await makeTemporaryDirectory();
  server = await startStaticServer(directory.path);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

const CORRUPT = 5;
const NO_SPACE = 9;
const NO_REPOSITORY = 10;

interface Attack extends AsyncDisposable {
  source: HostileSource;
  victim: Victim;
  url: string;
}

async function prepare(): Promise<Attack> {
  const id = `case-${count++}`;
  const scratch = directory.join(id);
  const source = new HostileSource(`${scratch}/repo`);
  const victim = await Victim.make(`${scratch}/store`);
  return {
    source,
    victim,
    url: `${server.url}/${id}/repo`,
    [Symbol.asyncDispose]: () => rm(scratch, { recursive: true }),
  };
}

/** Pulls, expects a refusal that names the object, and that nothing is left of it. */
async function expectRefused({ source, victim, url }: Attack, object: string, from = source.path): Promise<JsonError> {
  const result = await victim.pull(from, HOSTILE_REF);
  expect(result.exitCode, result.stderr).toBe(CORRUPT);
  const error = readError(result);
  expect(error.where?.object).toBe(object);
  expect([source.path, url].some((place) => error.where?.file?.startsWith(place))).toBe(true);
  await victim.expectNothingLeft();
  await victim.expectClean();
  return error;
}

async function expectPulled({ source, victim }: Attack): Promise<void> {
  const result = await victim.pull(source.path, HOSTILE_REF);
  expect(result.exitCode, result.stderr).toBe(0);
  await victim.expectClean();
}

describe.concurrent('names in a directory', () => {
  const names: Array<[what: string, text: string, code: string]> = [
    ['..', '..', 'CFS_FORMAT'],
    ['.', '.', 'CFS_FORMAT'],
    ['empty', '', 'CFS_FORMAT'],
    ['with a slash inside', 'a/b', 'CFS_FORMAT'],
    ['a slash', '/', 'CFS_FORMAT'],
    ['a way out', '../../etc/passwd', 'CFS_FORMAT'],
    ['with a NUL inside', 'a\0b', 'CFS_FORMAT'],
    ['not UTF-8', 'caf\xe9', 'CFS_FORMAT'],
    ['an overlong form', '\xc0\xaf', 'CFS_FORMAT'],
    ['a surrogate', '\xed\xa0\x80', 'CFS_FORMAT'],
    [`of ${MAX_NAME_BYTES + 1} bytes`, 'x'.repeat(MAX_NAME_BYTES + 1), 'CFS_LIMIT'],
    [`of ${MAX_NAME_BYTES + 1} bytes in fewer characters`, byteStringFromText('ä'.repeat(128)), 'CFS_LIMIT'],
    ['of a megabyte', 'x'.repeat(1 << 20), 'CFS_LIMIT'],
  ];
  test.each(
    names.flatMap(([what, text, code]) => ['files', 'directories'].map((kind) => ({ what, text, code, kind }))),
  )('$what ($kind)', async ({ text, code, kind }) => {
    await using prepared = await prepare();
    const { source } = prepared;
    const bad = source.addDirtree({ [kind]: [text] });
    source.commit(source.addTree({ files: [], directories: [source.directory('fine', bad)] }));
    const error = await expectRefused(prepared, `${bad}.dirtree`);
    expect(error).toMatchObject({ code, where: { field: kind, offset: 0 } });
    if (code === 'CFS_LIMIT') expect(error.message).toContain(`${MAX_NAME_BYTES} bytes`);
  });

  const swap = (bytes: Uint8Array, from: string, to: string): Uint8Array => {
    const text = Buffer.from(bytes).toString('latin1');
    expect(text).toContain(from);
    return Buffer.from(text.replace(from, to), 'latin1');
  };
  const entries = (source: HostileSource, files: string[], directories: string[]) =>
    serializeDirtree({
      files: files.map((file) => ({ name: name(file), checksum: source.file })),
      directories: directories.map((one) => source.directory(one, source.emptyDirtree)),
    });
  const orders: Array<[what: string, make: (source: HostileSource) => Uint8Array, field: string]> = [
    ['twice the same file', (source) => entries(source, ['a', 'a'], []), 'files'],
    ['twice the same directory', (source) => entries(source, [], ['a', 'a']), 'directories'],
    ['a file and a directory', (source) => entries(source, ['a', 'b', 'c'], ['0', 'b']), 'directories'],
    ['files in the wrong order', (source) => swap(entries(source, ['aaa', 'bbb'], []), 'aaa', 'ccc'), 'files'],
    [
      'directories in the wrong order',
      (source) => swap(entries(source, [], ['aaa', 'bbb']), 'aaa', 'ccc'),
      'directories',
    ],
    ['the longer name before its prefix', (source) => swap(entries(source, ['ab', 'acd'], []), 'acd', 'a\0d'), 'files'],
  ];
  test.each(orders)('%s', async (_what, make, field) => {
    await using prepared = await prepare();
    const { source } = prepared;
    const bad = source.add('dirtree', make(source));
    source.commit(bad);
    expect((await expectRefused(prepared, `${bad}.dirtree`)).where).toMatchObject({
      field,
      offset: expect.any(Number),
    });
  });

  test(`of ${MAX_NAME_BYTES} bytes, and odd but harmless ones, are taken`, async () => {
    await using prepared = await prepare();
    const odd = ['...', ' ', '-rf', '\n', '\x01\x7f', '*', 'x'.repeat(MAX_NAME_BYTES), byteStringFromText('ä€😀')];
    prepared.source.commit(prepared.source.addDirtree({ files: odd }));
    await expectPulled(prepared);
    const listed = await runCliJson<unknown[]>(['--repo', prepared.victim.path, 'ls', HOSTILE_REF]);
    expect(listed).toHaveLength(odd.length);
  });
});

describe.concurrent('symlink targets', () => {
  test.each([
    [`of ${MAX_TARGET_BYTES + 1} bytes`, 'x'.repeat(MAX_TARGET_BYTES + 1), 'CFS_LIMIT'],
    ['of half a megabyte', 'x'.repeat(1 << 19), 'CFS_LIMIT'],
    ['with a NUL inside', 'a\0b', 'CFS_FORMAT'],
    ['that is empty', '', 'CFS_FORMAT'],
    ['not UTF-8', '\xff', 'CFS_FORMAT'],
  ])('%s', async (_what, target, code) => {
    await using prepared = await prepare();
    const { source } = prepared;
    const link = source.addSymlink(target);
    source.commit(source.addTree({ files: [{ name: name('link'), checksum: link }], directories: [] }));
    for (const from of [source.path, prepared.url]) {
      const error = await expectRefused(prepared, `${link}.file`, from);
      expect(error).toMatchObject({ code, where: { field: 'target', offset: expect.any(Number) } });
      if (code === 'CFS_LIMIT') expect(error.message).toContain(`${MAX_TARGET_BYTES} bytes`);
    }
  });

  test(`of ${MAX_TARGET_BYTES} bytes, absolute or upwards, are taken: they are followed by whoever uses the tree`, async () => {
    await using prepared = await prepare();
    const { source } = prepared;
    const targets = ['x'.repeat(MAX_TARGET_BYTES), '/etc/passwd', '../../..', '/', '.'];
    source.commit(
      source.addTree({
        files: targets.map((target, i) => ({ name: name(String(i)), checksum: source.addSymlink(target) })),
        directories: [],
      }),
    );
    await expectPulled(prepared);
  });
});

/** Directories inside each other, `levels` below the root. */
function nest(source: HostileSource, levels: number): { root: Checksum; dirtrees: Checksum[] } {
  const dirtrees = [source.emptyDirtree];
  for (let i = 0; i < levels; i++)
    dirtrees.push(source.addTree({ files: [], directories: [source.directory('d', dirtrees[i])] }));
  return { root: dirtrees[levels], dirtrees };
}

describe.concurrent('depth', () => {
  test.each([MAX_TREE_DEPTH + 1, 3 * MAX_TREE_DEPTH])('%d levels are refused', async (levels) => {
    await using prepared = await prepare();
    const { root, dirtrees } = nest(prepared.source, levels);
    prepared.source.commit(root);
    const tooDeep = dirtrees[levels - MAX_TREE_DEPTH - 1];
    for (const from of [prepared.source.path, prepared.url]) {
      const error = await expectRefused(prepared, `${tooDeep}.dirtree`, from);
      expect(error).toMatchObject({ code: 'CFS_LIMIT', message: expect.stringContaining(`${MAX_TREE_DEPTH} deep`) });
    }
  });

  test('a long way behind a short one to the same directories is seen', async () => {
    await using prepared = await prepare();
    const { source } = prepared;
    const { dirtrees } = nest(source, MAX_TREE_DEPTH + 50);
    // Every hundredth level hangs at the root too: whoever walks breadth-first meets all of them early.
    const directories = dirtrees
      .filter((_dirtree, i) => i % 100 === 0 || i === dirtrees.length - 1)
      .map((dirtree, i) => source.directory(String(i).padStart(2, '0'), dirtree));
    const root = source.addTree({ files: [], directories });
    source.commit(root);
    const error = await expectRefused(prepared, `${dirtrees[MAX_TREE_DEPTH + 1]}.dirtree`);
    expect(error).toMatchObject({ code: 'CFS_LIMIT', message: expect.stringContaining(`${MAX_TREE_DEPTH} deep`) });
  });

  test(`${MAX_TREE_DEPTH} levels go all the way`, async () => {
    await using prepared = await prepare();
    const { source, victim } = prepared;
    source.commit(nest(source, MAX_TREE_DEPTH).root);
    await expectPulled(prepared);
    for (const command of [['create-image'], ['dump'], ['ls', '-R'], ['du']])
      expect(await attack(['--repo', victim.path, ...command, HOSTILE_REF])).toMatchObject({ exitCode: 0 });
    await victim.expectClean();
  });
});

/** 2^levels copies of one file, each directory holding the next one twice. */
function double(source: HostileSource, levels: number): Checksum {
  let dirtree = source.addDirtree({ files: ['f'] });
  for (let i = 0; i < levels; i++)
    dirtree = source.addTree({
      files: [],
      directories: [source.directory('a', dirtree), source.directory('b', dirtree)],
    });
  return dirtree;
}

/** `width` times the next level, `levels` times. */
function widen(source: HostileSource, width: number, levels: number): Checksum {
  const names = Array.from({ length: width }, (_, i) => String(i).padStart(6, '0'));
  let dirtree = source.addDirtree({ files: names });
  for (let i = 1; i < levels; i++)
    dirtree = source.addTree({ files: [], directories: names.map((one) => source.directory(one, dirtree)) });
  return dirtree;
}

describe.concurrent('paths that multiply', () => {
  test.each<[string, (source: HostileSource) => Checksum]>([
    ['2^22 files, in half a kilobyte for each level', (source) => double(source, 22)],
    ['2^1000 files', (source) => double(source, 1000)],
    ['1000^4 files', (source) => widen(source, 1000, 4)],
    ['one directory too many', (source) => widen(source, 3163, 2)],
  ])('%s are refused', async (_what, make) => {
    await using prepared = await prepare();
    const { source, victim } = prepared;
    source.commit(make(source));
    for (const from of [source.path, prepared.url]) {
      const result = await victim.pull(from, HOSTILE_REF);
      expect(result.exitCode, result.stderr).toBe(CORRUPT);
      expect(readError(result)).toMatchObject({
        code: 'CFS_LIMIT',
        message: expect.stringContaining(`more than ${MAX_TREE_PATHS} paths`),
        where: { object: expect.stringMatching(/\.dirtree$/) },
      });
      await victim.expectNothingLeft();
    }
    await victim.expectClean();
  });

  test.each<[string, (source: HostileSource) => Checksum]>([
    ['2^21 files', (source) => double(source, 21)],
    ['3161 times 3161 files', (source) => widen(source, 3161, 2)],
  ])('%s, just below the limit, are pulled', async (_what, make) => {
    await using prepared = await prepare();
    prepared.source.commit(make(prepared.source));
    await expectPulled(prepared);
  });

  test('a composefs digest does not make a pull build millions of inodes', async () => {
    await using prepared = await prepare();
    const { source, victim } = prepared;
    source.commit(double(source, 21), {
      metadata: [[COMPOSEFS_DIGEST_KEY, { type: 'ay', value: new Uint8Array(32) }]],
    });
    const result = await victim.pull(source.path, HOSTILE_REF);
    expect(result).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/composefs digest .* was not checked/) });
    expect(JSON.parse(result.stdout).results[0]).not.toHaveProperty('digest');
  });

  test('what a tree takes is known before the heap is full', async () => {
    await using prepared = await prepare();
    const { source, victim } = prepared;
    source.commit(double(source, 18));
    await expectPulled(prepared);
    const little = { NODE_OPTIONS: '--max-old-space-size=200' };
    for (const command of [['create-image'], ['ls'], ['diff', '--exit-code', HOSTILE_REF]]) {
      const result = await attack(['--json', '--repo', victim.path, ...command, HOSTILE_REF], little);
      expect(result.exitCode, result.stderr).toBe(NO_SPACE);
      expect(readError(result).message).toMatch(/786431 paths takes about \d+ MiB of memory/);
    }
    await victim.expectClean();
  });
});

describe.concurrent('one object in two roles', () => {
  const roles: Array<[what: string, make: (source: HostileSource) => [root: Checksum, object: string]]> = [
    [
      'dirtree and dirmeta of one entry',
      (source) => {
        const { emptyDirtree } = source;
        const root = source.addTree({
          files: [],
          directories: [{ name: name('d'), dirtree: emptyDirtree, dirmeta: emptyDirtree }],
        });
        return [root, emptyDirtree];
      },
    ],
    [
      'file and dirmeta',
      (source) => [
        source.addTree({ files: [{ name: name('f'), checksum: source.dirmeta }], directories: [] }),
        source.dirmeta,
      ],
    ],
    [
      'file and dirtree',
      (source) => [
        source.addTree({
          files: [{ name: name('f'), checksum: source.emptyDirtree }],
          directories: [source.directory('d', source.emptyDirtree)],
        }),
        source.emptyDirtree,
      ],
    ],
    [
      'dirmeta of one directory, dirtree of another',
      (source) => [
        source.addTree({
          files: [],
          directories: [source.directory('a', source.emptyDirtree), source.directory('b', source.dirmeta)],
        }),
        source.dirmeta,
      ],
    ],
  ];
  test.each(roles)('%s', async (_what, make) => {
    await using prepared = await prepare();
    const [root, object] = make(prepared.source);
    prepared.source.commit(root);
    const result = await prepared.victim.pull(prepared.source.path, HOSTILE_REF);
    expect(result.exitCode, result.stderr).toBe(CORRUPT);
    expect(readError(result).where?.object).toContain(object);
    await prepared.victim.expectNothingLeft();
    await prepared.victim.expectClean();
  });

  test('a dirtree where a dirmeta belongs, and the other way round', async () => {
    for (const way of ['root dirmeta', 'root dirtree']) {
      await using prepared = await prepare();
      const { source } = prepared;
      if (way === 'root dirmeta') {
        const tree = source.addDirtree({ files: ['f'] });
        source.add(
          'dirmeta',
          serializeDirtree({ files: [{ name: name('f'), checksum: source.file }], directories: [] }),
        );
        source.commit(source.emptyDirtree, { rootDirmeta: tree });
        await expectRefused(prepared, `${tree}.dirmeta`);
      } else {
        source.add('dirtree', Buffer.from('\0\0\0\0\0\0\0\0\0\0\x41\xed', 'latin1'), source.dirmeta);
        source.commit(source.dirmeta, {
          rootDirmeta: source.addDirmeta([{ name: name('user.x'), value: Buffer.of(1) }]),
        });
        await expectRefused(prepared, `${source.dirmeta}.dirtree`);
      }
    }
  });

  test('a commit that names itself as its tree, and a directory that holds itself, by lying about checksums', async () => {
    await using prepared = await prepare();
    const { source } = prepared;
    const claimed = sha256(Buffer.from('a directory in itself'));
    source.add('dirtree', serializeDirtree({ files: [], directories: [source.directory('self', claimed)] }), claimed);
    source.commit(claimed);
    expect(await expectRefused(prepared, `${claimed}.dirtree`)).toMatchObject({ code: 'CFS_DIGEST_MISMATCH' });
    const commit = source.commit(source.emptyDirtree);
    source.commit(commit); // there is no dirtree of that name
    expect(await expectRefused(prepared, `${commit}.dirtree`)).toMatchObject({ code: 'CFS_MISSING_OBJECT' });
  });
});

describe.concurrent('sizes that lie', () => {
  const MEBIBYTE = 1 << 20;
  /** Large ones take another way through the program than small ones, and chunks over HTTP another than files. */
  const contents = [20, 5000, 3 * MEBIBYTE, 12 * MEBIBYTE];
  const lies = [
    ['one byte less', (size: number) => size - 1],
    ['one byte more', (size: number) => size + 1],
    ['nothing', () => 0],
    ['2^53 - 1 bytes', () => Number.MAX_SAFE_INTEGER],
  ] as const;
  test.each(lies)('%s', async (_what, claim) => {
    for (const size of contents) {
      await using prepared = await prepare();
      const { source, victim } = prepared;
      // Pseudo-random: what compresses well would not be in chunks.
      const content = Buffer.alloc(size);
      for (let i = 0, x = 1; i < size; i++, x = (x * 1103515245 + 12345) & 0x7fffffff) content[i] = x >> 16;
      const file = source.addFile(content, claim(size));
      source.commit(source.addTree({ files: [{ name: name('f'), checksum: file }], directories: [] }));
      for (const from of [source.path, prepared.url])
        for (const env of size === contents[0] ? [{}, NO_ADDON] : [{}]) {
          const result = await victim.pull(from, HOSTILE_REF, env);
          expect(result.exitCode, result.stderr).toBe(CORRUPT);
          const { where } = readError(result);
          expect(where).toMatchObject({ object: `${file}.file`, field: expect.stringMatching(/^(size|content)$/) });
          await victim.expectNothingLeft();
        }
      await victim.expectClean();
    }
  });

  test('a bomb: one byte claimed, a gibibyte there', async () => {
    await using prepared = await prepare();
    const { source, victim } = prepared;
    const file = source.addFile(Buffer.alloc(1024 * MEBIBYTE), 1);
    source.commit(source.addTree({ files: [{ name: name('f'), checksum: file }], directories: [] }));
    for (const from of [source.path, prepared.url])
      for (const env of [{}, NO_ADDON]) {
        const result = await victim.pull(from, HOSTILE_REF, env);
        expect(result.exitCode, result.stderr).toBe(CORRUPT);
        expect(readError(result).where).toMatchObject({ object: `${file}.file`, field: 'size' });
        expect(result.cpuSeconds).toBeLessThan(5); // not inflated to its end
      }
    await victim.expectNothingLeft();
    await victim.expectClean();
  });
});

describe.concurrent('counts and lengths', () => {
  test(`${MAX_DIRECTORY_ENTRIES + 1} entries of one directory`, async () => {
    await using prepared = await prepare();
    const { source } = prepared;
    const many = (length: number) =>
      source.addTree({
        files: Array.from({ length }, (_, i) => ({ name: name(String(i).padStart(7, '0')), checksum: source.file })),
        directories: [],
      });
    const tooMany = many(MAX_DIRECTORY_ENTRIES + 1);
    source.commit(tooMany);
    const error = await expectRefused(prepared, `${tooMany}.dirtree`);
    expect(error).toMatchObject({ code: 'CFS_LIMIT', message: expect.stringContaining(`${MAX_DIRECTORY_ENTRIES}`) });
    source.commit(many(MAX_DIRECTORY_ENTRIES));
    await expectPulled(prepared);
  });

  test('metadata above the limit is not read', async () => {
    await using prepared = await prepare();
    const { source } = prepared;
    const claimed = sha256(Buffer.from('something large'));
    source.addSparse('dirtree', MAX_METADATA_BYTES + 1, claimed);
    source.commit(claimed);
    for (const from of [source.path, prepared.url]) {
      const error = await expectRefused(prepared, `${claimed}.dirtree`, from);
      expect(error).toMatchObject({ code: 'CFS_LIMIT', message: expect.stringContaining(`${MAX_METADATA_BYTES}`) });
    }
  });

  test('metadata just below it is, and found wrong', async () => {
    await using prepared = await prepare();
    const { source } = prepared;
    const zeros = sha256(Buffer.alloc(MAX_METADATA_BYTES));
    source.addSparse('dirtree', MAX_METADATA_BYTES, zeros);
    source.commit(zeros);
    for (const from of [source.path, prepared.url]) await expectRefused(prepared, `${zeros}.dirtree`, from);
  });

  test('a dirmeta above the limit', async () => {
    await using prepared = await prepare();
    const { source } = prepared;
    const large = sha256(Buffer.alloc(MAX_HEADER_BYTES + 1));
    source.addSparse('dirmeta', MAX_HEADER_BYTES + 1, large);
    source.commit(source.emptyDirtree, { rootDirmeta: large });
    const error = await expectRefused(prepared, `${large}.dirmeta`);
    expect(error).toMatchObject({ code: 'CFS_LIMIT', message: expect.stringContaining(`${MAX_HEADER_BYTES} bytes`) });
  });

  test.each([
    ['an xattr name', 'x'.repeat(MAX_XATTR_NAME_BYTES + 1), 1, MAX_XATTR_NAME_BYTES],
    ['an xattr value', 'user.x', MAX_XATTR_VALUE_BYTES + 1, MAX_XATTR_VALUE_BYTES],
  ])('%s above the limit, of a directory and of a file', async (_what, xattrName, valueBytes, limit) => {
    const xattrs = [{ name: name(xattrName), value: new Uint8Array(valueBytes) }];
    for (const owner of ['directory', 'file']) {
      await using prepared = await prepare();
      const { source } = prepared;
      const dirmeta = owner === 'directory' ? source.addDirmeta(xattrs) : source.dirmeta;
      const file = owner === 'file' ? source.addFile(new Uint8Array(3), 3, { xattrs }) : source.file;
      const root = source.addTree({ files: [{ name: name('f'), checksum: file }], directories: [] });
      source.commit(root, { rootDirmeta: dirmeta });
      const error = await expectRefused(prepared, owner === 'file' ? `${file}.file` : `${dirmeta}.dirmeta`);
      expect(error).toMatchObject({ code: 'CFS_LIMIT', message: expect.stringContaining(String(limit)) });
      expect(error.where).toMatchObject({ field: 'xattrs', offset: expect.any(Number) });
    }
  });

  /** A value inside `v` inside `v`: two bytes for each level. */
  const russianDoll = (levels: number): Uint8Array => {
    const inner = Buffer.alloc(1 + 2 * levels);
    inner[0] = 1;
    for (let i = 0; i < levels; i++) inner.write(i === 0 ? '\0y' : '\0v', 1 + 2 * i, 'latin1');
    return inner;
  };

  test.each([50, 70_000])('a variant inside %d others, in commit and detached metadata', async (levels) => {
    await using prepared = await prepare();
    const { source, victim } = prepared;
    const dictionary = parseType('a{sv}');
    // Made for a byte in place of the doll, of the same length; then the doll goes in.
    const doll = russianDoll(levels);
    const stand = new Uint8Array(doll.length - 3).fill(0xa5);
    const holder = Buffer.from(serializeVariant(dictionary, [['x', { type: 'ay', value: stand }]]));
    const at = holder.indexOf(0xa5);
    holder.set(doll, at);
    const commit = source.commit(source.emptyDirtree);
    source.addDetachedMetadata(commit, holder);
    const result = await victim.pull(source.path, HOSTILE_REF);
    if (levels > 128) {
      expect(result.exitCode, result.stderr).toBe(CORRUPT);
      expect(readError(result)).toMatchObject({ code: 'CFS_FORMAT', where: { object: `${commit}.commitmeta` } });
      await victim.expectNothingLeft();
    } else expect(result.exitCode, result.stderr).toBe(0);
    await victim.expectClean();
  });

  test('a server whose every answer never ends', async () => {
    await using endless = await startStaticServer(directory.path, {
      intercept: (request, response) => {
        if (request.url === '/config') return response.end('[core]\nrepo_version=1\nmode=archive-z2\n') && true;
        const chunk = Buffer.alloc(1 << 16, 'a');
        const more = () => {
          while (!response.destroyed && response.write(chunk));
        };
        response.on('drain', more);
        more();
        return true;
      },
    });
    await using prepared = await prepare();
    for (const wanted of [HOSTILE_REF, 'a'.repeat(64)]) {
      const result = await prepared.victim.pull(endless.url, wanted);
      expect(result.exitCode, result.stderr).toBe(CORRUPT);
      expect(readError(result).code).toBe('CFS_LIMIT');
      await prepared.victim.expectNothingLeft();
    }
  });
});

describe.concurrent('what one store can hold and another cannot', () => {
  test('metadata that compresses as nothing honest does would never be read again, so it is not stored', async () => {
    await using prepared = await prepare();
    const { source } = prepared;
    const commit = source.commit(source.emptyDirtree);
    const zeros = new Uint8Array(96 << 20);
    source.addDetachedMetadata(commit, serializeVariant(parseType('a{sv}'), [['x', { type: 'ay', value: zeros }]]));
    const error = await expectRefused(prepared, `${commit}.commitmeta`);
    expect(error).toMatchObject({ code: 'CFS_LIMIT', message: expect.stringContaining('compressed ones') });
  });

  const attribute = (bytes: number) => ({ name: name('user.long'), value: new Uint8Array(bytes).fill(0x41) });
  test.each<[what: string, mode: string, make: (source: HostileSource) => Checksum, code: string, field?: string]>([
    [
      'an owner that the kernel takes for none',
      'bare',
      (source) => source.addFile(Buffer.of(1), 1, { uid: 0xffff_ffff }),
      'CFS_FORMAT',
    ],
    [
      'a header longer than an attribute',
      'bare-user',
      (source) => source.addFile(Buffer.of(1), 1, { xattrs: [attribute(MAX_XATTR_VALUE_BYTES)] }),
      'CFS_LIMIT',
      'user.ostreemeta',
    ],
    [
      'an attribute of no known kind',
      'bare',
      (source) => source.addFile(Buffer.of(1), 1, { xattrs: [{ ...attribute(5), name: name('weird') }] }),
      'CFS_REPOSITORY',
      'weird',
    ],
  ])('%s is refused by an export to %s, and nothing is made', async (_what, mode, make, code, field) => {
    await using prepared = await prepare();
    const { source, victim } = prepared;
    const file = make(source);
    source.commit(source.addTree({ files: [{ name: name('f'), checksum: file }], directories: [] }));
    await expectPulled(prepared);
    const target = `${victim.path}-exported`;
    const result = await attack(['--json', '--repo', victim.path, 'export', HOSTILE_REF, target, '--mode', mode]);
    expect(readError(result)).toMatchObject({ code, where: { object: `${file}.file`, ...(field && { field }) } });
    expect(result.exitCode, result.stderr).toBe(code === 'CFS_REPOSITORY' ? NO_REPOSITORY : CORRUPT);
    expect(await refsBelow(target)).toEqual([]);
  });
});

/** Of an ostree repository, if there is one. */
async function refsBelow(path: string): Promise<string[]> {
  try {
    return await readdir(`${path}/refs/heads`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return [];
  }
}
