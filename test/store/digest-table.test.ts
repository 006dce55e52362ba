/** The flat set of ids, against a Map. */

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { type ObjectId, toHex } from '../../src/formats/ids.ts';
import { DigestTable } from '../../src/store/digest-table.ts';

test('remembers every id and its flags while it grows', () => {
  const table = new DigestTable();
  const expected = new Map<string, number>();
  const digests = randomBytes(64 * 50_000);
  for (let i = 0; i < 50_000; i++) {
    const flags = 1 << (i % 8);
    const id = toHex(digests.subarray(64 * i, 64 * i + 64));
    expect(table.mark(flags, digests, 64 * i)).toBe(0);
    expected.set(id, flags);
  }
  expect(table.size).toBe(50_000);
  for (const [id, flags] of expected) expect(table.flagsOf(id as ObjectId)).toBe(flags);
  expect(table.flags(randomBytes(64))).toBe(0);
});

test('adds flags to an id that is there', () => {
  const table = new DigestTable();
  const id = 'ab'.repeat(32) as ObjectId;
  expect(table.markId(1, id)).toBe(0);
  expect(table.markId(4, id)).toBe(1);
  expect(table.markId(4, id)).toBe(5);
  expect(table.flagsOf(id)).toBe(5);
  expect(table.flags(Uint8Array.from(Buffer.from(`ff${id}`, 'hex')), 1)).toBe(5);
  expect(table.size).toBe(1);
});

test('an id of zeros is an id', () => {
  const table = new DigestTable();
  const zeros = new Uint8Array(64);
  expect(table.flags(zeros)).toBe(0);
  table.mark(1, zeros);
  expect(table.flags(zeros)).toBe(1);
  expect(table.size).toBe(1);
});

test('ids that differ in their last kept byte only are told apart, however many', () => {
  const table = new DigestTable();
  const digest = new Uint8Array(32);
  const view = new DataView(digest.buffer);
  for (let i = 0; i < 20_000; i++) {
    view.setUint32(28, i);
    table.mark(1, digest);
  }
  expect(table.size).toBe(20_000);
});
