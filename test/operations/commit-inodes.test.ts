/** The image of a commit, made without a tree in between, is the one that its tree gives. */

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { LimitError } from '../../src/errors.ts';
import { type ByteString, byteStringFromText } from '../../src/formats/byte-string.ts';
import { CommitMap } from '../../src/formats/commit-map.ts';
import { CommitMapBuilder } from '../../src/formats/commit-map-builder.ts';
import { serializeErofs, serializeInodes } from '../../src/formats/erofs/writer.ts';
import { type Checksum, digestBytes, idToBytes, toHex } from '../../src/formats/ids.ts';
import { serializeCommit } from '../../src/formats/ostree/commit.ts';
import { serializeDirmeta } from '../../src/formats/ostree/dirmeta.ts';
import { type DirtreeDirectory, type DirtreeFile, serializeDirtree } from '../../src/formats/ostree/dirtree.ts';
import {
  type FileHeader,
  serializeArchiveHeader,
  serializeContentHeader,
} from '../../src/formats/ostree/file-header.ts';
import type { Xattr } from '../../src/formats/tree.ts';
import { nodeHashing } from '../../src/native.ts';
import { inodesOfCommit } from '../../src/operations/commit-inodes.ts';
import { CommitObjects } from '../../src/operations/commit-reader.ts';
import { treeOfCommit } from '../../src/operations/commit-tree.ts';
import { measureTree } from '../../src/operations/tree-shape.ts';

const ALGORITHMS = ['sha256', 'sha512'] as const;
const VERSIONS = [0, 1, 2] as const;
const NO_TARGET = '' as ByteString;

class CommitMaker {
  readonly builder: CommitMapBuilder;
  readonly #algorithm: 'sha256' | 'sha512';

  constructor(algorithm: 'sha256' | 'sha512') {
    this.#algorithm = algorithm;
    this.builder = new CommitMapBuilder(algorithm);
  }

  metadata(bytes: Uint8Array): Checksum {
    const checksum = nodeHashing.sha256(bytes);
    this.builder.add(checksum, bytes);
    return toHex(checksum) as Checksum;
  }

  file(header: Partial<FileHeader>, content: Uint8Array): Checksum {
    const full = { uid: 0, gid: 0, mode: 0o100644, target: NO_TARGET, xattrs: [], ...header };
    const checksum = nodeHashing.sha256(serializeContentHeader(full), content);
    this.builder.add(checksum, Buffer.concat([serializeArchiveHeader(full, content.length), content]));
    return toHex(checksum) as Checksum;
  }

  /** Its content is nowhere, and its checksum anything. */
  external(sizeBytes: number, object: Uint8Array, header: Partial<FileHeader> = {}): Checksum {
    const full = { uid: 0, gid: 0, mode: 0o100644, target: NO_TARGET, xattrs: [], ...header };
    const checksum = randomBytes(32);
    this.builder.add(checksum, serializeArchiveHeader(full, sizeBytes), object);
    return toHex(checksum) as Checksum;
  }

  digest = (): Uint8Array => randomBytes(digestBytes(this.#algorithm));

  commit(rootDirtree: Checksum, rootDirmeta: Checksum): CommitObjects {
    const fields = { metadata: [], subject: '', body: '', timestampSeconds: 0n, rootDirtree, rootDirmeta };
    const checksum = this.metadata(serializeCommit(fields));
    const { content, objectRefs } = this.builder.build(idToBytes(checksum));
    return new CommitObjects(CommitMap.parse(content, objectRefs, this.#algorithm), {});
  }
}

const named = <T extends object>(name: string, rest: T): T & { name: ByteString } => ({
  name: byteStringFromText(name),
  ...rest,
});

const label = (value: string): Xattr[] => [
  { name: 'security.selinux' as ByteString, value: Buffer.from(value) },
  { name: 'trusted.overlay.opaque' as ByteString, value: Buffer.from('y') },
  { name: 'user.a' as ByteString, value: Buffer.from('1') },
];

/** Names on both sides of `.`, `..` and the stubs; content of every kind; things that are shared, and things that nearly are. */
function makeCommit(algorithm: 'sha256' | 'sha512'): CommitObjects {
  const maker = new CommitMaker(algorithm);
  const plain = maker.metadata(serializeDirmeta({ uid: 0, gid: 0, mode: 0o40755, xattrs: [] }));
  const labelled = maker.metadata(serializeDirmeta({ uid: 7, gid: 70_000, mode: 0o41777, xattrs: label('dir') }));
  const shared = maker.digest();
  const kinds = [
    maker.file({}, Buffer.from('kept in the stream')),
    maker.file({ uid: 5 }, Buffer.from('kept in the stream')),
    maker.file({ xattrs: label('file') }, Buffer.alloc(0)),
    maker.file({ mode: 0o120777, target: byteStringFromText('../ziel/ä') }, Buffer.alloc(0)),
    maker.external(5000, shared),
    maker.external(5000, shared, { uid: 1000 }), // the same content under another owner
    maker.external(2 ** 33, maker.digest(), { xattrs: label('file') }),
    maker.external(2 ** 45, maker.digest(), { gid: 2 ** 32 - 1 }),
  ];
  const names = ['!', '-', '.a', '..a', '.-', '00', '7f', 'a', 'fe', 'fff', 'g', 'ä', '日本', 'z'.repeat(255)];
  const files: DirtreeFile[] = names.map((name, i) => named(name, { checksum: kinds[i % kinds.length] }));
  const leafDirectory = maker.metadata(serializeDirtree({ files, directories: [] }));
  const many = Array.from({ length: 700 }, (_, i) => {
    const checksum = maker.external(1 + i * 40, maker.digest(), { mode: 0o100000 | (i & 0o777) });
    return named(`file-number-${i}`, { checksum });
  });
  const wide = maker.metadata(serializeDirtree({ files: many, directories: [] }));
  const directories: DirtreeDirectory[] = ['+', '01', 'ff', 'sub', 'wide'].map((name, i) =>
    named(name, { dirtree: i === 4 ? wide : leafDirectory, dirmeta: i % 2 === 0 ? plain : labelled }),
  );
  const middle = maker.metadata(serializeDirtree({ files: files.slice(0, 3), directories }));
  const root = maker.metadata(
    serializeDirtree({ files, directories: [...directories, named('zz', { dirtree: middle, dirmeta: labelled })] }),
  );
  return maker.commit(root, labelled);
}

for (const algorithm of ALGORITHMS)
  for (const version of VERSIONS)
    test(`version ${version}, ${algorithm}`, () => {
      const objects = makeCommit(algorithm);
      const options = { version, algorithm };
      const direct = serializeInodes(inodesOfCommit(objects, measureTree(objects), options), version);
      expect(Buffer.compare(direct, serializeErofs(treeOfCommit(objects), options))).toBe(0);
    });

test('two digests that the stream lists twice are one', () => {
  const objects = makeCommit('sha256');
  const { map } = objects;
  const doubled = Buffer.concat([map.objectRefs, map.objectRefs]);
  const content = map.content.slice();
  const view = new DataView(content.buffer);
  const count = map.objectRefs.length / 32;
  const last = [...Array(map.count).keys()].findLast(
    (i) => map.objectNumberAt(i) === map.objectNumberAt(firstShared(map)),
  );
  const refAt = 8 + 1024 + 32 * map.count + 12 * (last as number) + 8;
  view.setUint32(refAt, view.getUint32(refAt, true) + count, true);
  const again = new CommitObjects(CommitMap.parse(content, doubled, 'sha256'), {});
  const imageOf = (of: CommitObjects): Uint8Array =>
    serializeInodes(inodesOfCommit(of, measureTree(of), { version: 1, algorithm: 'sha256' }), 1);
  expect(Buffer.compare(imageOf(again), imageOf(objects))).toBe(0);
});

/** An entry whose object another one has too. */
function firstShared(map: CommitMap): number {
  const seen = new Map<number, number>();
  for (let i = 0; i < map.count; i++) {
    const number = map.objectNumberAt(i);
    if (map.externalBytesAt(i) === undefined) continue;
    const known = seen.get(number);
    if (known !== undefined) return known;
    seen.set(number, i);
  }
  throw new Error('nothing is shared');
}

test.each([
  {
    what: 'a target',
    header: { mode: 0o120777, target: 't'.repeat(1025) as ByteString },
    bytes: 0,
    version: 2 as const,
  },
  { what: 'content', header: {}, bytes: 5001, version: 1 as const },
  { what: 'content', header: {}, bytes: 513, version: 2 as const },
])('$what too long for version $version is refused, and the path told', ({ header, bytes, version }) => {
  const maker = new CommitMaker('sha256');
  const dirmeta = maker.metadata(serializeDirmeta({ uid: 0, gid: 0, mode: 0o40755, xattrs: [] }));
  const inner = serializeDirtree({
    files: [named('f', { checksum: maker.file(header, randomBytes(bytes)) })],
    directories: [],
  });
  const directories = [named('d', { dirtree: maker.metadata(inner), dirmeta })];
  const objects = maker.commit(maker.metadata(serializeDirtree({ files: [], directories })), dirmeta);
  const make = (): unknown => inodesOfCommit(objects, measureTree(objects), { version, algorithm: 'sha256' });
  expect(make).toThrow(LimitError);
  expect(make).toThrow(/^\/d\/f: /);
});
