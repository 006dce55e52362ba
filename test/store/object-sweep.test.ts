/** Both engines of the sweep: what stays, what goes, what is only told. */

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { idToBytes, objectIdFromBytes, objectRelativePath } from '../../src/formats/ids.ts';
import { native } from '../../src/native.ts';
import { FANOUTS, type ObjectSweep } from '../../src/store/object-sweep.ts';
import { openObjectSweep } from '../../src/store/open-object-sweep.ts';
import { PortableObjectSweep } from '../../src/store/portable-object-sweep.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';

const SIZE_BYTES = 7;
const IDS = Array.from({ length: 3000 }, () => objectIdFromBytes(randomBytes(64)));

async function makeObjects(directory: TemporaryDirectory): Promise<string> {
  const objects = directory.join('objects');
  for (const id of IDS) {
    const path = `${objects}/${objectRelativePath(id)}`;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, 'content');
  }
  return objects;
}

const pathIn = (objects: string, index: number): string => `${objects}/${objectRelativePath(IDS[index])}`;
const keepHalf = (sweep: ObjectSweep): void => {
  sweep.keep(Buffer.concat(IDS.filter((_, i) => i % 2 === 0).map(idToBytes)));
  sweep.keep(idToBytes(IDS[0])); // once more
};

const ENGINES: Array<{ name: string; open: (objects: string) => Promise<ObjectSweep> }> = [
  { name: 'portable', open: async (objects) => new PortableObjectSweep(objects, 'sha512') },
];
if (native !== undefined)
  ENGINES.push(
    { name: 'native', open: (objects) => openObjectSweep(objects, 'sha512') },
    {
      name: 'native, read ahead',
      open: async (objects) => {
        const sweep = await openObjectSweep(objects, 'sha512');
        sweep.readAhead();
        return sweep;
      },
    },
  );

describe.each(ENGINES)('$name', ({ open }) => {
  test('takes what is not kept, and nothing when it only counts', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const objects = await makeObjects(directory);
    const counts = { kept: 1500, removed: 1500, removedBytes: 1500 * SIZE_BYTES, others: [] };
    const sweep = await open(objects);
    keepHalf(sweep);
    expect(await sweep.sweep(0, FANOUTS, { remove: false })).toEqual(counts);
    expect(IDS.filter((_, i) => existsSync(pathIn(objects, i)))).toHaveLength(3000);
    expect(await sweep.sweep(0, FANOUTS, { remove: true })).toEqual(counts);
    for (let i = 0; i < IDS.length; i++) expect(existsSync(pathIn(objects, i))).toBe(i % 2 === 0);
  });

  test('keeps to the directories it was given', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const objects = await makeObjects(directory);
    const inside = IDS.filter((id) => id.startsWith('1'));
    const swept = await (await open(objects)).sweep(16, 16, { remove: true });
    expect(swept.removed).toBe(inside.length);
    for (const id of IDS) expect(existsSync(`${objects}/${objectRelativePath(id)}`)).toBe(!id.startsWith('1'));
  });

  test('leaves what is no object, and follows no link', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const objects = directory.join('objects');
    const elsewhere = directory.join('elsewhere');
    await mkdir(`${objects}/00`, { recursive: true });
    await mkdir(elsewhere);
    await writeFile(`${elsewhere}/${'1'.repeat(126)}`, '');
    await symlink(elsewhere, `${objects}/01`);
    await writeFile(`${objects}/02`, 'no directory');
    await mkdir(`${objects}/00/${'a'.repeat(126)}`);
    await symlink('../../elsewhere', `${objects}/00/${'b'.repeat(126)}`);
    const badNames = ['short', 'A'.repeat(126), 'c'.repeat(127), `${'d'.repeat(125)}g`, `${'d'.repeat(124)}é`];
    for (const name of badNames) await writeFile(`${objects}/00/${name}`, '');
    const { others, ...counts } = await (await open(objects)).sweep(0, FANOUTS, { remove: true });
    expect(counts).toEqual({ kept: 0, removed: 0, removedBytes: 0 });
    const names = ['a'.repeat(126), 'b'.repeat(126), ...badNames];
    expect(others.toSorted()).toEqual(names.map((name) => `00/${name}`).toSorted());
    expect(existsSync(`${elsewhere}/${'1'.repeat(126)}`)).toBe(true);
  });

  test('finds nothing where there are no objects', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const swept = await (await open(directory.join('objects'))).sweep(0, FANOUTS, { remove: true });
    expect(swept).toEqual({ kept: 0, removed: 0, removedBytes: 0, others: [] });
  });
});

describe.runIf(native !== undefined)('names that were read ahead', () => {
  const { ObjectSweep: NativeSweep } = native as NonNullable<typeof native>;

  test('and are gone meanwhile are passed over, even with their directory', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const objects = await makeObjects(directory);
    const sweep = new NativeSweep(objects, 'sha512');
    await sweep.readAhead();
    await rm(pathIn(objects, 0));
    const fanout = IDS[1].slice(0, 2);
    await rm(`${objects}/${fanout}`, { recursive: true });
    const left = IDS.filter((id, i) => i !== 0 && !id.startsWith(fanout));
    expect(await sweep.sweep(0, FANOUTS, { remove: true })).toMatchObject({ removed: left.length, kept: 0 });
  });

  test('are not swept before all of them are there, nor read twice at a time', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const sweep = new NativeSweep(await makeObjects(directory), 'sha512');
    const ahead = sweep.readAhead();
    for (const call of [() => sweep.sweep(0, FANOUTS, { remove: true }), () => sweep.readAhead()])
      expect(call).toThrow(expect.objectContaining({ code: 'ERR_CFS_NATIVE' }));
    await ahead;
    expect((await sweep.sweep(0, FANOUTS, { remove: true })).removed).toBe(IDS.length);
  });

  test('any number of objects of either algorithm, and any of them kept: the same as without the addon', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const ids = Array.from({ length: 500 }, () => objectIdFromBytes(randomBytes(algorithm === 'sha256' ? 32 : 64)));
      const objects = directory.join(algorithm);
      for (const id of ids) {
        const path = `${objects}/${objectRelativePath(id)}`;
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, '');
      }
      const kept = Buffer.concat(ids.filter(() => Math.random() < 0.5).map(idToBytes));
      const portable = new PortableObjectSweep(objects, algorithm);
      const sweep = await openObjectSweep(objects, algorithm);
      sweep.readAhead();
      for (const each of [portable, sweep]) each.keep(kept);
      const expected = await portable.sweep(0, FANOUTS, { remove: false });
      expect(expected.kept * (algorithm === 'sha256' ? 32 : 64)).toBe(kept.length);
      expect(await sweep.sweep(0, FANOUTS, { remove: true })).toEqual(expected);
      for (const id of ids)
        expect(existsSync(`${objects}/${objectRelativePath(id)}`)).toBe(kept.includes(Buffer.from(id, 'hex')));
    }
  });
});
