/** Images in repositories that cfsctl 0.9 made, of all versions and both algorithms. */

import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { ByteString } from '../../../src/formats/byte-string.ts';
import { parseDumpfile, serializeDumpfile } from '../../../src/formats/dumpfile.ts';
import { ErofsImage } from '../../../src/formats/erofs/reader.ts';
import { type ErofsVersion, serializeErofs } from '../../../src/formats/erofs/writer.ts';
import { fsVerityDigest } from '../../../src/formats/fs-verity.ts';
import { type Algorithm, toHex } from '../../../src/formats/ids.ts';
import type { Directory } from '../../../src/formats/tree.ts';
import { readObjects } from '../../support/composefs-vectors.ts';
import { readVector, readVectorJson } from '../../support/vectors.ts';

interface Ref {
  name: string;
  compute_id: string;
  image_objects: string[];
  mkcomposefs?: { identical: boolean; without_nul?: { file: string; fsverity_sha256: string } };
}
const { repositories } = readVectorJson<{
  repositories: Record<string, { erofs_version: ErofsVersion; tarball?: string; refs: Record<string, Ref> }>;
}>('composefs/expected.json');

const unpack = (path: string): Uint8Array => new Uint8Array(gunzipSync(readVector(`composefs/${path}`)));
const dumpOf = (algorithm: Algorithm, name: string): Uint8Array => unpack(`dumps/${algorithm}-${name}.dump.gz`);
const concat = (chunks: Iterable<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat([...chunks]));

describe.each(Object.entries(repositories).filter(([, { tarball }]) => tarball !== undefined))(
  '%s',
  (key, repository) => {
    const algorithm = key.slice(0, 6) as Algorithm;
    const version = repository.erofs_version;
    const objects = readObjects(repository.tarball as string);

    test.each(Object.entries(repository.refs))('%s', (_ref, { name, compute_id, image_objects }) => {
      const bytes = objects.get(compute_id) as Uint8Array;
      const image = ErofsImage.open(bytes);
      expect(image.version).toBe(version);
      const root = image.readTree();
      expect(serializeErofs(root, { version, algorithm })).toEqual(bytes);
      expect(image.objects(algorithm).map((id) => `${algorithm}:${id}`)).toEqual(image_objects);

      const dump = dumpOf(algorithm, name);
      expect(concat(serializeDumpfile(root))).toEqual(dump);
      const fromDump = serializeErofs(parseDumpfile(dump), { version, algorithm });
      expect(toHex(fsVerityDigest(algorithm, fromDump))).toBe(compute_id);
    });
  },
);

/** What we write: names end before the NUL that ostree stores behind them. */
function stripNuls(root: Directory): Directory {
  const left = [root];
  const strip = (directory: Directory): void => {
    for (const inode of [directory, ...directory.entries.values()]) {
      inode.xattrs = inode.xattrs.map(({ name, value }) => ({ name: name.replace(/\0$/, '') as ByteString, value }));
      if (inode.kind === 'directory' && inode !== directory) left.push(inode);
    }
  };
  for (const directory of left) strip(directory);
  return root;
}

const withoutNul = Object.entries(repositories).flatMap(([key, { erofs_version, refs }]) =>
  Object.values(refs)
    .filter(({ mkcomposefs }) => mkcomposefs?.without_nul !== undefined)
    .map(({ name, mkcomposefs }) => ({ key, version: erofs_version, name, expected: mkcomposefs?.without_nul })),
);

test('there are commits with such names', () => expect(withoutNul.length).toBe(4));

test.each(withoutNul)('$key $name: xattr names without a NUL at the end give the image of mkcomposefs', (vector) => {
  const root = stripNuls(parseDumpfile(dumpOf('sha256', vector.name)));
  const image = serializeErofs(root, { version: vector.version, algorithm: 'sha256' });
  expect(image).toEqual(unpack(vector.expected?.file as string));
  expect(toHex(fsVerityDigest('sha256', image))).toBe(vector.expected?.fsverity_sha256);
});
