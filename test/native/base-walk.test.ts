/** The walk through trees that a base knows: the addon's against the one in JavaScript, which must come to the same. */

import { expect, test } from 'vitest';
import { CfsError } from '../../src/errors.ts';
import { byteStringFromBytes } from '../../src/formats/byte-string.ts';
import { CommitMap } from '../../src/formats/commit-map.ts';
import { CommitMapBuilder } from '../../src/formats/commit-map-builder.ts';
import { type Checksum, checksumFromBytes, idToBytes, toHex } from '../../src/formats/ids.ts';
import type { Commit } from '../../src/formats/ostree/commit.ts';
import { serializeDirmeta } from '../../src/formats/ostree/dirmeta.ts';
import {
  type DirtreeDirectory,
  type DirtreeFile,
  parseDirtree,
  serializeDirtree,
} from '../../src/formats/ostree/dirtree.ts';
import { native, nodeHashing } from '../../src/native.ts';
import { CommitObjects, type StoredCommit } from '../../src/operations/commit-reader.ts';
import type { KnownObjects } from '../../src/operations/known-objects.ts';
import { TreeWalk } from '../../src/operations/tree-walk.ts';
import { concat, makeContent, makeObject, makeRandom, makeSymlink, xattr } from './archive-object.ts';

const ALGORITHM = 'sha512';
type Random = (count: number) => number;

const randomOf = (seed: number): Random => {
  const random = makeRandom(seed);
  return (count) => Math.floor(random() * count);
};

interface TestObject {
  data: Uint8Array;
  external?: Uint8Array;
}

/** Objects of trees that share what is equal in them. */
class TestTrees {
  readonly objects = new Map<Checksum, TestObject>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  file(): Checksum {
    const random = this.#random;
    const content = makeContent(random(3) === 0 ? 0 : 1 + random(100), random(40));
    const object =
      random(4) === 0
        ? makeSymlink(`to/${random(40)}`)
        : makeObject(content, random(3) === 0 ? { xattrs: [xattr('user.a', `${random(3)}`)] } : { uid: random(2) });
    const isExternal = object.content.length > 50;
    const data = isExternal ? object.archiveHeader : concat(object.archiveHeader, object.content);
    const external = isExternal ? nodeHashing.fsVerity(ALGORITHM, object.content) : undefined;
    return this.#put(checksumFromBytes(object.checksum), { data, external });
  }

  /** @returns checksums of its dirtree and dirmeta */
  directory(depth: number): Pick<DirtreeDirectory, 'dirtree' | 'dirmeta'> {
    const names = new Set<string>();
    for (let i = this.#random(8); i > 0; i--) names.add(`${this.#random(3) === 0 ? 'ä' : 'n'}${this.#random(50)}`);
    const files: DirtreeFile[] = [];
    const directories: DirtreeDirectory[] = [];
    for (const text of names) {
      const name = byteStringFromBytes(new TextEncoder().encode(text));
      if (depth > 0 && this.#random(2) === 0) directories.push({ name, ...this.directory(depth - 1) });
      else files.push({ name, checksum: this.file() });
    }
    return { dirtree: this.#metadata(serializeDirtree({ files, directories })), dirmeta: this.dirmeta() };
  }

  dirmeta(): Checksum {
    return this.#metadata(serializeDirmeta({ uid: this.#random(2), gid: 0, mode: 0o40755, xattrs: [] }));
  }

  #metadata(data: Uint8Array): Checksum {
    return this.#put(checksumFromBytes(nodeHashing.sha256(data)), { data });
  }

  #put(checksum: Checksum, object: TestObject): Checksum {
    this.objects.set(checksum, object);
    return checksum;
  }
}

/** What a base has, some of it damaged or missing. */
function makeBase(random: Random, objects: ReadonlyMap<Checksum, TestObject>): StoredCommit {
  const builder = new CommitMapBuilder(ALGORITHM);
  const commit = new Uint8Array(32).fill(7);
  builder.add(commit, new Uint8Array(9));
  for (const [checksum, { data, external }] of objects) {
    if (random(40) === 0) continue;
    const stored = data.slice();
    if (random(40) === 0 && stored.length > 0) stored[random(stored.length)] ^= 1 << random(8);
    builder.add(idToBytes(checksum), stored, random(200) === 0 ? new Uint8Array(64) : external);
  }
  const { content, objectRefs } = builder.build(commit);
  return new CommitObjects(CommitMap.parse(content, objectRefs, ALGORITHM), {}) as StoredCommit;
}

/** All that a walk comes to, with what is missing fetched in the order in which it is asked for. */
function walk(addon: typeof native, base: StoredCommit, root: Commit, objects: ReadonlyMap<Checksum, TestObject>) {
  const builder = new CommitMapBuilder(ALGORITHM, base.map);
  const known = { main: base, metadata: () => undefined, fileInBases: () => undefined, claim: () => undefined };
  let reusedBytes = 0;
  let reusedObjects = 0;
  const walk = new TreeWalk({
    known: known as unknown as KnownObjects,
    builder,
    where: {},
    addon,
    onReused: (bytes, count) => {
      reusedBytes += bytes;
      reusedObjects += count;
    },
    onLooked: () => {},
  });
  try {
    walk.start(root);
    const fetched = new Set<Checksum>();
    for (let next = 0; next < walk.missingMetadata.length; next++) {
      const checksum = walk.checksumAt(walk.missingMetadata[next].number);
      fetched.add(checksum);
      walk.add(walk.missingMetadata[next], (objects.get(checksum) as TestObject).data);
    }
    for (const number of walk.missingFiles) {
      const checksum = walk.checksumAt(number);
      fetched.add(checksum);
      const { data, external } = objects.get(checksum) as TestObject;
      builder.add(walk.checksumBytesAt(number), data, external);
    }
    const shape = walk.measure();
    builder.add(new Uint8Array(32), new Uint8Array(1));
    const { content, objectRefs } = builder.build(new Uint8Array(32));
    const map = toHex(nodeHashing.sha256(content, objectRefs));
    return { shape, reused: walk.reused, reusedBytes, reusedObjects, fetched: [...fetched].sort(), map };
  } catch (error) {
    if (error instanceof CfsError) return { error: error.code };
    throw error;
  }
}

test('walks of trees that a base knows in part, and not always rightly', () => {
  const outcomes = { whole: 0, refused: 0, reused: 0 };
  for (let seed = 1; seed <= 400; seed++) {
    const random = randomOf(seed);
    const trees = new TestTrees(random);
    trees.directory(3);
    const first = trees.directory(4);
    const base = new Map(trees.objects);
    const second = random(2) === 0 ? first : trees.directory(4);
    const files = [{ name: byteStringFromBytes(Uint8Array.of(0x66)), checksum: trees.file() }];
    // seldom one object as two kinds
    if (random(20) === 0) files[0].checksum = random(2) === 0 ? first.dirtree : first.dirmeta;
    const directories = [first, second].map((both, i) => ({
      name: byteStringFromBytes(Uint8Array.of(0x61 + i)),
      ...both,
    }));
    const rootData = serializeDirtree({ files, directories });
    const rootDirtree = checksumFromBytes(nodeHashing.sha256(rootData));
    trees.objects.set(rootDirtree, { data: rootData });
    if (random(2) === 0) base.set(rootDirtree, { data: rootData });
    const root = { rootDirtree, rootDirmeta: trees.dirmeta() } as Commit;
    const damage = random(1000);
    const expected = walk(undefined, makeBase(randomOf(damage), base), root, trees.objects);
    expect(walk(native, makeBase(randomOf(damage), base), root, trees.objects), `seed ${seed}`).toEqual(expected);
    outcomes[expected.error === undefined ? 'whole' : 'refused']++;
    outcomes.reused += expected.reused?.files ?? 0;
  }
  expect(outcomes.whole).toBeGreaterThan(200);
  expect(outcomes.refused).toBeGreaterThan(5);
  expect(outcomes.reused).toBeGreaterThan(1000);
});

test('mutated dirtrees: what the addon takes is what src/formats takes', () => {
  const random = randomOf(20261122);
  const trees = new TestTrees(random);
  while (trees.objects.size < 400) trees.directory(4);
  const isTree = ({ data }: TestObject) => judge(data) !== undefined && data.length > 200;
  const seeds = [...trees.objects.values()].filter(isTree).map(({ data }) => data);
  expect(seeds.length).toBeGreaterThan(10);
  const map = makeBase(random, new Map()).map;
  const marks = () => new Uint8Array(map.count);
  const INTERESTING = [0, 1, 2, 0x20, 0x2e, 0x2f, 0x40, 0x41, 0x7f, 0x80, 0xc3, 0xe2, 0xff];
  let good = 0;
  for (let round = 0; round < 30_000; round++) {
    let bytes: Uint8Array = seeds[random(seeds.length)].slice();
    for (let i = random(3); i >= 0; i--) {
      const at = random(2) === 0 ? random(bytes.length) : bytes.length - 1 - random(Math.min(40, bytes.length));
      if (random(6) === 0) bytes = concat(bytes.subarray(0, at), bytes.subarray(at + random(3)));
      else bytes[at] = random(2) === 0 ? INTERESTING[random(INTERESTING.length)] : random(256);
      if (bytes.length === 0) break;
    }
    const expected = judge(bytes);
    const walked = native?.walkBase(map.content, marks(), marks(), marks(), bytes, 0);
    expect(walked?.directories.length !== 0, `round ${round}`).toBe(expected !== undefined);
    if (expected === undefined || walked === undefined) continue;
    good++;
    const at = (offset: number): Checksum => checksumFromBytes(bytes, offset);
    expect([...walked.unknownFiles].map(at)).toEqual(expected.files.map(({ checksum }) => checksum));
    expect([...walked.unknownDirectories].map(at)).toEqual(expected.directories.map(({ dirtree }) => dirtree));
  }
  expect(good).toBeGreaterThan(1000);
  expect(good).toBeLessThan(29_000);
});

function judge(bytes: Uint8Array) {
  try {
    return parseDirtree(bytes);
  } catch (error) {
    if (error instanceof CfsError) return undefined;
    throw error;
  }
}
