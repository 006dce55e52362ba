/**
 * Whatever tree ostree can hold goes through everything that we do with trees and comes out the same: commit of a directory and of
 * a dumpfile, export in every mode, pull into another repository, images of every version, their dumps, and those committed again.
 */

import { rm } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import type { ByteString } from '../../src/formats/byte-string.ts';
import { parseDumpfile, serializeDumpfile } from '../../src/formats/dumpfile.ts';
import { MAX_INLINE_BYTES } from '../../src/formats/erofs/limits.ts';
import { type Algorithm, type Checksum, type ObjectId, objectRelativePath } from '../../src/formats/ids.ts';
import type { Directory, Inode, Leaf } from '../../src/formats/tree.ts';
import { type CommitOptions, commitTree } from '../../src/operations/commit.ts';
import { createImage, createImageFromTree, type ErofsVersion } from '../../src/operations/create-image.ts';
import { type ExportMode, exportCommits } from '../../src/operations/export.ts';
import { checkRepository } from '../../src/operations/fsck.ts';
import { collectGarbage } from '../../src/operations/gc.ts';
import { pull } from '../../src/operations/pull.ts';
import { untagRef } from '../../src/operations/refs.ts';
import { openTree } from '../../src/operations/resolve-tree.ts';
import { openSource } from '../../src/sources/open-source.ts';
import { initRepository } from '../../src/store/init.ts';
import { openRepository, type Repository } from '../../src/store/repository.ts';
import { describeWithPeers } from '../support/peers.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { commitTreeArbitrary, type TreeKind } from './arbitrary-commit-tree.ts';
import { writeTree } from './tree-on-disk.ts';

/** A third of them of each kind. */
const ALL_TREES = Number(process.env.CFS_OSTREE_PROPERTY_TREES ?? 75);
const TREES = Math.ceil(ALL_TREES / 3);
const SEED = Number(process.env.CFS_OSTREE_PROPERTY_SEED ?? Math.floor(Math.random() * 2 ** 31));
const TREE_TIMEOUT_MS = 20_000;
const SHRINK_MS = 60_000;

const BRANCH = 'os/tree';
const COMMIT = {
  branch: BRANCH,
  subject: 'A tree',
  timestampSeconds: 1_700_000_000n,
  parent: 'none',
} satisfies CommitOptions;
const VERSIONS = [0, 1, 2] as const;
/** Where each export goes, and by which way. */
const ROUTES: Array<{ mode: ExportMode; algorithm: Algorithm; way: 'http' | 'path' }> = [
  { mode: 'archive', algorithm: 'sha256', way: 'http' },
  { mode: 'archive', algorithm: 'sha512', way: 'path' },
  { mode: 'bare', algorithm: 'sha512', way: 'path' },
  { mode: 'bare-user', algorithm: 'sha256', way: 'path' },
  { mode: 'bare-user-only', algorithm: 'sha512', way: 'path' },
];

let directory: TemporaryDirectory;
let server: StaticServer;
beforeAll(async () => {
  directory = await makeTemporaryDirectory('memory');
  server = await startStaticServer(directory.path);
  console.log(`CFS_OSTREE_PROPERTY_SEED=${SEED}, ${TREES} trees of each kind`);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

const dumpOf = (root: Directory): string => Buffer.concat([...serializeDumpfile(root)]).toString('latin1');

async function makeRepository(name: string, algorithm: Algorithm): Promise<Repository> {
  const path = directory.join(name);
  await initRepository(path, { algorithm, insecure: true });
  return openRepository(path, { lock: 'exclusive', write: true });
}

/** The tree as a dumpfile would have it that names stored objects: what no dumpfile can hold itself is stored. */
async function withStoredContent(repo: Repository, root: Directory): Promise<Directory> {
  const leaves = new Map<Leaf, Leaf>();
  const convert = async (inode: Inode): Promise<Inode> => {
    if (inode.kind === 'directory') {
      const entries: Directory['entries'] = new Map();
      for (const [name, child] of inode.entries) entries.set(name, await convert(child));
      return { ...inode, entries };
    }
    if (inode.kind !== 'file' || inode.content.length <= MAX_INLINE_BYTES) return inode;
    let leaf = leaves.get(inode);
    if (leaf === undefined) {
      const { content, ...rest } = inode;
      const { id } = await repo.objects.store(content);
      const payload = objectRelativePath(id) as string as ByteString;
      leaf = { ...rest, kind: 'external', sizeBytes: content.length, payload, digest: id };
      leaves.set(inode, leaf);
    }
    return leaf;
  };
  return (await convert(root)) as Directory;
}

async function commitDumpfile(repo: Repository, dump: string, options: CommitOptions): Promise<Checksum> {
  const tree = parseDumpfile(Buffer.from(dump, 'latin1'));
  return (await commitTree(repo, { tree }, options)).commit;
}

/** Nothing is lost by a collection, and nothing is wrong after it. */
async function expectClean(repo: Repository): Promise<void> {
  await collectGarbage(repo);
  expect((await checkRepository(repo)).findings).toEqual([]);
}

/** Images of every version that can hold the tree say what the commit says, and that is the same commit again. */
async function checkImages(
  repo: Repository,
  commit: Checksum,
  options: CommitOptions,
): Promise<Array<[ErofsVersion, ObjectId]>> {
  const { root } = await openTree(async () => repo, commit);
  const dump = dumpOf(root);
  const images: Array<[ErofsVersion, ObjectId]> = [];
  for (const erofsVersion of VERSIONS) {
    if (erofsVersion === 2 && dump.includes('t'.repeat(1025))) {
      await expect(createImage(repo, { commit }, { erofsVersion })).rejects.toThrow(FormatError);
      continue;
    }
    const { image } = await createImage(repo, { commit }, { erofsVersion, name: `v${erofsVersion}` });
    expect(await createImageFromTree(root, { repo }, { erofsVersion, dryRun: true })).toMatchObject({ image });
    images.push([erofsVersion, image]);
  }
  await expectClean(repo);
  for (const [erofsVersion, image] of images) {
    const fromImage = dumpOf((await openTree(async () => repo, image)).root);
    expect(fromImage).toBe(dump);
    expect(await commitDumpfile(repo, fromImage, options)).toBe(commit);
    const tree = parseDumpfile(Buffer.from(fromImage, 'latin1'));
    expect((await createImageFromTree(tree, { repo }, { erofsVersion })).image).toBe(image);
  }
  return images;
}

/** Without a name, nothing stays. */
async function expectEmptyWithoutRefs(repo: Repository): Promise<void> {
  for await (const { ref } of repo.images.listRefs()) await untagRef(repo, ref);
  await untagRef(repo, BRANCH);
  await collectGarbage(repo);
  expect((await checkRepository(repo)).findings).toEqual([]);
  for await (const { path } of repo.objects.list()) throw new Error(`${path} is left`);
}

async function roundTrip(tree: Directory, kind: TreeKind, generateComposefsMetadata: boolean): Promise<void> {
  const options = { ...COMMIT, generateComposefsMetadata };
  await using origin = await makeRepository('origin', 'sha256');
  let commit: Checksum | undefined;
  if (kind !== 'dumpfile') {
    await writeTree(tree, directory.join('tree'));
    ({ commit } = await commitTree(origin, { directory: directory.join('tree') }, options));
  }
  const dump = dumpOf(await withStoredContent(origin, tree));
  const again = await commitDumpfile(origin, dump, options);
  expect(again).toBe(commit ?? again);
  commit = again;

  const images = new Map<Algorithm, Array<[ErofsVersion, ObjectId]>>([
    ['sha256', await checkImages(origin, commit, options)],
  ]);
  for (const { mode, algorithm, way } of ROUTES) {
    if (mode === 'bare' && kind === 'dumpfile') continue; // no file system takes such attributes
    const exported = directory.join('exported');
    if (mode === 'bare-user-only' && kind !== 'plain') {
      if (hasOwners(tree))
        await expect(exportCommits(origin, [BRANCH], exported, { mode })).rejects.toThrow(FormatError);
      await rm(exported, { recursive: true, force: true });
      continue;
    }
    await exportCommits(origin, [BRANCH], exported, { mode });
    await using target = await makeRepository('target', algorithm);
    {
      await using source = await openSource(way === 'http' ? `${server.url}/exported` : exported);
      const { results } = await pull(target, source, [BRANCH]);
      expect(results).toMatchObject([{ commit, digest: generateComposefsMetadata ? 'match' : 'absent' }]);
    }
    const found = await checkImages(target, commit, options);
    expect(found).toEqual(images.get(algorithm) ?? found);
    images.set(algorithm, found);
    await expectEmptyWithoutRefs(target);
    for (const name of ['exported', 'target']) await rm(directory.join(name), { recursive: true });
  }
}

const hasOwners = (root: Directory): boolean =>
  [...root.entries.values()].some((inode) => (inode.kind === 'directory' ? hasOwners(inode) : inode.uid !== 0));

function check(kind: TreeKind): Promise<void> {
  let shrinkUntil = Number.POSITIVE_INFINITY;
  const property = fc.asyncProperty(commitTreeArbitrary(kind), fc.boolean(), async (tree, withDigest) => {
    if (performance.now() > shrinkUntil) return; // small enough
    try {
      await roundTrip(tree, kind, withDigest);
    } catch (error) {
      shrinkUntil = Math.min(shrinkUntil, performance.now() + SHRINK_MS);
      throw new Error(`the tree is\n${dumpOf(tree).slice(0, 4000)}`, { cause: error });
    } finally {
      for (const name of ['tree', 'origin', 'exported', 'target'])
        await rm(directory.join(name), { recursive: true, force: true });
    }
  });
  return fc.assert(property, { numRuns: TREES, seed: SEED });
}

test('trees that no file system holds', () => check('dumpfile'), SHRINK_MS + TREES * TREE_TIMEOUT_MS);

describeWithPeers('trees on disk', ['root'], () => {
  test('as root makes them', () => check('disk'), SHRINK_MS + TREES * TREE_TIMEOUT_MS);
  test('as bare-user-only repositories hold them', () => check('plain'), SHRINK_MS + TREES * TREE_TIMEOUT_MS);
});
