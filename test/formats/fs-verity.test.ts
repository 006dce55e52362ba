import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FsVerityHasher, fsVerityDigest } from '../../src/formats/fs-verity.ts';
import { portableHashing } from '../../src/formats/hashing.ts';
import { type Algorithm, toHex } from '../../src/formats/ids.ts';
import { readVectorTar } from '../support/vectors.ts';

const CHECK_VALUES: Array<[Algorithm, string, string]> = [
  ['sha256', '', '3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95'],
  ['sha256', 'hello world', '1e2eaa4202d750a41174ee454970b92c1bc2f925b1e35076d8c7d5f56362ba64'],
  [
    'sha512',
    '',
    'ccf9e5aea1c2a64efa2f2354a6024b90dffde6bbc017825045dce374474e13d10adb9dadcc6ca8e17a3c075fbd31336e8f266ae6fa93a6c3bed66f9e784e5abf',
  ],
  [
    'sha512',
    'hello world',
    '18430270729d162d4e469daca123ae61893db4b0583d8f7081e3bf4f92b88ba514e7982f10733fb6aa895195c5ae8fd2eb2c47a8be05513ce5a0c51a6f570409',
  ],
];

test.each(CHECK_VALUES)('%s of %j', (algorithm, text, expected) => {
  expect(toHex(fsVerityDigest(algorithm, new TextEncoder().encode(text)))).toBe(expected);
});

/** Written from the kernel's documentation with nothing shared: whole levels instead of one block of each. */
function slowDigest(algorithm: Algorithm, content: Buffer): string {
  const hash = (bytes: Uint8Array): Buffer => createHash(algorithm).update(bytes).digest();
  const hashBlocks = (bytes: Buffer): Buffer => {
    const hashes: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 4096) {
      const block = Buffer.alloc(4096);
      bytes.copy(block, 0, at);
      hashes.push(hash(block));
    }
    return Buffer.concat(hashes);
  };
  const digestBytes = algorithm === 'sha256' ? 32 : 64;
  let level = hashBlocks(content);
  while (level.length > digestBytes) level = hashBlocks(level);
  const descriptor = Buffer.alloc(256);
  descriptor.set([1, algorithm === 'sha256' ? 1 : 2, 12]);
  descriptor.writeBigUInt64LE(BigInt(content.length), 8);
  level.copy(descriptor, 16);
  return hash(descriptor).toString('hex');
}

const KIB = 1024;
// around block and level boundaries: 64 or 128 blocks fill one block of the next level, 4096 or 16384 one of the level after
const SIZES = [
  1,
  4095,
  4096,
  4097,
  256 * KIB,
  256 * KIB + 1,
  512 * KIB - 1,
  512 * KIB,
  512 * KIB + 1,
  16 * KIB * KIB + 1,
];

describe.each(['sha256', 'sha512'] as const)('%s', (algorithm) => {
  test.each(SIZES)('%i bytes, computed another way', (size) => {
    const content = Buffer.alloc(size, 'content that does not repeat with the block size. ');
    expect(toHex(fsVerityDigest(algorithm, content))).toBe(slowDigest(algorithm, content));
  });

  test('does not depend on how the content is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 9000 }), { maxLength: 12 }), (parts) => {
        const hasher = new FsVerityHasher(algorithm);
        for (const part of parts) hasher.update(part);
        expect(toHex(hasher.digest())).toBe(slowDigest(algorithm, Buffer.concat(parts)));
      }),
      { numRuns: 60 },
    );
  });

  test('every object that cfsctl stored has its name', () => {
    const objects = [...readVectorTar(`composefs/repos/${algorithm}-v1.tar.gz`)].flatMap(([path, { type, content }]) =>
      type === 'file' && /(^|\/)objects\//.test(path) ? [{ name: path.split('/').slice(-2).join(''), content }] : [],
    );
    expect(objects.length).toBeGreaterThan(20);
    for (const { name, content } of objects)
      expect(toHex(portableHashing.fsVerity(algorithm, content)), name).toBe(name);
  });
});

test('SHA-256 of parts is that of the whole', () => {
  const parts = ['a', '', 'bc'].map((text) => new TextEncoder().encode(text));
  expect(toHex(portableHashing.sha256(...parts))).toBe(createHash('sha256').update('abc').digest('hex'));
});
