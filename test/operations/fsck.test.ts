/** Checks that cfsctl does not make: sizes, our own streams, and commits down to the last file. */

import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ByteString } from '../../src/formats/byte-string.ts';
import { CommitMapBuilder } from '../../src/formats/commit-map-builder.ts';
import { serializeErofs } from '../../src/formats/erofs/writer.ts';
import { type Checksum, idToBytes, type ObjectId, objectRelativePath, toHex } from '../../src/formats/ids.ts';
import { serializeCommit } from '../../src/formats/ostree/commit.ts';
import { serializeDetachedMetadata } from '../../src/formats/ostree/detached-metadata.ts';
import { serializeDirmeta } from '../../src/formats/ostree/dirmeta.ts';
import { serializeDirtree } from '../../src/formats/ostree/dirtree.ts';
import { serializeArchiveHeader, serializeContentHeader } from '../../src/formats/ostree/file-header.ts';
import {
  CONTENT_TYPE_COMMITMETA,
  CONTENT_TYPE_OSTREE_COMMIT,
  CONTENT_TYPE_PARTIAL,
  serializeSplitstream,
} from '../../src/formats/splitstream.ts';
import type { Directory } from '../../src/formats/tree.ts';
import { nodeHashing, nodeZstd } from '../../src/native.ts';
import { checkRepository, type Finding } from '../../src/operations/fsck.ts';
import { initRepository } from '../../src/store/init.ts';
import { commitmetaStreamName, commitStreamName, partialStreamName } from '../../src/store/ostree-refs.ts';
import { publish } from '../../src/store/publish.ts';
import { openRepository, type Repository } from '../../src/store/repository.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

async function withRepository(use: (repo: Repository) => Promise<void>): Promise<void> {
  await using directory = await makeTemporaryDirectory('memory');
  const path = directory.join('repository');
  await initRepository(path, { algorithm: 'sha256', insecure: true });
  await using repo = await openRepository(path, { lock: 'shared' });
  await use(repo);
}

async function storeStream(
  repo: Repository,
  contentType: bigint,
  content: Uint8Array,
  objectRefs: Uint8Array = new Uint8Array(0),
  namedRefs: ReadonlyMap<string, ObjectId> = new Map(),
): Promise<ObjectId> {
  const { algorithm } = repo;
  const parts = { algorithm, contentType, streamSize: content.length, objectRefs, namedRefs, content };
  return (await repo.objects.store(await serializeSplitstream(parts, nodeZstd))).id;
}

const CONTENT = Buffer.alloc(5000, 'content of a file that is kept outside of the stream\n');
const HEADER = { uid: 0, gid: 0, mode: 0o100644, target: '' as ByteString, xattrs: [] };
const FILE = toHex(nodeHashing.sha256(serializeContentHeader(HEADER), CONTENT)) as Checksum;

interface CommitChanges {
  /** What the archive header says. */
  sizeBytes?: number;
  mode?: number;
  /** Of the commit, which makes it another one. */
  title?: string;
  contentType?: bigint;
  withoutDirmeta?: boolean;
}

/** A commit with one external file; what is changed is wrong in the stream, not in the commit. */
async function publishCommit(repo: Repository, nameOf: (commit: Checksum) => string, changes: CommitChanges = {}) {
  const { sizeBytes = CONTENT.length, mode = HEADER.mode, contentType = CONTENT_TYPE_OSTREE_COMMIT } = changes;
  const { id } = await repo.objects.store(CONTENT);
  const dirtree = serializeDirtree({ files: [{ name: 'file' as ByteString, checksum: FILE }], directories: [] });
  const dirmeta = serializeDirmeta({ uid: 0, gid: 0, mode: 0o40755, xattrs: [] });
  const commit = serializeCommit({
    metadata: [],
    subject: changes.title ?? '',
    body: '',
    timestampSeconds: 0n,
    rootDirtree: toHex(nodeHashing.sha256(dirtree)) as Checksum,
    rootDirmeta: toHex(nodeHashing.sha256(dirmeta)) as Checksum,
  });
  const builder = new CommitMapBuilder(repo.algorithm);
  for (const bytes of changes.withoutDirmeta ? [dirtree, commit] : [dirtree, dirmeta, commit])
    builder.add(nodeHashing.sha256(bytes), bytes);
  builder.add(idToBytes(FILE), serializeArchiveHeader({ ...HEADER, mode }, sizeBytes), idToBytes(id));
  const { content, objectRefs } = builder.build(nodeHashing.sha256(commit));
  const name = nameOf(toHex(nodeHashing.sha256(commit)) as Checksum);
  const stream = await storeStream(repo, contentType, content, objectRefs);
  await publish(repo, { streams: [{ name, id: stream }], streamRefs: [{ ref: 'ostree/os%2Fmain', name }] });
  return { subject: `streams/${name}`, commit: toHex(nodeHashing.sha256(commit)) as Checksum };
}

const findingsOf = async (repo: Repository): Promise<Finding[]> => (await checkRepository(repo)).findings;

test('a sound commit has no findings', () =>
  withRepository(async (repo) => {
    await publishCommit(repo, commitStreamName);
    expect(await checkRepository(repo)).toMatchObject({ ok: true, findings: [], objectsChecked: 2 });
  }));

test.each([
  ['size', { sizeBytes: 5001 }, true],
  ['mode', { mode: 0o100755 }, false],
  ['closure', { withoutDirmeta: true }, true],
] as const)('a wrong %s of a file is found', (_, changes, alsoWithoutContents) =>
  withRepository(async (repo) => {
    const { subject } = await publishCommit(repo, commitStreamName, changes);
    const finding = expect.objectContaining({
      kind: 'stream-content-mismatch',
      severity: 'error',
      subject,
      refs: ['os/main'],
    });
    expect(await findingsOf(repo)).toEqual([finding]);
    const { ok } = await checkRepository(repo, { metadataOnly: true });
    expect(ok).toBe(!alsoWithoutContents);
  }),
);

test('objects that no stream needs are read too, each once, also beside ones that were read', () =>
  withRepository(async (repo) => {
    await publishCommit(repo, commitStreamName);
    const { objectsChecked } = await checkRepository(repo);
    const needed = (await Array.fromAsync(repo.objects.list())).map(({ id }) => id as ObjectId);
    const strays: ObjectId[] = [];
    for (let i = 0; strays.length < 300; i++)
      strays.push((await repo.objects.store(Buffer.alloc(300, `stray ${i}`))).id);
    const isBeside = (id: ObjectId): boolean => needed.some((other) => other.slice(0, 2) === id.slice(0, 2));
    const damaged = [strays.find(isBeside) as ObjectId, strays.find((id) => !isBeside(id)) as ObjectId];
    for (const id of damaged) await writeFile(repo.objects.path(id), 'other content');
    const report = await checkRepository(repo);
    expect(report.objectsChecked).toBe(objectsChecked + strays.length);
    expect(report.findings.map(({ kind, subject }) => `${kind} ${subject}`).toSorted()).toEqual(
      damaged.map((id) => `object-digest-mismatch objects/${objectRelativePath(id)}`).toSorted(),
    );
  }));

test('what was proved for one commit is not believed of another one with another header', () =>
  withRepository(async (repo) => {
    await publishCommit(repo, commitStreamName);
    const subjects: string[] = [];
    for (const title of ['1', '2', '3', '4', '5', '6']) // some are looked at before the sound one, some after it
      subjects.push((await publishCommit(repo, commitStreamName, { title, mode: 0o104755 })).subject);
    const findings = await findingsOf(repo);
    expect(findings.every(({ kind }) => kind === 'stream-content-mismatch')).toBe(true);
    expect(findings.map(({ subject }) => subject).sort()).toEqual(subjects.sort());
  }));

test('a partial commit may lack objects, but not lie about those it has', () =>
  withRepository(async (repo) => {
    const partial = { contentType: CONTENT_TYPE_PARTIAL };
    await publishCommit(repo, partialStreamName, { ...partial, withoutDirmeta: true });
    expect(await findingsOf(repo)).toEqual([]);
    const { subject } = await publishCommit(repo, partialStreamName, { ...partial, sizeBytes: 1000 });
    expect(await findingsOf(repo)).toEqual([expect.objectContaining({ kind: 'stream-content-mismatch', subject })]);
  }));

test('a partial commit under the name of a complete one is found', () =>
  withRepository(async (repo) => {
    const { subject } = await publishCommit(repo, commitStreamName, { contentType: CONTENT_TYPE_PARTIAL });
    expect(await findingsOf(repo)).toEqual([expect.objectContaining({ kind: 'stream-content-mismatch', subject })]);
  }));

test('detached metadata is checked for its form', () =>
  withRepository(async (repo) => {
    const commit = 'ab'.repeat(32) as Checksum;
    const name = commitmetaStreamName(commit);
    const sound = await storeStream(repo, CONTENT_TYPE_COMMITMETA, serializeDetachedMetadata([]));
    await publish(repo, { streams: [{ name, id: sound }] });
    expect(await findingsOf(repo)).toEqual([]);
    const damaged = await storeStream(repo, CONTENT_TYPE_COMMITMETA, Buffer.from('no variant'));
    await publish(repo, { streams: [{ name, id: damaged }] });
    expect(await findingsOf(repo)).toEqual([
      expect.objectContaining({ kind: 'stream-read-failed', subject: `streams/${name}` }),
    ]);
  }));

test('an image whose file has another size than its object is found', () =>
  withRepository(async (repo) => {
    const { id } = await repo.objects.store(CONTENT);
    const metadata = { permissions: 0o755, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0, xattrs: [] };
    const payload = objectRelativePath(id) as string as ByteString;
    const imageOf = (sizeBytes: number): Uint8Array => {
      const file = { kind: 'external', ...metadata, sizeBytes, payload, digest: id } as const;
      const root: Directory = { kind: 'directory', ...metadata, entries: new Map([['a file' as ByteString, file]]) };
      return serializeErofs(root, { version: 1, algorithm: repo.algorithm });
    };
    const [sound, wrong] = [await repo.objects.store(imageOf(5000)), await repo.objects.store(imageOf(4999))];
    await publish(repo, { images: [sound.id, wrong.id], imageRefs: [{ ref: 'deep/name', name: wrong.id }] });
    expect(await findingsOf(repo)).toEqual([
      {
        severity: 'error',
        kind: 'image-size-mismatch',
        subject: `images/${wrong.id}`,
        detail: expect.stringContaining('/a file'),
        refs: ['images/refs/deep/name'],
      },
    ]);
  }));

test('leftovers and strangers are warnings', () =>
  withRepository(async (repo) => {
    await publishCommit(repo, commitStreamName);
    await writeFile(join(repo.objects.root, '.tmp-object-0123456789ab'), '');
    await symlink('x', join(repo.path, '.symlink-0123456789ab'));
    await writeFile(join(repo.path, '.tmp-meta-0123456789ab'), '');
    await writeFile(join(repo.path, 'notes.txt'), '');
    const { ok, findings } = await checkRepository(repo);
    expect(ok).toBe(true);
    expect(findings.map(({ severity, kind, subject }) => [severity, kind, subject])).toEqual([
      ['warning', 'leftover-temporary', '.symlink-0123456789ab'],
      ['warning', 'leftover-temporary', '.tmp-meta-0123456789ab'],
      ['warning', 'unexpected-name', 'notes.txt'],
      ['warning', 'leftover-temporary', 'objects/.tmp-object-0123456789ab'],
    ]);
  }));

test('very many findings of one kind are counted, not listed', () =>
  withRepository(async (repo) => {
    const digests = new Uint8Array(32 * 2500);
    const view = new DataView(digests.buffer);
    for (let i = 0; i < 2500; i++) view.setUint32(32 * i, i + 1);
    const id = await storeStream(repo, 0n, new Uint8Array(0), digests);
    await publish(repo, { streams: [{ name: 's', id }] });
    const findings = await findingsOf(repo);
    expect(findings).toHaveLength(1000);
    expect(findings.at(-1)?.detail).toContain('1501 more');
  }));

test('ends when it is told to', () =>
  withRepository(async (repo) => {
    await publishCommit(repo, commitStreamName);
    await expect(checkRepository(repo, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
  }));
