/** Trees made to hurt: too deep, too many paths, one object in two roles; pulled by the built program. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Checksum } from '../../src/formats/ids.ts';
import { COMPOSEFS_DIGEST_KEY } from '../../src/formats/ostree/commit.ts';
import { serializeDirtree } from '../../src/formats/ostree/dirtree.ts';
import { MAX_TREE_DEPTH, MAX_TREE_PATHS } from '../../src/formats/ostree/limits.ts';
import { AttackGround, CORRUPT, expectPulled, expectRefused } from './attack-ground.ts';
import { HOSTILE_REF } from './hostile-cases.ts';
import { type HostileSource, name, sha256 } from './hostile-source.ts';
import { attack, readError } from './victim.ts';

const NO_SPACE = 9;

let ground: AttackGround;
beforeAll(async () => {
  ground = await AttackGround.open();
});
afterAll(() => ground[Symbol.asyncDispose]());

/** Directories inside each other, `levels` below the root. */
function nest(source: HostileSource, levels: number): { root: Checksum; dirtrees: Checksum[] } {
  const dirtrees = [source.emptyDirtree];
  for (let i = 0; i < levels; i++)
    dirtrees.push(source.addTree({ files: [], directories: [source.directory('d', dirtrees[i])] }));
  return { root: dirtrees[levels], dirtrees };
}

describe.concurrent('depth', () => {
  test.each([MAX_TREE_DEPTH + 1, 3 * MAX_TREE_DEPTH])('%d levels are refused', async (levels) => {
    await using prepared = await ground.prepare();
    const { root, dirtrees } = nest(prepared.source, levels);
    prepared.source.commit(root);
    const tooDeep = dirtrees[levels - MAX_TREE_DEPTH - 1];
    for (const from of [prepared.source.path, prepared.url]) {
      const error = await expectRefused(prepared, `${tooDeep}.dirtree`, from);
      expect(error).toMatchObject({ code: 'CFS_LIMIT', message: expect.stringContaining(`${MAX_TREE_DEPTH} deep`) });
    }
  });

  test('a long way behind a short one to the same directories is seen', async () => {
    await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
    prepared.source.commit(make(prepared.source));
    await expectPulled(prepared);
  });

  test('a composefs digest does not make a pull build millions of inodes', async () => {
    await using prepared = await ground.prepare();
    const { source, victim } = prepared;
    source.commit(double(source, 21), {
      metadata: [[COMPOSEFS_DIGEST_KEY, { type: 'ay', value: new Uint8Array(32) }]],
    });
    const result = await victim.pull(source.path, HOSTILE_REF);
    expect(result).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/composefs digest .* was not checked/) });
    expect(JSON.parse(result.stdout).results[0]).not.toHaveProperty('digest');
  });

  test('what a tree takes is known before the heap is full', async () => {
    await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
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
      await using prepared = await ground.prepare();
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
    await using prepared = await ground.prepare();
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
