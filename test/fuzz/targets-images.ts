/** What a fuzz run feeds: the parsers of images and dumpfiles. Anything but a CfsError thrown is a failure. */

import { FormatError, LimitError } from '../../src/errors.ts';
import { parseDumpfile, serializeDumpfile } from '../../src/formats/dumpfile.ts';
import { BLOCK_BYTES } from '../../src/formats/erofs/layout.ts';
import { ErofsImage } from '../../src/formats/erofs/reader.ts';
import { chooseErofsVersion, type ErofsVersion, serializeErofs } from '../../src/formats/erofs/writer.ts';
import type { Algorithm } from '../../src/formats/ids.ts';
import type { Directory } from '../../src/formats/tree.ts';
import { loadImageVectors, readUnpacked } from '../formats/erofs/image-vectors.ts';
import { readObjects } from '../support/composefs-vectors.ts';
import { readVector, readVectorJson } from '../support/vectors.ts';
import type { FuzzTarget } from './target.ts';

/** Not more than this of a kind: a run spends its time on changes, not on seeds. */
const MAX_SEEDS = 40;
const MAX_SEED_BYTES = 32768;
const pick = (seeds: Iterable<Uint8Array>): Uint8Array[] =>
  [...seeds].filter(({ length }) => length <= MAX_SEED_BYTES).slice(0, MAX_SEEDS);

const vectors = loadImageVectors();
const { cases } = readVectorJson<{
  cases: Array<{ category: string; dir: string; files: Record<string, string> }>;
}>('hostile/expected.json');
const hostile = (category: string, file: string): string[] =>
  cases.filter((one) => one.category === category).map(({ dir, files }) => `hostile/${dir}/${files[file]}`);
const isImage = (bytes: Uint8Array): boolean => bytes.length >= BLOCK_BYTES && bytes[0] === 0x9a && bytes[1] === 0x62;

/** Images of all versions; the smallest first, where a change hits something soonest. */
const images = [
  ...[...readObjects('repos/sha256-v2.tar.gz').values(), ...readObjects('repos/sha512-v2.tar.gz').values()].filter(
    isImage,
  ),
  ...vectors.filter(({ variant, name }) => variant === 'v1' || name.includes('whiteouts')).map(({ bytes }) => bytes),
  ...hostile('images', 'image').map(readUnpacked),
].sort((a, b) => a.length - b.length);
const dumps = [
  ...vectors
    .filter(({ variant }) => variant === 'v0')
    .flatMap(({ dump, infoDump }) => [dump, new TextEncoder().encode(infoDump)]),
  ...hostile('dumps', 'dump').map(readVector),
].sort((a, b) => a.length - b.length);

const algorithmOf = (root: Directory): Algorithm => {
  const left = [root];
  for (const directory of left)
    for (const inode of directory.entries.values()) {
      if (inode.kind === 'directory') left.push(inode);
      else if (inode.kind === 'external' && inode.digest !== undefined)
        return inode.digest.length === 64 ? 'sha256' : 'sha512';
    }
  return 'sha512';
};

/** What was read is written, and gives the same tree again: a difference or a refusal is a mistake of ours. */
function requireStable(root: Directory, version: ErofsVersion): void {
  const algorithm = algorithmOf(root);
  let image: Uint8Array;
  try {
    image = serializeErofs(root, { version, algorithm });
  } catch (error) {
    if (isUnwritable(error)) return;
    throw new Error('what was read cannot be written', { cause: error });
  }
  try {
    const dump = dumpOf(ErofsImage.open(image).readTree());
    const again = serializeErofs(parseDumpfile(dump), { version, algorithm });
    if (Buffer.compare(image, again) !== 0) throw new Error('an image and its dump give different images');
  } catch (error) {
    throw new Error('what was written cannot be read', { cause: error });
  }
}
const dumpOf = (root: Directory): Uint8Array => new Uint8Array(Buffer.concat([...serializeDumpfile(root)]));

/**
 * Some trees can be read and not be written: with digests of two algorithms, more xattrs than we write, bodies that
 * version 2 cannot name.
 */
const isUnwritable = (error: unknown): boolean =>
  error instanceof LimitError ||
  (error instanceof FormatError && (error.where.field === 'digest' || error.where.field === 'payload'));

export const targets: FuzzTarget[] = [
  {
    name: 'erofs-image',
    parse(bytes) {
      const image = ErofsImage.open(bytes);
      const root = image.readTree();
      image.objects('sha256');
      image.payloads();
      requireStable(root, image.version);
    },
    seeds: pick(images),
  },
  {
    name: 'dumpfile',
    parse(bytes) {
      const root = parseDumpfile(bytes);
      requireStable(root, chooseErofsVersion(root));
      requireStable(root, 2);
    },
    seeds: pick(dumps),
  },
];
