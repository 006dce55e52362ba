/** Making and opening repositories: settings, features, the old format, and what may be written. */

import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CfsError, ConflictError, FormatError, LockedError, RepositoryError } from '../../src/errors.ts';
import { initRepository } from '../../src/store/init.ts';
import { commitStreamName, ostreeRefPath } from '../../src/store/ostree-refs.ts';
import { openRepository } from '../../src/store/repository.ts';
import {
  readRepositoryVectors,
  snapshot,
  unpackRepository,
  type VectorPath,
} from '../support/composefs-repositories.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const vectors = readRepositoryVectors();
const OTHER = 'nasty/x86_64/other';

/** Opens it and reads the commit stream that a ref leads to, as any reading command does. */
async function readRef(path: string, ref: string): Promise<void> {
  await using repo = await openRepository(path, { lock: 'shared' });
  const name = await repo.streams.resolveRef(ostreeRefPath(ref));
  const id = name === undefined ? undefined : await repo.streams.resolve(name);
  if (id === undefined) throw new Error(`no ${ref}`);
  await repo.objects.read(id, { maxBytes: 1 << 20 });
}

async function setRef(path: string, ref: string): Promise<void> {
  await using repo = await openRepository(path, { lock: 'shared', write: true });
  const name = await repo.streams.resolveRef(ostreeRefPath(OTHER));
  await repo.streams.setRef(ostreeRefPath(ref), name as string);
}

describe('init', () => {
  test.each([
    ['sha256', 0],
    ['sha256', 1],
    ['sha256', 2],
    ['sha512', 0],
    ['sha512', 1],
    ['sha512', 2],
  ] as const)('%s with EROFS version %i writes the meta.json that cfsctl writes', async (algorithm, erofsVersion) => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = directory.join('a/b/repository');
    const report = await initRepository(path, { algorithm, erofsVersion, insecure: true });
    expect(report).toEqual({ path, algorithm, erofsVersion, insecure: true, created: true });
    expect(await readFile(join(path, 'meta.json'), 'utf8')).toBe(
      vectors.repositories[`${algorithm}-v${erofsVersion}`].meta_json,
    );
    expect(await readdir(path)).toEqual(['meta.json']);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    await using repo = await openRepository(path, { lock: 'exclusive', write: true });
    expect([repo.algorithm, repo.erofs.default, repo.secure]).toEqual([algorithm, erofsVersion, false]);
  });

  test('a second time is a conflict, with ensure only where settings differ', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = directory.join('repository');
    const options = { algorithm: 'sha256', insecure: true } as const;
    await initRepository(path, options);
    const before = await snapshot(path);
    await expect(initRepository(path, options)).rejects.toThrow(ConflictError);
    expect(await initRepository(path, { ...options, ensure: true })).toMatchObject({ created: false });
    for (const other of [{ algorithm: 'sha512' }, { erofsVersion: 2 }, { insecure: false }] as const)
      await expect(initRepository(path, { ...options, ...other, ensure: true })).rejects.toMatchObject({ exitCode: 8 });
    expect(await snapshot(path)).toEqual(before);
  });

  test('a secure one where there is no fs-verity leaves nothing behind', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    await expect(initRepository(directory.join('a/b'), {})).rejects.toThrow(RepositoryError);
    await expect(initRepository(directory.join('a/b'), {})).rejects.toThrow(/--insecure/);
    expect(await readdir(directory.path)).toEqual([]);
  });

  test('in place of a file is a conflict', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    await writeFile(directory.join('file'), '');
    await expect(initRepository(directory.join('file'), { insecure: true })).rejects.toThrow(ConflictError);
  });
});

describe('meta.json', () => {
  test.each(vectors.features.cases)('$id: $reason', async ({ id, meta_json, meta_json_hex, should }) => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository('features/base.tar.gz', directory.path);
    const control = vectors.features.cases.find((other) => other.id === 'control')?.meta_json as string;
    const nested = control.replace('"version"', `"x": ${'['.repeat(5000)}${']'.repeat(5000)},\n  "version"`);
    const text = meta_json_hex === undefined ? (meta_json ?? nested) : Buffer.from(meta_json_hex, 'hex');
    expect(id === 'deep-nesting' || meta_json_hex !== undefined || typeof meta_json === 'string').toBe(true);
    await rm(join(path, 'meta.json'), { force: true });
    await writeFile(join(path, 'meta.json'), text);
    const before = await snapshot(path);
    if (should.open === 'accept') await readRef(path, OTHER);
    else if (should.open === 'reject') await expect(readRef(path, OTHER)).rejects.toThrow(CfsError);
    else await readRef(path, OTHER).catch((error: unknown) => expect(error).toBeInstanceOf(CfsError));
    expect(await snapshot(path)).toEqual(before);
    if (should.write === 'accept') await setRef(path, 'new');
    else if (should.write === 'reject') {
      await expect(setRef(path, 'new')).rejects.toThrow(CfsError);
      expect(await snapshot(path)).toEqual(before);
    } else await setRef(path, 'new').catch((error: unknown) => expect(error).toBeInstanceOf(CfsError));
  });

  test('unknown read-only-compatible features end every write with exit 10', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository('features/base.tar.gz', directory.path);
    const { meta_json } = vectors.features.cases.find(({ id }) => id === 'unknown-read-only-compatible') as {
      meta_json: string;
    };
    await writeFile(join(path, 'meta.json'), meta_json);
    const before = await snapshot(path);
    await expect(openRepository(path, { lock: 'shared', write: true })).rejects.toMatchObject({ exitCode: 10 });
    await using repo = await openRepository(path, { lock: 'exclusive' });
    const [{ name, id }] = await Array.fromAsync(repo.streams.list());
    for (const write of [
      () => repo.objects.store(Buffer.from('x')),
      () => repo.objects.createTemporary(),
      () => repo.objects.remove(id),
      () => repo.streams.publish(name, id),
      () => repo.streams.remove(name),
      () => repo.streams.setRef('x', name),
      () => repo.streams.removeRef(ostreeRefPath(OTHER)),
    ])
      await expect(write()).rejects.toThrow(/x_new/);
    expect(await snapshot(path)).toEqual(before);
  });

  test('as a symlink is refused', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository('features/base.tar.gz', directory.path);
    await writeFile(directory.join('meta.json'), await readFile(join(path, 'meta.json')));
    await rm(join(path, 'meta.json'));
    await symlink('../meta.json', join(path, 'meta.json'));
    await expect(openRepository(path, { lock: 'shared' })).rejects.toThrow(FormatError);
  });
});

describe('without meta.json', () => {
  test.each(vectors.no_meta)('$id', async ({ paths, should, meta_json_after }) => {
    await using directory = await makeTemporaryDirectory('memory');
    await makePaths(directory.path, paths);
    const before = await snapshot(directory.path);
    if (should.open === 'reject') {
      await expect(openRepository(directory.path, { lock: 'shared' })).rejects.toMatchObject({ exitCode: 10 });
      await expect(openRepository(directory.path, { lock: 'shared', write: true })).rejects.toThrow(/cfs-ostree init/);
      expect(await snapshot(directory.path)).toEqual(before);
      return;
    }
    {
      await using repo = await openRepository(directory.path, { lock: 'shared' });
      expect(await Array.fromAsync(repo.objects.list())).toHaveLength(1);
    }
    expect(await snapshot(directory.path)).toEqual(before);
    await using _repo = await openRepository(directory.path, { lock: 'shared', write: true });
    expect(await readFile(directory.join('meta.json'), 'utf8')).toBe(meta_json_after);
  });

  test.each(vectors.old_format)(
    '$id is read as it is, and upgraded by the first write',
    async ({ tarball, algorithm, cfsctl }) => {
      await using directory = await makeTemporaryDirectory('memory');
      const path = await unpackRepository(tarball, directory.path);
      const before = await snapshot(path);
      await readRef(path, OTHER);
      expect(await snapshot(path)).toEqual(before);
      await setRef(path, 'new');
      const after = cfsctl.find(({ meta_json_after }) => meta_json_after !== null)?.meta_json_after;
      expect(await readFile(join(path, 'meta.json'), 'utf8')).toBe(after);
      await using repo = await openRepository(path, { lock: 'shared' });
      expect(`fsverity-${repo.algorithm}-12`).toBe(algorithm);
      expect(repo.erofs).toEqual({ default: 1, extra: [] });
    },
  );

  test('init with ensure upgrades it where the settings are those', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository('old/old-sha256-current.tar.gz', directory.path);
    const options = { algorithm: 'sha256', insecure: true } as const;
    await expect(initRepository(path, options)).rejects.toThrow(ConflictError);
    await expect(initRepository(path, { ...options, algorithm: 'sha512', ensure: true })).rejects.toThrow(
      ConflictError,
    );
    await expect(initRepository(path, { ...options, erofsVersion: 2, ensure: true })).rejects.toThrow(ConflictError);
    expect(await initRepository(path, { ...options, ensure: true })).toMatchObject({ created: true });
    await using repo = await openRepository(path, { lock: 'shared' });
    expect(repo.algorithm).toBe('sha256');
  });
});

async function makePaths(root: string, paths: VectorPath[]): Promise<void> {
  for (const { path, type } of paths) {
    if (type === 'dir') await mkdir(join(root, path));
    else await writeFile(join(root, path), ''); // all of them are empty files
  }
}

describe.each(Object.entries(vectors.repositories).filter(([name]) => !name.endsWith('-bare')))(
  '%s',
  (name, expected) => {
    test('written by cfsctl: same refs, names and objects, all intact', async () => {
      await using directory = await makeTemporaryDirectory('memory');
      const path = await unpackRepository(`repos/${name}.tar.gz`, directory.path);
      await using repo = await openRepository(path, { lock: 'shared' });
      const refs = await Array.fromAsync(repo.streams.listRefs());
      expect(refs.map(({ ref }) => ref).sort()).toEqual(Object.keys(expected.refs).map(ostreeRefPath).sort());
      const names = new Map((await Array.fromAsync(repo.streams.list())).map((link) => [link.name, link.id]));
      for (const { target } of refs) expect(names.has(target)).toBe(true);
      const images = (await Array.fromAsync(repo.images.list())).map(({ id }) => id);
      expect(images.sort()).toEqual([...new Set(Object.values(expected.refs).map((ref) => ref.compute_id))].sort());
      const objects = expected.paths.filter(({ path, type }) => type === 'file' && path.startsWith('objects/'));
      const found = await Array.fromAsync(repo.objects.list());
      expect(found.map((object) => object.path).sort()).toEqual(objects.map((object) => object.path).sort());
      for (const { id, path } of found) {
        if (id === undefined) throw new Error(path);
        expect(await repo.objects.verify(id)).toEqual({
          sizeBytes: objects.find((object) => object.path === path)?.size,
        });
      }
    });
  },
);

describe('open', () => {
  test('nowhere, or where there is something else', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    await writeFile(directory.join('file'), '');
    for (const path of [directory.path, directory.join('none'), directory.join('file'), directory.join('file/below')]) {
      await expect(openRepository(path, { lock: 'shared' })).rejects.toMatchObject({ exitCode: 10 });
      await expect(openRepository(path, { lock: 'shared', tolerant: true })).rejects.toMatchObject({ exitCode: 10 });
    }
  });

  test.each(['objects', 'streams', 'images', 'cfs-ostree'])(
    '%s must be a directory of the repository itself',
    async (name) => {
      await using directory = await makeTemporaryDirectory('memory');
      const path = await unpackRepository('features/base.tar.gz', directory.path);
      await rm(join(path, name), { recursive: true, force: true });
      await mkdir(directory.join('outside'));
      await symlink('../outside', join(path, name));
      await expect(openRepository(path, { lock: 'shared' })).rejects.toThrow(RepositoryError);
    },
  );

  test('twice in one process, once exclusively, is an error and no deadlock', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository('features/base.tar.gz', directory.path);
    {
      await using _repo = await openRepository(path, { lock: 'shared' });
      await using _other = await openRepository(path, { lock: 'shared' });
      await expect(openRepository(join(path, '../repository'), { lock: 'exclusive' })).rejects.toThrow(LockedError);
    }
    await using _alone = await openRepository(path, { lock: 'exclusive' });
  });

  test('a failed open gives the lock back', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository('features/base.tar.gz', directory.path);
    const text = await readFile(join(path, 'meta.json'));
    await writeFile(join(path, 'meta.json'), '{');
    await expect(openRepository(path, { lock: 'shared' })).rejects.toThrow(FormatError);
    await writeFile(join(path, 'meta.json'), text);
    await using _repo = await openRepository(path, { lock: 'exclusive', lockTimeoutMs: 0 });
  });

  test('tolerant: an unusable meta.json is a fact, and nothing can be written', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository('features/base.tar.gz', directory.path);
    const cases = [
      ['{', 'unreadable'],
      [vectors.features.cases.find(({ id }) => id === 'unknown-incompatible')?.meta_json as string, 'incompatible'],
    ] as const;
    for (const [text, kind] of cases) {
      await writeFile(join(path, 'meta.json'), text);
      await using repo = await openRepository(path, { lock: 'shared', tolerant: true });
      expect(repo.metadataProblem?.kind).toBe(kind);
      expect(repo.algorithm).toBe('sha256');
      await expect(repo.requireWritable()).rejects.toThrow(CfsError);
    }
  });
});

test('the name of a commit stream is what cfsctl calls it', async () => {
  const { paths } = vectors.repositories['sha256-v1'];
  const commit = '1332c9089e55234d7937659c85c5e854542168ea2937d78fc43f4fea953dcbc3';
  expect(paths.map(({ path }) => path)).toContain(`streams/${commitStreamName(commit as never)}`);
});
