/** Sizes, counts and lengths that lie or lead too far, and what one store can hold and another cannot. */

import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseType, serializeVariant } from '../../src/formats/gvariant.ts';
import type { Checksum } from '../../src/formats/ids.ts';
import {
  MAX_DIRECTORY_ENTRIES,
  MAX_HEADER_BYTES,
  MAX_METADATA_BYTES,
  MAX_XATTR_NAME_BYTES,
  MAX_XATTR_VALUE_BYTES,
} from '../../src/formats/ostree/limits.ts';
import { startStaticServer } from '../support/static-server.ts';
import { AttackGround, CORRUPT, expectPulled, expectRefused } from './attack-ground.ts';
import { HOSTILE_REF } from './hostile-cases.ts';
import { type HostileSource, name, sha256 } from './hostile-source.ts';
import { attack, NO_ADDON, readError } from './victim.ts';

const NO_REPOSITORY = 10;

let ground: AttackGround;
beforeAll(async () => {
  ground = await AttackGround.open();
});
afterAll(() => ground[Symbol.asyncDispose]());

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
      await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
    const { source } = prepared;
    const zeros = sha256(Buffer.alloc(MAX_METADATA_BYTES));
    source.addSparse('dirtree', MAX_METADATA_BYTES, zeros);
    source.commit(zeros);
    for (const from of [source.path, prepared.url]) await expectRefused(prepared, `${zeros}.dirtree`, from);
  });

  test('a dirmeta above the limit', async () => {
    await using prepared = await ground.prepare();
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
      await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
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
    await using endless = await startStaticServer(ground.path, {
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
    await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
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
