/** What `checkObjects` proves, and what it leaves to a closer look. */

import { createHash, randomBytes } from 'node:crypto';
import { mkdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { objectIdFromBytes, objectRelativePath } from '../../src/formats/ids.ts';
import { type NativeAddon, native, nodeHashing, type ObjectProofs } from '../../src/native.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const addon = native as NativeAddon;
const SIZES = [1, 4095, 4096, 100_000, 256 * 1024, 256 * 1024 + 1, 3_000_000];
const CONTENTS = SIZES.map((size) => randomBytes(size));
const HEADERS = SIZES.map((_, i) => Buffer.from(`header ${'x'.repeat(i)}`));

function proofsOf(checksums: Uint8Array[], sizes: readonly number[]): ObjectProofs {
  let end = 0;
  return {
    headers: Buffer.concat(HEADERS),
    headerEnds: Uint32Array.from(HEADERS, (header) => (end += header.length)),
    checksums: Buffer.concat(checksums),
    sizes: Float64Array.from(sizes),
  };
}

test.each(['sha256', 'sha512'] as const)('%s', async (algorithm) => {
  await using directory = await makeTemporaryDirectory('memory');
  const objects = directory.join('objects');
  const digests = CONTENTS.map((content) => nodeHashing.fsVerity(algorithm, content));
  const path = (i: number): string => `${objects}/${objectRelativePath(objectIdFromBytes(digests[i]))}`;
  for (const [i, content] of CONTENTS.entries()) {
    await mkdir(dirname(path(i)), { recursive: true });
    await writeFile(path(i), content);
  }
  const ids = Buffer.concat(digests);
  const all = SIZES.map(() => 1);
  const checksums = CONTENTS.map((content, i) => nodeHashing.sha256(HEADERS[i], content));
  const statesOf = async (proofs?: ReturnType<typeof proofsOf>): Promise<number[]> => [
    ...(await addon.checkObjects(objects, algorithm, ids, proofs)).states,
  ];

  expect(await statesOf()).toEqual(all);
  expect([...(await addon.checkObjects(objects, algorithm, ids)).sizes]).toEqual(SIZES);
  expect(await statesOf(proofsOf(checksums, SIZES))).toEqual(all);
  const wrongSizes = SIZES.with(1, 5);
  expect(await statesOf(proofsOf(checksums, wrongSizes))).toEqual(all.with(1, 0));
  expect(await statesOf(proofsOf(checksums.with(3, randomBytes(32)), SIZES))).toEqual(all.with(3, 0));
  expect(await statesOf(proofsOf(checksums.with(6, randomBytes(32)), SIZES))).toEqual(all.with(6, 0));

  const damaged = Buffer.from(CONTENTS[6]);
  damaged[2_999_999] ^= 1;
  await writeFile(path(6), damaged);
  await unlink(path(0));
  await unlink(path(2));
  await writeFile(directory.join('elsewhere'), CONTENTS[2]);
  await symlink(directory.join('elsewhere'), path(2));
  expect(await statesOf()).toEqual(all.with(6, 0).with(0, 0).with(2, 0));
});

test.each(['sha256', 'sha512'] as const)('keys of proofs are those of node:crypto (%s)', (algorithm) => {
  const digests = CONTENTS.map((content) => nodeHashing.fsVerity(algorithm, content));
  const checksums = CONTENTS.map((content, i) => nodeHashing.sha256(HEADERS[i], content));
  const keys = addon.proofKeys(algorithm, Buffer.concat(digests), proofsOf(checksums, SIZES));
  const expected = SIZES.map((size, i) => {
    const sizeBytes = Buffer.alloc(8);
    sizeBytes.writeDoubleLE(size);
    return createHash('sha256').update(sizeBytes).update(checksums[i]).update(digests[i]).update(HEADERS[i]).digest();
  });
  expect(Buffer.concat(expected).equals(keys)).toBe(true);
});

test('arguments that do not fit are refused', async () => {
  const proofs = proofsOf(
    SIZES.map(() => new Uint8Array(32)),
    SIZES,
  );
  const ids = new Uint8Array(32 * SIZES.length);
  const check = (bytes: Uint8Array, given?: typeof proofs): unknown => addon.checkObjects('/', 'sha256', bytes, given);
  expect(() => check(new Uint8Array(33))).toThrow(TypeError);
  expect(() => check(ids.subarray(32), proofs)).toThrow(TypeError);
  expect(() => check(ids, { ...proofs, headers: new Uint8Array(3) } as typeof proofs)).toThrow(TypeError);
  expect(() => check(ids, { ...proofs, sizes: new Float64Array(1) } as typeof proofs)).toThrow(TypeError);
});
