/** Links and refs: exact targets, atomic replacement, nothing outside the repository. */

import { access, mkdir, readdir, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FormatError, MissingObjectError, NotFoundError, UsageError } from '../../src/errors.ts';
import type { ObjectId } from '../../src/formats/ids.ts';
import { initRepository } from '../../src/store/init.ts';
import { openRepository, type Repository } from '../../src/store/repository.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';

async function withRepository(
  use: (repo: Repository, ids: ObjectId[], directory: TemporaryDirectory) => Promise<void>,
) {
  await using directory = await makeTemporaryDirectory('memory');
  const path = directory.join('repository');
  await initRepository(path, { algorithm: 'sha256', insecure: true });
  await using repo = await openRepository(path, { lock: 'shared' });
  const ids: ObjectId[] = [];
  for (const text of ['one', 'two']) ids.push((await repo.objects.store(Buffer.from(text))).id);
  await use(repo, ids, directory);
}

const targetOf = (id: ObjectId): string => `../objects/${id.slice(0, 2)}/${id.slice(2)}`;

describe('first-level links', () => {
  test('get exactly the target that composefs-rs writes, and are replaced atomically', () =>
    withRepository(async (repo, [one, two]) => {
      await repo.streams.publish('s', one);
      expect(await readlink(join(repo.path, 'streams/s'))).toBe(targetOf(one));
      await repo.streams.publish('s', two);
      expect(await repo.streams.resolve('s')).toBe(two);
      expect((await readdir(repo.path)).sort()).toEqual(['meta.json', 'objects', 'streams']);
    }));

  test('lead only to objects that are there', () =>
    withRepository(async (repo) => {
      await expect(repo.streams.publish('s', '00'.repeat(32) as ObjectId)).rejects.toThrow(MissingObjectError);
      expect(await repo.streams.resolve('s')).toBeUndefined();
    }));

  test('of images are named by their id', () =>
    withRepository(async (repo, [one, two]) => {
      await repo.images.publish(one, one);
      await expect(repo.images.publish(one, two)).rejects.toThrow(UsageError);
    }));

  test.each([
    ['absolute', (id: ObjectId, path: string) => `${path}/objects/${id.slice(0, 2)}/${id.slice(2)}`],
    [
      'leaves the repository and comes back',
      (id: ObjectId) => `../../repository/objects/${id.slice(0, 2)}/${id.slice(2)}`,
    ],
    ['without ../', (id: ObjectId) => `objects/${id.slice(0, 2)}/${id.slice(2)}`],
    ['doubled slash', (id: ObjectId) => `..//objects/${id.slice(0, 2)}/${id.slice(2)}`],
    ['upper case', (id: ObjectId) => targetOf(id).toUpperCase().replace('OBJECTS', 'objects')],
    ['trailing slash', (id: ObjectId) => `${targetOf(id)}/`],
    ['too short', (id: ObjectId) => targetOf(id).slice(0, -1)],
    ['undivided', (id: ObjectId) => `../objects/${id}`],
  ])('with a target that is %s are refused', (_, makeTarget) =>
    withRepository(async (repo, [one]) => {
      await mkdir(join(repo.path, 'streams'));
      await symlink(makeTarget(one, repo.path), join(repo.path, 'streams/s'));
      await expect(repo.streams.resolve('s')).rejects.toThrow(
        expect.objectContaining({ code: 'CFS_FORMAT', where: { file: 'streams/s' } }),
      );
    }),
  );

  test('that are regular files are refused, and replaced by publishing', () =>
    withRepository(async (repo, [one]) => {
      await mkdir(join(repo.path, 'streams'));
      await writeFile(join(repo.path, 'streams/s'), 'no link');
      await expect(repo.streams.resolve('s')).rejects.toThrow(FormatError);
      await repo.streams.publish('s', one);
      expect(await repo.streams.resolve('s')).toBe(one);
    }));
});

describe('refs', () => {
  test('climb one level for each part of their name', () =>
    withRepository(async (repo, [one]) => {
      await repo.streams.publish('s', one);
      await repo.images.publish(one, one);
      await repo.streams.setRef('t', 's');
      await repo.streams.setRef('ostree/a%2Fb', 's');
      await repo.images.setRef('a/b', one);
      expect(await readlink(join(repo.path, 'streams/refs/t'))).toBe('../s');
      expect(await readlink(join(repo.path, 'streams/refs/ostree/a%2Fb'))).toBe('../../s');
      expect(await readlink(join(repo.path, 'images/refs/a/b'))).toBe(`../../${one}`);
      expect(await Array.fromAsync(repo.streams.listRefs())).toEqual([
        { ref: 't', target: 's' },
        { ref: 'ostree/a%2Fb', target: 's' },
      ]);
      expect(await repo.images.resolveRef('a/b')).toBe(one);
    }));

  test('follow the first-level name when it is replaced', () =>
    withRepository(async (repo, [one, two]) => {
      await repo.streams.publish('s', one);
      await repo.streams.setRef('t', 's');
      await repo.streams.publish('s', two);
      const name = await repo.streams.resolveRef('t');
      expect(name && (await repo.streams.resolve(name))).toBe(two);
    }));

  test('point only at names that lead to an object', () =>
    withRepository(async (repo, [one]) => {
      await expect(repo.streams.setRef('t', 's')).rejects.toThrow(NotFoundError);
      await repo.streams.publish('s', one);
      await repo.objects.remove(one);
      await expect(repo.streams.setRef('t', 's')).rejects.toThrow(MissingObjectError);
      expect(await Array.fromAsync(repo.streams.refEntries())).toEqual([]);
    }));

  test('are removed, once', () =>
    withRepository(async (repo, [one]) => {
      await repo.streams.publish('s', one);
      await repo.streams.setRef('a/t', 's');
      expect(await repo.streams.removeRef('a/t')).toBe(true);
      expect(await repo.streams.removeRef('a/t')).toBe(false);
      expect(await repo.streams.resolveRef('a/t')).toBeUndefined();
      expect(await repo.streams.resolve('s')).toBe(one);
    }));

  test.each(['../s/x', 's', '../../s', '../refs', '../objects/aa/bb', '/etc/passwd', '../..', '../.'])(
    'with the target %s are refused',
    (target) =>
      withRepository(async (repo) => {
        await mkdir(join(repo.path, 'streams/refs'), { recursive: true });
        await symlink(target, join(repo.path, 'streams/refs/t'));
        await expect(repo.streams.resolveRef('t')).rejects.toThrow(FormatError);
        expect(await Array.fromAsync(repo.streams.listRefs())).toEqual([]);
        expect(await Array.fromAsync(repo.streams.refEntries())).toEqual([
          { ref: 't', linkText: target, target: undefined },
        ]);
      }),
  );

  test('are not written through a directory that is a link to elsewhere', () =>
    withRepository(async (repo, [one], directory) => {
      const outside = directory.join('outside');
      await mkdir(outside);
      await repo.streams.publish('s', one);
      await mkdir(join(repo.path, 'streams/refs'));
      await symlink(outside, join(repo.path, 'streams/refs/ostree'));
      await expect(repo.streams.setRef('ostree/t', 's')).rejects.toThrow(FormatError);
      await expect(repo.streams.resolveRef('ostree/t')).rejects.toThrow(FormatError);
      await expect(repo.streams.removeRef('ostree/t')).rejects.toThrow(FormatError);
      expect(await readdir(outside)).toEqual([]);
    }));

  test('with impossible names never reach the file system', () =>
    withRepository(async (repo, [one], directory) => {
      await repo.streams.publish('s', one);
      for (const ref of ['../x', '../../../x', '/x', 'a/../../../../x', ''])
        await expect(repo.streams.setRef(ref, 's')).rejects.toThrow(UsageError);
      await expect(access(directory.join('x'))).rejects.toThrow();
    }));
});
