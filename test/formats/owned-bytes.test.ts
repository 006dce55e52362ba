import { expect, test } from 'vitest';
import { grow, joined, release } from '../../src/formats/owned-bytes.ts';

test('a grown buffer has the same bytes, zeros behind them, and the old one is gone', () => {
  const small = Uint8Array.of(1, 2, 3);
  expect(grow(small, 5)).toEqual(Uint8Array.of(1, 2, 3, 0, 0));
  expect(small).toHaveLength(0);
});

test('a released buffer is empty in every view', () => {
  const bytes = new Uint8Array(1 << 20);
  const view = bytes.subarray(8, 16);
  release(view);
  expect(bytes).toHaveLength(0);
  expect(view).toHaveLength(0);
  expect(bytes.buffer.byteLength).toBe(0);
});

test('parts are joined in order', () => {
  expect(joined([Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)])).toEqual(Uint8Array.of(1, 2, 3));
  expect(joined([])).toHaveLength(0);
});
