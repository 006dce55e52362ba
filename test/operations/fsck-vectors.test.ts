/** Checks of repositories that cfsctl wrote, sound and damaged: every damage is found, and nothing is changed. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkRepository, type Finding, type FsckReport } from '../../src/operations/fsck.ts';
import { commitStreamName } from '../../src/store/ostree-refs.ts';
import { openRepository } from '../../src/store/repository.ts';
import {
  applyOperations,
  readRepositoryVectors,
  snapshot,
  unpackRepository,
} from '../support/composefs-repositories.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const vectors = readRepositoryVectors();

async function fsck(path: string, metadataOnly = false): Promise<FsckReport> {
  await using repo = await openRepository(path, { lock: 'shared', tolerant: true });
  return await checkRepository(repo, { metadataOnly });
}

interface Wanted {
  kind: string;
  path: string;
  object?: string;
}

function expectFinding(findings: Finding[], { kind, path, object }: Wanted): void {
  const subject = path.endsWith('*') ? expect.stringContaining(path.slice(0, -1)) : path;
  const detail = object === undefined ? expect.any(String) : expect.stringContaining(object);
  expect(findings).toContainEqual(expect.objectContaining({ kind, subject, detail }));
}

describe('damage', () => {
  test.each(vectors.fsck)('$id', async ({ repository, operations, should }) => {
    await using directory = await makeTemporaryDirectory('memory');
    // one of the cases has a link that leaves the repository and comes back by this name
    const path = await unpackRepository(`repos/${repository}.tar.gz`, directory.path, 'fk');
    await applyOperations(path, operations);
    const before = await snapshot(path);
    const report = await fsck(path);
    expect(await snapshot(path)).toEqual(before);
    for (const wanted of should.findings) expectFinding(report.findings, wanted);
    expect(report.ok).toBe(should.exit === 0);
    expect(report.findings.some(({ severity }) => severity === 'error')).toBe(!report.ok);
    if (should.findings.length === 0) expect(report.findings).toEqual([]);
  });

  test('without reading contents, names and metadata are still checked', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository('repos/sha256-v1.tar.gz', directory.path);
    const flipFile = vectors.fsck.find(({ id }) => id === 'flip-file');
    const deleteFile = vectors.fsck.find(({ id }) => id === 'delete-file-object');
    await applyOperations(path, flipFile?.operations ?? []);
    expect(await fsck(path, true)).toMatchObject({ ok: true, findings: [], objectsChecked: 6 });
    await applyOperations(path, deleteFile?.operations ?? []);
    const { findings } = await fsck(path, true);
    for (const wanted of deleteFile?.should.findings ?? []) expectFinding(findings, wanted);
  });

  test('findings name the refs that are concerned', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository('repos/sha256-v1.tar.gz', directory.path);
    const damaged = '68/eecd24115e8f54758188dc1cd07c3c27db6b4f53f4fa90c89cc1ffaf57a369';
    await applyOperations(path, [{ op: 'truncate', path: `objects/${damaged}`, size: 10 }]);
    const { findings } = await fsck(path);
    expect(findings.map(({ kind }) => kind)).toContain('object-digest-mismatch');
    for (const { refs } of findings) expect(refs).toEqual(['nasty/x86_64/main']);
  });
});

describe('sound repositories', () => {
  test.each(Object.entries(vectors.repositories).filter(([name]) => !name.endsWith('-bare')))(
    '%s',
    async (name, { paths }) => {
      await using directory = await makeTemporaryDirectory('memory');
      const path = await unpackRepository(`repos/${name}.tar.gz`, directory.path);
      const objects = paths.filter(({ path, type }) => type === 'file' && path.startsWith('objects/'));
      expect(await fsck(path)).toEqual({
        ok: true,
        objectsChecked: objects.length,
        bytesChecked: objects.reduce((sum, { size = 0 }) => sum + size, 0),
        findings: [],
      });
    },
  );

  test.each(Object.entries(vectors.oci.repositories))('%s', async (_, { tarball }) => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository(tarball, directory.path);
    expect(await fsck(path)).toMatchObject({ ok: true, findings: [], objectsChecked: 12 });
  });

  test.each(vectors.old_format)('$id is sound but for its meta.json', async ({ tarball }) => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository(tarball, directory.path);
    const before = await snapshot(path);
    expect((await fsck(path)).findings).toEqual([
      expect.objectContaining({ kind: 'metadata-parse-failed', subject: 'meta.json', severity: 'error' }),
    ]);
    expect(await snapshot(path)).toEqual(before);
  });
});

describe('objects of other writers', () => {
  test.each(
    Object.entries(vectors.oci.repositories).flatMap(([name, { tarball, fsck }]) =>
      fsck.map((damage) => ({ name, tarball, ...damage })),
    ),
  )('$name: $id', async ({ id, tarball, object }) => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository(tarball, directory.path);
    const objectPath = `objects/${object.slice(0, 2)}/${object.slice(2)}`;
    if (id === 'layer-object-missing') await rm(join(path, objectPath));
    else await applyOperations(path, [{ op: 'flip', path: objectPath, offset: 0, xor: 1 }]);
    const { ok, findings } = await fsck(path);
    expect(ok).toBe(false);
    if (id === 'layer-object-missing')
      expectFinding(findings, { kind: 'missing-object-ref', path: 'streams/oci-layer-*', object });
    else expectFinding(findings, { kind: 'object-digest-mismatch', path: objectPath });
  });
});

describe('meta.json', () => {
  test.each(vectors.features.cases.filter(({ meta_json }) => typeof meta_json === 'string'))(
    '$id',
    async ({ id, meta_json, should }) => {
      await using directory = await makeTemporaryDirectory('memory');
      const path = await unpackRepository('features/base.tar.gz', directory.path);
      await applyOperations(path, [
        { op: 'write', path: 'meta.json', data_hex: Buffer.from(meta_json as string).toString('hex') },
      ]);
      const { ok, findings } = await fsck(path);
      if (should.open === 'accept') expect(findings).toEqual([]);
      else if (should.open === 'reject') {
        expect(ok).toBe(false);
        if (id !== 'algorithm-other')
          expect(findings).toContainEqual(expect.objectContaining({ subject: 'meta.json' }));
      }
    },
  );
});

describe('hostile streams', () => {
  test('each verdict, in one repository with all of them', async () => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository(vectors.hostile_streams.tarball, directory.path);
    const { findings } = await fsck(path);
    const verdicts = vectors.hostile_streams.streams.map(({ id, should }) => {
      const found = findings.some(({ subject }) => subject === `streams/${id}`);
      return { id, should, verdict: should === 'may-reject' ? should : found ? 'reject' : 'accept' };
    });
    expect(verdicts.filter(({ should, verdict }) => should !== verdict)).toEqual([]);
    expect(verdicts.length).toBeGreaterThan(100);
  });
});

describe('hostile commits', () => {
  const { tarball, commit, streams } = vectors.hostile_commits;
  test.each(streams)('$id', async ({ object, should }) => {
    await using directory = await makeTemporaryDirectory('memory');
    const path = await unpackRepository(tarball, directory.path);
    await rm(join(path, 'streams'), { recursive: true });
    const target = `../objects/${object.slice(0, 2)}/${object.slice(2)}`;
    const name = commitStreamName(commit);
    await applyOperations(path, [{ op: 'symlink', path: `streams/${name}`, target }]);
    const { findings } = await fsck(path);
    const found = findings.some(({ subject, severity }) => severity === 'error' && subject === `streams/${name}`);
    if (should !== 'may-reject') expect(found).toBe(should === 'reject');
    for (const { severity, kind } of findings) if (severity === 'warning') expect(kind).toBe('missing-image-link');
  });
});
