import { describe, expect, test } from 'vitest';
import { CfsError, FormatError } from '../../../src/errors.ts';
import { byteStringFromBytes, byteStringToText } from '../../../src/formats/byte-string.ts';
import { parseDumpfile, serializeDumpfile } from '../../../src/formats/dumpfile.ts';
import { ErofsImage, isErofsImage } from '../../../src/formats/erofs/reader.ts';
import { serializeErofs } from '../../../src/formats/erofs/writer.ts';
import { objectIdFromBytes } from '../../../src/formats/ids.ts';
import type { Directory, Inode } from '../../../src/formats/tree.ts';
import { readVectorJson } from '../../support/vectors.ts';
import { loadImageVectors, readUnpacked } from './image-vectors.ts';
import { infoDump } from './info-dump.ts';

const vectors = loadImageVectors();
const concat = (chunks: Iterable<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat([...chunks]));

describe.each(vectors)('$name', ({ bytes, version, objects, infoDump: expectedDump }) => {
  const image = ErofsImage.open(bytes);

  test('reads as composefs-info reads it', () => {
    expect(image.version).toBe(version);
    expect(infoDump(image)).toBe(expectedDump);
  });

  test('names the objects that composefs-info names', () => {
    expect(image.payloads()).toEqual(objects);
  });

  test('has the same files when no tree is made of it', () => {
    const seen = new Set<Inode>();
    const expected: string[] = [];
    walkTree(image.readTree(), '', (path, inode) => {
      if (inode.kind !== 'external' || seen.has(inode)) return;
      seen.add(inode);
      expected.push(`${path} ${inode.sizeBytes} ${inode.digest} ${inode.payload}`);
    });
    const files = Array.from(image.files(), ({ directory, name, sizeBytes, body: { digest, payload } }) => {
      const texts = [digest && objectIdFromBytes(digest), payload && byteStringFromBytes(payload)];
      return `${directory}/${byteStringToText(name)} ${sizeBytes} ${texts.join(' ')}`;
    });
    expect(files).toEqual(expected.map((line) => line.replaceAll('undefined', '')));
  });

  test('is the same when it is written again, also by way of a dumpfile', () => {
    const options = { version, algorithm: 'sha256' } as const;
    const root = image.readTree();
    expect(Buffer.compare(serializeErofs(root, options), bytes)).toBe(0);
    const dump = concat(serializeDumpfile(root));
    expect(Buffer.compare(serializeErofs(parseDumpfile(dump), options), bytes)).toBe(0);
  });
});

function walkTree(directory: Directory, path: string, visit: (path: string, inode: Inode) => void): void {
  for (const [name, inode] of directory.entries) {
    const here = `${path}/${byteStringToText(name)}`;
    visit(here, inode);
    if (inode.kind === 'directory') walkTree(inode, here, visit);
  }
}

test.each([0, 1, 2] as const)(
  'xattrs whose names are alike are told apart, however many there are, version %i',
  (version) => {
    // more than are compared byte for byte; each file has others of them
    const names = Array.from(
      { length: 40 },
      (_, i) => `user.${'x'.repeat(i % 4)}${String.fromCharCode(97 + (i % 20))}${i}y`,
    );
    const files = names.map((_, i) => {
      const own = names.filter((_name, j) => (i + j) % 3 === 0).map((name) => `${name}=${name}-${i}`);
      return `/f${100 + i} 0 100644 1 0 0 0 0.0 - - - ${own.join(' ')}\n`;
    });
    const dump = `/ 0 40755 2 0 0 0 0.0 - - -\n${files.join('')}`;
    const root = parseDumpfile(new TextEncoder().encode(dump));
    const image = ErofsImage.open(serializeErofs(root, { version, algorithm: 'sha512' }));
    expect(concat(serializeDumpfile(image.readTree()))).toEqual(concat(serializeDumpfile(root)));
  },
);

test('the dump of composefs-info describes the tree that we read', () => {
  // but for the marks of version 1, which it prints as if somebody had set them
  for (const { bytes, version, infoDump: dump, name } of vectors) {
    if (version === 1) continue;
    expect(concat(serializeDumpfile(parseDumpfile(new TextEncoder().encode(dump)))), name).toEqual(
      concat(serializeDumpfile(withoutOrigins(ErofsImage.open(bytes).readTree()))),
    );
  }
});

test.each([0, 1] as const)(
  'an own entry is stated only where the image cannot be read without (version %i)',
  (version) => {
    const file = (path: string): string => `${path} 0 100644 2 0 0 0 0.0 - - -`;
    const link = (path: string, to: string): string => `${path} 0 @120000 - - - - 0.0 ${to} - -`;
    const directory = (path: string, nlink: number): string => `${path} 0 40755 ${nlink} 0 0 0 0.0 - - -`;
    const readBack = (lines: string[]): string => {
      const image = serializeErofs(parseDumpfile(Buffer.from(`${lines.join('\n')}\n`)), {
        version,
        algorithm: 'sha256',
      });
      return Buffer.from(concat(serializeDumpfile(ErofsImage.open(image).readTree()))).toString();
    };
    // nothing lies between the two names of the file, in the order of the image
    const loose = [directory('/', 3), directory('/a', 2), file('/a/own'), link('/b', '/a/own')];
    expect(readBack(loose)).toBe(`${loose.join('\n')}\n`);
    const fixed = [...loose.slice(0, 2), link('/a/link', '/b'), file('/b'), `/c 0 100644 1 0 0 0 0.0 - - -`];
    expect(readBack(fixed)).toBe(`${fixed.join('\n')}\n`);
  },
);

/** That dump says nothing of own entries that are not the first. */
function withoutOrigins(root: ReturnType<ErofsImage['readTree']>): typeof root {
  const left = [root];
  for (const directory of left) {
    for (const inode of directory.entries.values()) {
      if (inode.kind === 'directory') left.push(inode);
      else delete inode.origin;
    }
  }
  return root;
}

describe('damaged images', () => {
  const { cases } = readVectorJson<{
    cases: Array<{
      id: string;
      category: string;
      verdict: 'accept' | 'reject' | 'may-reject';
      dir: string;
      files: { image: string };
      must_reject_in: string[];
    }>;
  }>('hostile/expected.json');
  const images = cases.filter(({ category }) => category === 'images');

  test('there are some', () => expect(images.length).toBeGreaterThan(40));

  test.each(images)('$id: $verdict', ({ verdict, dir, files, must_reject_in }) => {
    const bytes = readUnpacked(`hostile/${dir}/${files.image}`);
    const readers: Array<(image: ErofsImage) => unknown> = [
      (image) => image.readTree(),
      (image) => image.payloads(),
      (image) => image.objects('sha256'),
      (image) => [...image.files()],
    ];
    for (const read of readers) {
      const started = performance.now();
      let problem: unknown;
      try {
        read(ErofsImage.open(bytes, { file: files.image }));
      } catch (error) {
        problem = error;
      }
      expect(performance.now() - started).toBeLessThan(2000);
      if (problem !== undefined) {
        expect(problem).toBeInstanceOf(FormatError);
        expect((problem as CfsError).where).toMatchObject({ file: files.image, format: 'EROFS' });
        expect((problem as CfsError).where.field).toBeTypeOf('string');
        expect((problem as CfsError).where.offset).toBeTypeOf('number');
      }
      if (verdict === 'accept') expect(problem).toBeUndefined();
      if (verdict === 'reject' && must_reject_in.includes('read')) expect(problem).toBeDefined();
    }
  });

  const small = vectors.filter(({ bytes, name }) => bytes.length <= 24576 && !name.includes('commits/'));

  test.each(small)('$name cut short anywhere is refused', ({ bytes }) => {
    for (let length = 0; length < bytes.length; length += length < 1300 ? 1 : 509) {
      const cut = bytes.slice(0, length);
      expect(() => ErofsImage.open(cut).readTree()).toThrow(FormatError);
    }
  });

  test('no single changed byte makes the reader do anything but read or refuse', () => {
    const source = vectors.find(({ name }) => name.includes('whiteouts') && name.endsWith('auto'));
    const bytes = (source as (typeof vectors)[number]).bytes.slice();
    let accepted = 0;
    for (let at = 0; at < bytes.length; at += at < 12000 ? 3 : 7) {
      const before = bytes[at];
      bytes[at] ^= 1 << (at % 8);
      try {
        ErofsImage.open(bytes).readTree();
        accepted++;
      } catch (error) {
        expect(error).toBeInstanceOf(CfsError);
      }
      bytes[at] = before;
    }
    expect(accepted).toBeGreaterThan(0); // owners, permissions, times
  });

  test.each(vectors.filter(({ name }) => /whiteouts|hardlinks|mixed/.test(name)))(
    '$name with any byte changed: what makes no tree has no files, for the same reason',
    ({ bytes: sound }) => {
      const bytes = sound.slice();
      const outcome = (read: (image: ErofsImage) => unknown): string => {
        try {
          read(ErofsImage.open(bytes));
          return 'read';
        } catch (error) {
          return (error as Error).message;
        }
      };
      const outcomes = new Set<string>();
      for (let at = 1024; at < bytes.length; at += at < 12000 ? 5 : 257) {
        const before = bytes[at];
        bytes[at] ^= 1 << (at % 8);
        const ofTree = outcome((image) => image.readTree());
        expect(outcome((image) => [...image.files()])).toBe(ofTree);
        outcomes.add(ofTree);
        bytes[at] = before;
      }
      expect(outcomes.size).toBeGreaterThan(10);
    },
  );
});

test('an image is told from a dumpfile by its first bytes', () => {
  expect(isErofsImage(vectors[0].bytes)).toBe(true);
  expect(isErofsImage(vectors[0].dump)).toBe(false);
  expect(isErofsImage(new Uint8Array(0))).toBe(false);
});
