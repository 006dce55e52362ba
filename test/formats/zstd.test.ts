import { randomBytes } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CfsError, FormatError, LimitError } from '../../src/errors.ts';
import { fromHex, toHex } from '../../src/formats/ids.ts';
import { decompressZstd, storeZstd, zstdPieces } from '../../src/formats/zstd.ts';
import { decompressByFrame, splitZstdFrames } from '../../src/formats/zstd-frame.ts';
import { ZSTD_CODECS } from '../support/codecs.ts';
import { readVector } from '../support/vectors.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const concat = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const joined = (pieces: Iterable<Uint8Array>): Buffer =>
  Buffer.concat(Array.from(pieces, (piece) => Buffer.from(piece)));

function compress(bytes: Uint8Array, level: number, extra: Record<number, number> = {}): Uint8Array {
  return new Uint8Array(zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level, ...extra } }));
}

/** Content that makes the encoder use every kind of block, literal and sequence table. */
const CONTENTS: Record<string, (size: number) => Uint8Array> = {
  zeros: (size) => new Uint8Array(size),
  random: (size) => new Uint8Array(randomBytes(size)),
  json: (size) => {
    const json = readVector('composefs/expected.json');
    return Uint8Array.from({ length: size }, (_, i) => json[i % json.length]);
  },
  'few symbols': (size) => Uint8Array.from(randomBytes(size), (byte) => (byte < 230 ? 0 : byte & 3)),
  'half and half': (size) => {
    const noise = randomBytes(size);
    return Uint8Array.from({ length: size }, (_, i) => (i % 1000 < 500 ? (i >> 3) & 255 : noise[i]));
  },
};
const SIZES = [0, 1, 5, 300, 70_000, 131_072, 131_073, 700_000];

describe.each(Object.keys(CONTENTS))('%s', (name) => {
  test.each(SIZES)('%i bytes, as libzstd compresses them at any level', (size) => {
    const content = CONTENTS[name](size);
    for (const level of [-5, 1, 3, 6, 9, 13, 19]) {
      const checksumFlag = level % 2 === 0 ? 0 : 1;
      const frame = compress(content, level, { [constants.ZSTD_c_checksumFlag]: checksumFlag });
      expect(Buffer.compare(decompressZstd(frame, size), content), `level ${level}`).toBe(0);
      expect(joined(zstdPieces(frame, size)).compare(content), `level ${level}, in pieces`).toBe(0);
    }
  });

  test('stored blocks are what libzstd reads', () => {
    for (const size of SIZES) {
      const content = CONTENTS[name](size);
      expect(zstdDecompressSync(storeZstd(content)).compare(content)).toBe(0);
    }
  });
});

test('what is stored uncompressed is taken without a decoder, and copied', async () => {
  const decoder = (): never => {
    throw new Error('asked');
  };
  for (const size of SIZES) {
    const content = CONTENTS.random(size);
    const stored = storeZstd(content);
    const taken = await decompressByFrame(concat(stored, SKIPPABLE, stored), 2 * size, decoder);
    expect(Buffer.compare(taken, concat(content, content)), `${size} bytes`).toBe(0);
    const alone = await decompressByFrame(stored, size, decoder);
    alone.fill(0);
    expect(stored).toEqual(storeZstd(content));
    if (size > 0) await expect(decompressByFrame(stored, size - 1, decoder)).rejects.toThrow(LimitError);
  }
  // what has to be checked, or computed, is not taken: a content checksum, another size than the frame says, a run, a compressed block
  const checked = compress(encode('x'), 3, { [constants.ZSTD_c_checksumFlag]: 1 });
  const otherSize = concat(fromHex('28b52ffd40580000610900'), new Uint8Array(300)); // 256
  const run = fromHex('28b52ffd00581b000061');
  for (const frame of [checked, otherSize, run, compress(CONTENTS.json(300), 3)])
    await expect(decompressByFrame(frame, 1 << 20, decoder)).rejects.toThrow('asked');
});

test('matches that reach back a small window, over and over', () => {
  const content = CONTENTS.json(900_000);
  for (const windowLog of [10, 14, 17]) {
    const frame = compress(content, 19, {
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_contentSizeFlag]: 0,
    });
    expect(joined(zstdPieces(frame, content.length)).compare(content)).toBe(0);
    expect(Buffer.compare(decompressZstd(frame, content.length), content)).toBe(0);
  }
});

test.each(ZSTD_CODECS)('$codec: frames as composefs-rs writes them', async ({ zstd }) => {
  const record = encode('0:composefs.image\0');
  expect(toHex(await zstd.compress(new Uint8Array(0)))).toBe('28b52ffd2000010000');
  expect(toHex(await zstd.compress(record))).toBe(`28b52ffd0058910000${toHex(record)}`); // no content size, 2 MiB window
});

test.each(ZSTD_CODECS)('$codec: how the content is cut makes no difference to the frame', async ({ zstd }) => {
  const content = CONTENTS.json(900_000);
  const whole = toHex(await zstd.compress(content));
  const pieces = [0, 0, 8, 131_072, 131_080, 700_001].map((at, i, cuts) => content.subarray(at, cuts[i + 1]));
  expect(toHex(await zstd.compress(pieces))).toBe(whole);
  expect(toHex(await zstd.compress([]))).toBe(toHex(await zstd.compress(new Uint8Array(0))));
});

const HELLO = compress(encode('hello'), 3);
const WORLD = compress(encode(' world'), 3);
const SKIPPABLE = fromHex('5f2a4d1803000000aabbcc');

describe.each(ZSTD_CODECS)('$codec', ({ zstd }) => {
  test('several frames and skippable ones are one content', async () => {
    const bytes = concat(SKIPPABLE, HELLO, SKIPPABLE, WORLD, SKIPPABLE);
    expect(await zstd.decompress(bytes, 11)).toEqual(encode('hello world'));
    await expect(zstd.decompress(bytes, 10)).rejects.toThrow(LimitError);
    expect(await zstd.decompress(SKIPPABLE, 0)).toEqual(new Uint8Array(0));
  });

  const CHECKED = compress(CONTENTS.json(5000), 3, { [constants.ZSTD_c_checksumFlag]: 1 });
  test.each([
    ['no frame', new Uint8Array(0)],
    ['bytes after the frame', concat(HELLO, Uint8Array.of(0))],
    ['the start of a frame after the frame', concat(HELLO, HELLO.subarray(0, 7))],
    ['a skippable frame that is cut off', concat(HELLO, SKIPPABLE.subarray(0, 9))],
    ['a wrong checksum', concat(CHECKED.subarray(0, -1), Uint8Array.of(CHECKED[CHECKED.length - 1] ^ 1))],
    ['a dictionary', fromHex('28b52ffd01580729000068656c6c6f')],
    ['a reserved bit', fromHex('28b52ffd085829000068656c6c6f')],
    ['a window of 256 MiB', fromHex('28b52ffd009029000068656c6c6f')],
    ['a reserved block type', fromHex('28b52ffd00582f000068656c6c6f')],
    ['a content size that is not met', fromHex('28b52ffd200629000068656c6c6f')],
    ['a content size that is exceeded', fromHex('28b52ffd200429000068656c6c6f')],
  ])('refuses %s', async (_, bytes) => {
    await expect(zstd.decompress(bytes, 1 << 20)).rejects.toThrow(FormatError);
  });

  test('refuses every frame that is cut off', async () => {
    const frame = compress(CONTENTS.json(2000), 3);
    for (let length = 0; length < frame.length; length++)
      await expect(zstd.decompress(frame.subarray(0, length), 1 << 20)).rejects.toThrow(FormatError);
  });

  test('output is bounded by the limit, not by what the frame says', async () => {
    const bomb = compress(new Uint8Array(64 << 20), 3);
    await expect(zstd.decompress(bomb, (64 << 20) - 1)).rejects.toThrow(LimitError);
    const claim = fromHex('28b52ffdc058ffffffffffff0f0029000068656c6c6f'); // content size 2^60
    await expect(zstd.decompress(claim, 1 << 20)).rejects.toThrow(FormatError);
  });
});

describe('the portable decoder does not loop', () => {
  /** A block of the given bytes, compressed, in a frame with a 2 MiB window. */
  const blockFrame = (block: Uint8Array): Uint8Array => {
    const header = (block.length << 3) | 5;
    return concat(fromHex('28b52ffd0058'), Uint8Array.of(header & 255, header >> 8, 0), block);
  };
  test.each([
    ['32,512 longest matches out of an empty bit stream', '00ff00005423003401'],
    ['98,047 sequences that take no bits', '00ffffff5400000001'],
    ['Huffman weights whose states take no bits', '42800205f0030000010000000100'],
  ])('%s', (_, hex) => {
    const started = performance.now();
    expect(() => decompressZstd(blockFrame(fromHex(hex)), 1 << 28)).toThrow(FormatError);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

test('damaged frames are refused or give what libzstd gives', () => {
  const frames = [3, 9, 19].map((level) => compress(CONTENTS['half and half'](3000), level));
  const libzstd = (frame: Uint8Array): Uint8Array | undefined => {
    try {
      return new Uint8Array(zstdDecompressSync(frame, { maxOutputLength: 1 << 20 }));
    } catch {
      return undefined;
    }
  };
  fc.assert(
    fc.property(fc.constantFrom(...frames), fc.nat(), fc.integer({ min: 1, max: 255 }), (frame, at, flip) => {
      const damaged = frame.slice();
      damaged[at % damaged.length] ^= flip;
      let ours: Uint8Array | undefined;
      try {
        ours = decompressZstd(damaged, 1 << 20);
      } catch (error) {
        expect(error).toBeInstanceOf(CfsError);
      }
      if (ours !== undefined) expect(ours).toEqual(libzstd(damaged));
    }),
    { numRuns: 2000 },
  );
});

test('what a frame can expand to is known before it is decompressed', () => {
  const frame = compress(new Uint8Array(1_000_000), 3, { [constants.ZSTD_c_contentSizeFlag]: 0 });
  const [{ maxContentBytes, contentBytes }] = splitZstdFrames(frame);
  expect(contentBytes).toBeUndefined();
  expect(maxContentBytes).toBeGreaterThanOrEqual(1_000_000);
  expect(maxContentBytes).toBeLessThan(1_200_000);
});
