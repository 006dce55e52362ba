import { expect, test } from 'vitest';
import { parseDumpfile } from '../../../src/formats/dumpfile.ts';
import { chooseErofsVersion, serializeErofs } from '../../../src/formats/erofs/writer.ts';
import { fsVerityDigest } from '../../../src/formats/fs-verity.ts';
import { toHex } from '../../../src/formats/ids.ts';
import { loadImageVectors } from './image-vectors.ts';

const vectors = loadImageVectors();

test('there are vectors of every kind', () => {
  expect(new Set(vectors.map(({ variant }) => variant))).toEqual(new Set(['v0', 'auto', 'v1']));
  expect(vectors.length).toBe(96);
});

test.each(vectors)('$name: the same bytes as mkcomposefs', ({ dump, variant, version, bytes, fsVeritySha256 }) => {
  const root = parseDumpfile(dump);
  if (variant === 'auto') expect(chooseErofsVersion(root)).toBe(version);
  const image = serializeErofs(root, { version, algorithm: 'sha256' });
  expect(Buffer.compare(image, bytes)).toBe(0);
  expect(toHex(fsVerityDigest('sha256', image))).toBe(fsVeritySha256);
});
