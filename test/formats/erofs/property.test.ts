import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDumpfile, serializeDumpfile } from '../../../src/formats/dumpfile.ts';
import { ErofsImage } from '../../../src/formats/erofs/reader.ts';
import { type ErofsVersion, serializeErofs } from '../../../src/formats/erofs/writer.ts';
import type { Algorithm } from '../../../src/formats/ids.ts';
import type { Directory } from '../../../src/formats/tree.ts';
import { treeArbitrary } from '../../support/arbitrary-tree.ts';

const dumpOf = (root: Directory): Uint8Array => new Uint8Array(Buffer.concat([...serializeDumpfile(root)]));

test.each([
  [0, 'sha256'],
  [1, 'sha256'],
  [2, 'sha256'],
  [0, 'sha512'],
  [1, 'sha512'],
  [2, 'sha512'],
] as Array<[ErofsVersion, Algorithm]>)(
  'any tree: tree, image, image read back and dump all give the same image (version %i, %s)',
  (version, algorithm) => {
    const limits =
      version === 2
        ? ({ algorithm, maxContentBytes: 512, maxTargetBytes: 1024, payloads: 'objects' } as const)
        : ({ algorithm, maxContentBytes: 5000, maxTargetBytes: 4095, payloads: 'any' } as const);
    const options = { version, algorithm };
    fc.assert(
      fc.property(treeArbitrary(limits), (tree) => {
        const image = serializeErofs(tree, options);
        const readBack = ErofsImage.open(image).readTree();
        expect(Buffer.compare(serializeErofs(readBack, options), image)).toBe(0);
        const dump = dumpOf(readBack);
        const parsed = parseDumpfile(dump);
        expect(Buffer.compare(dumpOf(parsed), dump)).toBe(0);
        expect(Buffer.compare(serializeErofs(parsed, options), image)).toBe(0);
        expect(Buffer.compare(serializeErofs(parseDumpfile(dumpOf(tree)), options), image)).toBe(0);
      }),
      { numRuns: 80 },
    );
  },
  120_000,
);
