/**
 * What a fuzz run feeds: whole commits, whose objects name each other by right checksums whatever was changed in them. What passes the
 * checks of a pull must become the same tree in images of all versions, or be refused with a CfsError.
 */

import { CfsError, FormatError } from '../../src/errors.ts';
import { CommitMap } from '../../src/formats/commit-map.ts';
import { CommitMapBuilder } from '../../src/formats/commit-map-builder.ts';
import { serializeDumpfile } from '../../src/formats/dumpfile.ts';
import { ErofsImage } from '../../src/formats/erofs/reader.ts';
import { serializeErofs } from '../../src/formats/erofs/writer.ts';
import type { Checksum } from '../../src/formats/ids.ts';
import { parseCommit, serializeCommit } from '../../src/formats/ostree/commit.ts';
import { serializeDirmeta } from '../../src/formats/ostree/dirmeta.ts';
import { parseDirtree, serializeDirtree } from '../../src/formats/ostree/dirtree.ts';
import { parseArchiveHeader, serializeContentHeader } from '../../src/formats/ostree/file-header.ts';
import type { Directory } from '../../src/formats/tree.ts';
import { nodeHashing } from '../../src/native.ts';
import { checkCommitObjects } from '../../src/operations/commit-check.ts';
import { CommitObjects } from '../../src/operations/commit-reader.ts';
import { treeOfCommit } from '../../src/operations/commit-tree.ts';
import { computeComposefsDigest } from '../../src/operations/composefs-digest.ts';
import { listTree } from '../../src/operations/list-tree.ts';
import { measureTree } from '../../src/operations/tree-shape.ts';
import { concat, makeContent, makeObject, makeSymlink, xattr } from '../native/archive-object.ts';
import { readVectorFacts } from '../support/vector-repositories.ts';
import { readVectorTar } from '../support/vectors.ts';
import type { FuzzTarget } from './target.ts';

/**
 * An input is a sequence of objects: one byte for the kind, two for the length, and the bytes. In these a checksum is 31 times 0xee and
 * the number of an earlier object. The last object is the commit.
 */
const KIND = { metadata: 0, file: 1, external: 2 } as const;
const PLACE_HOLDER = new Uint8Array(31).fill(0xee);
/** Larger trees are legitimate, and take their time. */
const MAX_PATHS = 3000;

const placeHolder = (number: number): Checksum =>
  Buffer.concat([PLACE_HOLDER, Uint8Array.of(number)]).toString('hex') as Checksum;
const record = (kind: number, bytes: Uint8Array): Uint8Array =>
  concat(Uint8Array.of(kind, bytes.length >> 8, bytes.length & 0xff), bytes);

/** The map of the commit that the input describes; objects that are none are left out. */
function buildMap(input: Uint8Array): CommitMap {
  const builder = new CommitMapBuilder('sha256');
  const checksums: Uint8Array[] = [];
  for (let at = 0; at + 3 <= input.length; ) {
    const end = at + 3 + input[at + 1] * 256 + input[at + 2];
    const bytes = Buffer.from(input.slice(at + 3, end));
    for (
      let place = bytes.indexOf(PLACE_HOLDER);
      place >= 0 && place + 32 <= bytes.length;
      place = bytes.indexOf(PLACE_HOLDER, place + 32)
    )
      bytes.set(checksums[bytes[place + 31]] ?? new Uint8Array(32), place);
    checksums.push(addObject(builder, input[at] % 3, new Uint8Array(bytes)));
    at = end;
  }
  const commit = checksums.at(-1);
  if (commit === undefined) throw new FormatError('no objects');
  const { content, objectRefs } = builder.build(commit);
  return CommitMap.parse(content.slice(), objectRefs.slice(), 'sha256');
}

function addObject(builder: CommitMapBuilder, kind: number, bytes: Uint8Array): Uint8Array {
  const checksum = kind === KIND.metadata ? nodeHashing.sha256(bytes) : fileChecksum(bytes);
  builder.add(checksum, bytes, kind === KIND.external ? nodeHashing.sha256(checksum) : undefined);
  return checksum;
}

function fileChecksum(bytes: Uint8Array): Uint8Array {
  try {
    const { header, headerBytes } = parseArchiveHeader(bytes);
    return nodeHashing.sha256(serializeContentHeader(header), bytes.subarray(headerBytes));
  } catch (error) {
    if (error instanceof CfsError) return nodeHashing.sha256(bytes);
    throw error;
  }
}

const dumpOf = (root: Directory): Buffer => Buffer.concat([...serializeDumpfile(root)]);

async function readCommit(input: Uint8Array): Promise<void> {
  const objects = new CommitObjects(buildMap(input), {});
  let problems = 0;
  const onProblem = (): void => void problems++;
  await checkCommitObjects(objects, { closure: 'complete', onProblem, onExternalFiles: async () => {} });
  if (measureTree(objects).paths > MAX_PATHS) return;
  const root = treeOfCommit(objects);
  if (problems > 0) return;
  for (const { path } of listTree(root, '/', { recursive: true })) if (path === '') throw new Error('no path');
  computeComposefsDigest(objects, objects.commit(), (_checksum, object) => object);
  const dump = dumpOf(root);
  for (const version of [0, 1, 2] as const) requireSameInImage(root, dump, version);
}

function requireSameInImage(root: Directory, dump: Buffer, version: 0 | 1 | 2): void {
  let image: Uint8Array;
  try {
    image = serializeErofs(root, { version, algorithm: 'sha256' });
  } catch (error) {
    if (error instanceof CfsError) return;
    throw error;
  }
  if (!dumpOf(ErofsImage.open(image).readTree()).equals(dump)) throw new Error(`another tree in version ${version}`);
}

const archive = readVectorTar('repos/archive.tar.gz');
const stored = (checksum: Checksum, extension: string): Uint8Array =>
  archive.get(`objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.${extension}`)?.content as Uint8Array;

/** A commit of the vectors; children come before their parents. */
function seedOf(commit: Checksum): Uint8Array {
  const numbers = new Map<Checksum, number>();
  const records: Uint8Array[] = [];
  const add = (checksum: Checksum, make: () => Uint8Array): Checksum => {
    if (!numbers.has(checksum)) {
      const made = make();
      numbers.set(checksum, records.length);
      records.push(made);
    }
    return placeHolder(numbers.get(checksum) as number);
  };
  const dirmeta = (checksum: Checksum) => add(checksum, () => record(KIND.metadata, stored(checksum, 'dirmeta')));
  const file = (checksum: Checksum) =>
    add(checksum, () => {
      const body = stored(checksum, 'filez');
      const { sizeBytes, headerBytes } = parseArchiveHeader(body);
      return record(sizeBytes === 0 ? KIND.file : KIND.external, body.slice(0, headerBytes));
    });
  const dirtree = (checksum: Checksum): Checksum =>
    add(checksum, () => {
      const { files, directories } = parseDirtree(stored(checksum, 'dirtree'));
      const bytes = serializeDirtree({
        files: files.map((entry) => ({ name: entry.name, checksum: file(entry.checksum) })),
        directories: directories.map((entry) => ({
          name: entry.name,
          dirtree: dirtree(entry.dirtree),
          dirmeta: dirmeta(entry.dirmeta),
        })),
      });
      return record(KIND.metadata, bytes);
    });
  const parsed = parseCommit(stored(commit, 'commit'));
  const roots = { rootDirtree: dirtree(parsed.rootDirtree), rootDirmeta: dirmeta(parsed.rootDirmeta) };
  return concat(...records, record(KIND.metadata, serializeCommit({ ...parsed, ...roots })));
}

/** One directory with a little of everything. */
function smallSeed(): Uint8Array {
  const files = [
    makeObject(makeContent(40), { xattrs: [xattr('user.a', '1'), xattr('trusted.overlay.opaque', 'y')] }),
    makeSymlink('a/b', { uid: 5 }),
    makeObject(new Uint8Array(0), { mode: 0o104755 }),
  ].map(({ archiveHeader, content }) => record(KIND.file, concat(archiveHeader, content)));
  const names = ['a', 'é', 'x'.repeat(200)].map((name) => Buffer.from(name).toString('latin1')) as never[];
  const meta = serializeDirmeta({ uid: 0, gid: 0, mode: 0o040755, xattrs: [xattr('user.b', 'label')] });
  const inner = serializeDirtree({
    files: names.map((name, i) => ({ name, checksum: placeHolder(i) })),
    directories: [],
  });
  const outer = serializeDirtree({
    files: [{ name: names[0], checksum: placeHolder(2) }],
    directories: [{ name: 'd' as never, dirtree: placeHolder(4), dirmeta: placeHolder(3) }],
  });
  const commit = serializeCommit({
    metadata: [],
    subject: 's',
    body: '',
    timestampSeconds: 0n,
    rootDirtree: placeHolder(5),
    rootDirmeta: placeHolder(3),
  });
  return concat(...files, ...[meta, inner, outer, commit].map((bytes) => record(KIND.metadata, bytes)));
}

const { commits } = readVectorFacts();

export const targets: FuzzTarget[] = [
  {
    name: 'whole-commit',
    parse: readCommit,
    seeds: [smallSeed(), ...['canonical-1', 'other-1'].map((name) => seedOf(commits[name].checksum))],
  },
];
