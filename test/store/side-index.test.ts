import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { CommitMap } from '../../src/formats/commit-map.ts';
import { CommitMapBuilder } from '../../src/formats/commit-map-builder.ts';
import { type Checksum, toHex } from '../../src/formats/ids.ts';
import { initRepository } from '../../src/store/init.ts';
import { commitStreamName } from '../../src/store/ostree-refs.ts';
import { openRepository, type Repository } from '../../src/store/repository.ts';
import { appendToSideIndex, openSideIndex } from '../../src/store/side-index.ts';
import { SIDE_INDEX_DIRECTORY } from '../../src/store/side-index-files.ts';
import { readGaps } from '../../src/store/side-index-gaps.ts';
import { pruneSideIndex } from '../../src/store/side-index-prune.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const directory = await makeTemporaryDirectory('memory');
afterAll(() => directory[Symbol.asyncDispose]());

let repositoryPath = '';
let warnings: string[] = [];
const warn = (message: string): number => warnings.push(message);
const indexDirectory = (): string => join(repositoryPath, SIDE_INDEX_DIRECTORY);
const open = () => openSideIndex(repositoryPath, 'sha512', warn);
const segments = async (): Promise<string[]> => (await readdir(indexDirectory())).sort();

let made = 0;
beforeEach(async () => {
  repositoryPath = directory.join(`repo-${made++}`);
  await initRepository(repositoryPath, { algorithm: 'sha512', insecure: true });
  warnings = [];
});

async function withRepository<T>(work: (repo: Repository) => Promise<T>): Promise<T> {
  await using repo = await openRepository(repositoryPath, { lock: 'shared' });
  return await work(repo);
}

interface MadeCommit {
  commit: Checksum;
  map: CommitMap;
  files: Array<{ checksum: Uint8Array; object: Uint8Array; sizeBytes: number }>;
}

const archiveHeader = (sizeBytes: number): Uint8Array => {
  const header = new Uint8Array(40);
  new DataView(header.buffer).setBigUint64(8, BigInt(sizeBytes));
  return header;
};

/** A commit with so many external files of its own, those of other commits besides; its stream is a dangling link. */
async function makeCommit(newFiles: number, ...others: MadeCommit[]): Promise<MadeCommit> {
  const builder = new CommitMapBuilder('sha512');
  const commit = randomBytes(32);
  builder.add(commit, new Uint8Array(50));
  const files = others.flatMap((other) => other.files);
  for (let i = 0; i < newFiles; i++)
    files.push({ checksum: randomBytes(32), object: new Uint8Array(randomBytes(64)), sizeBytes: 2 ** 33 + i });
  for (const { checksum, object, sizeBytes } of files) builder.add(checksum, archiveHeader(sizeBytes), object);
  const name = commitStreamName(toHex(commit) as Checksum);
  await mkdir(join(repositoryPath, 'streams'), { recursive: true });
  await symlink(`../objects/00/${'0'.repeat(126)}`, join(repositoryPath, 'streams', name));
  const { content, objectRefs } = builder.build(commit);
  return { commit: toHex(commit) as Checksum, map: CommitMap.parse(content, objectRefs, 'sha512'), files };
}

const append = ({ commit, map }: MadeCommit, digests = new Map<Checksum, Uint8Array>()): Promise<void> =>
  withRepository((repo) => appendToSideIndex(repo, { commit, map, sha256Digests: digests, warn }));

/** Appends the first one. @returns its segment too */
async function appendCommit(newFiles: number): Promise<{ made: MadeCommit; name: string; bytes: Buffer }> {
  const made = await makeCommit(newFiles);
  await append(made);
  const [name] = await segments();
  return { made, name, bytes: await readFile(join(indexDirectory(), name)) };
}

const removeStream = ({ commit }: MadeCommit): Promise<void> =>
  unlink(join(repositoryPath, 'streams', commitStreamName(commit)));

test('an absent index knows nothing and is no warning', async () => {
  const index = await open();
  expect(index.lookup(new Uint8Array(32))).toBeUndefined();
  expect([index.count, warnings]).toEqual([0, []]);
});

test('objects of a commit are found: id, size, commit; what the stream keeps itself without id', async () => {
  const made = await makeCommit(20);
  await append(made);
  const index = await open();
  for (const { checksum, object, sizeBytes } of made.files)
    expect(index.lookup(checksum)).toEqual({ commit: made.commit, object, sizeBytes, sha256Digest: undefined });
  expect(index.lookup(Buffer.from(made.commit, 'hex'))).toEqual({
    commit: made.commit,
    object: undefined,
    sizeBytes: 50,
    sha256Digest: undefined,
  });
  expect(index.lookup(randomBytes(32))).toBeUndefined();
  expect(await segments()).toHaveLength(1);
});

test('known objects are not written again; digests that are new are', async () => {
  const first = await makeCommit(30);
  await append(first);
  const before = await segments();
  await append(first);
  expect(await segments()).toEqual(before);
  const digest = new Uint8Array(32).fill(7);
  const [file] = first.files;
  await append(first, new Map([[toHex(file.checksum) as Checksum, digest]]));
  const index = await open();
  expect(index.lookup(file.checksum)).toMatchObject({ commit: first.commit, sha256Digest: digest });
  await append(first, new Map([[toHex(file.checksum) as Checksum, digest]]));
  expect((await open()).count).toBe(index.count);
});

test('segments stay few, each much larger than the ones before it, and nothing is lost', async () => {
  const commits: MadeCommit[] = [];
  let bytesWritten = 0;
  for (let i = 0; i < 64; i++) {
    commits.push(await makeCommit(20, ...commits.slice(-1)));
    const before = new Set(await segments().catch(() => []));
    await append(commits[i]);
    for (const name of await segments())
      if (!before.has(name)) bytesWritten += (await readFile(join(indexDirectory(), name))).length;
  }
  const index = await open();
  expect(index.segmentCount).toBeLessThanOrEqual(7);
  for (const { files } of commits)
    for (const { checksum, object } of files) expect(index.lookup(checksum)?.object).toEqual(object);
  const total = index.count * 150;
  expect(bytesWritten).toBeLessThan(10 * total); // each entry is rewritten a few times, not 64
  expect(warnings).toEqual([]);
});

describe('commits that have gone', () => {
  test('their entries are not given, and the objects are recorded again with the next commit that has them', async () => {
    const first = await makeCommit(10);
    await append(first);
    await removeStream(first);
    const [file] = first.files;
    expect((await open()).lookup(file.checksum)).toBeUndefined();
    const second = await makeCommit(5, first);
    await append(second);
    expect((await open()).lookup(file.checksum)?.commit).toBe(second.commit);
    expect((await open()).lookup(Buffer.from(first.commit, 'hex'))).toBeUndefined();
  });

  test('pruning removes them from the disk, with what crashed writers left', async () => {
    const [first, second] = [await makeCommit(100), await makeCommit(10)];
    await append(first);
    await append(second);
    await removeStream(first);
    await writeFile(join(indexDirectory(), '.tmp-segment-abcdefghijkl'), 'half');
    await withRepository((repo) => pruneSideIndex(repo, warn));
    const index = await open();
    expect(index.count).toBe(11);
    expect(index.lookup(second.files[0].checksum)?.commit).toBe(second.commit);
    expect(await readGaps(repositoryPath)).toEqual(new Set([second.commit]));
    expect((await segments()).every((name) => name.endsWith('.segment') || name === 'gaps')).toBe(true);
    await removeStream(second);
    await withRepository((repo) => pruneSideIndex(repo, warn));
    expect(await segments()).toEqual([]);
    expect(warnings).toEqual([]);
  });

  test('a segment of which nothing stays goes without being read', async () => {
    const { made, name, bytes } = await appendCommit(100);
    bytes[bytes.length >> 1] ^= 1; // who reads it warns
    await writeFile(join(indexDirectory(), name), bytes);
    await removeStream(made);
    await withRepository((repo) => pruneSideIndex(repo, warn));
    expect(await segments()).toEqual([]);
    expect(warnings).toEqual([]);
  });

  test('pruning removes damaged segments, and leaves newer ones and what is no file', async () => {
    const { name, bytes } = await appendCommit(100);
    const [newer, strange] = ['ab', 'cd'].map((byte) => `${byte.repeat(16)}.segment`);
    await writeFile(join(indexDirectory(), newer), bytes.with(8, 2));
    await symlink('/etc/passwd', join(indexDirectory(), strange));
    for (const at of [0, 12, 24, 1060, bytes.length >> 1])
      await writeFile(
        join(indexDirectory(), `${at.toString(16).padStart(32, '0')}.segment`),
        bytes.with(at, bytes[at] ^ 1),
      );
    await withRepository((repo) => pruneSideIndex(repo, warn));
    expect((await segments()).sort()).toEqual([name, newer, strange, 'gaps'].sort());
  });

  test('dropCommits takes those it is given', async () => {
    const [first, second] = [await makeCommit(3), await makeCommit(4)];
    await append(first);
    await append(second);
    const index = await open();
    await index.dropCommits(new Set([first.commit]));
    for (const look of [index, await open()]) {
      expect(look.count).toBe(5);
      expect(look.lookup(first.files[0].checksum)).toBeUndefined();
      expect(look.lookup(second.files[0].checksum)?.commit).toBe(second.commit);
    }
  });

  test('pruning what is not there is nothing', async () => {
    await withRepository((repo) => pruneSideIndex(repo, warn));
    expect(warnings).toEqual([]);
  });
});

describe('damage', () => {
  test('a damaged segment is a warning, the others are used, and the next write removes it', async () => {
    const { made: first, name, bytes } = await appendCommit(1000);
    const second = await makeCommit(5);
    await append(second);
    bytes[bytes.length >> 1] ^= 1;
    await writeFile(join(indexDirectory(), name), bytes);
    const index = await open();
    expect(warnings).toEqual([expect.stringContaining(`${SIDE_INDEX_DIRECTORY}/${name}`)]);
    expect(index.lookup(first.files[0].checksum)).toBeUndefined();
    expect(index.lookup(second.files[0].checksum)?.commit).toBe(second.commit);
    await append(first);
    expect(await segments()).toHaveLength(1);
    warnings = [];
    expect((await open()).lookup(first.files[0].checksum)?.commit).toBe(first.commit);
    expect(warnings).toEqual([]);
  });

  test('a segment of a newer version is left alone', async () => {
    const { bytes } = await appendCommit(3);
    bytes[8] = 2;
    const newer = `${'ab'.repeat(16)}.segment`;
    await writeFile(join(indexDirectory(), newer), bytes);
    await append(await makeCommit(3));
    expect(await segments()).toContain(newer);
    expect(warnings.length).toBeGreaterThan(0);
  });

  test.each([
    ['empty file', (path: string) => writeFile(path, '')],
    ['other file', (path: string) => writeFile(path, 'no segment')],
    ['file of a terabyte', (path: string) => writeFile(path, '').then(() => truncate(path, 2 ** 40))],
    ['directory', (path: string) => mkdir(path)],
    ['symlink', (path: string) => symlink('/etc/passwd', path)],
    ['fifo', (path: string) => runChecked('mkfifo', [path])],
  ])('%s in its place', async (_, make) => {
    await append(await makeCommit(3));
    await make(join(indexDirectory(), `${'cd'.repeat(16)}.segment`));
    const index = await open();
    expect(index.count).toBe(4);
    expect(warnings).toHaveLength(1);
    await append(await makeCommit(2));
    expect((await open()).count).toBe(7);
    expect(warnings.filter((warning) => warning.includes('not brought up to date'))).toEqual([]);
  });

  test('an index that is no directory is not followed', async () => {
    const outside = directory.join(`outside-${made}`);
    await mkdir(outside);
    await mkdir(join(repositoryPath, 'cfs-ostree'), { recursive: true });
    await symlink(outside, indexDirectory());
    await append(await makeCommit(3));
    expect(await readdir(outside)).toEqual([]);
    expect(warnings.length).toBeGreaterThan(0);
    expect((await open()).count).toBe(0);
  });

  test('a repository that cannot be written is a warning', async () => {
    await rm(join(repositoryPath, 'cfs-ostree'), { recursive: true, force: true });
    await writeFile(join(repositoryPath, 'cfs-ostree'), 'a file');
    const made = await makeCommit(1);
    const fake = {
      path: repositoryPath,
      algorithm: 'sha512',
      requireWritable: async () => {},
    } as unknown as Repository;
    await appendToSideIndex(fake, { commit: made.commit, map: made.map, sha256Digests: new Map(), warn });
    expect(warnings.at(-1)).toContain('the side index was not brought up to date');
    expect((await open()).count).toBe(0);
  });
});

test('writers at the same time lose nothing', async () => {
  const commits: MadeCommit[] = [];
  for (let i = 0; i < 12; i++) commits.push(await makeCommit(8));
  await Promise.all(commits.map((made) => append(made)));
  const index = await open();
  for (const { files } of commits)
    for (const { checksum, object } of files) expect(index.lookup(checksum)?.object).toEqual(object);
  expect((await segments()).every((name) => name.endsWith('.segment'))).toBe(true);
});

test('a segment that is renamed into another while we look is found again', async () => {
  const made = await makeCommit(3);
  await append(made);
  const index = await open();
  const [name] = await segments();
  await rename(join(indexDirectory(), name), join(indexDirectory(), `${'ef'.repeat(16)}.segment`));
  await index.load();
  expect(index.lookup(made.files[0].checksum)?.commit).toBe(made.commit);
});
