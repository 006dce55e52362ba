/** The order itself, with lists that ostree 2026.4 made; test/interop/commit.test.ts compares many more with ostree. */

import { expect, test } from 'vitest';
import { glibDictionaryOrder } from '../../../src/formats/ostree/glib-dictionary.ts';

const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `key-${i}`);
const LAST = ['ostree.ref-binding', 'ostree.composefs.digest.v0'];

test('growing the table drives keys out of their slots', () => {
  const order = 'key-11 key-4 key-10 key-3 key-9 key-2 key-8 key-1 key-7 key-0 key-6';
  expect(glibDictionaryOrder([...numbered(12), ...LAST])).toEqual([
    ...order.split(' '),
    ...['ostree.ref-binding', 'key-5', 'ostree.composefs.digest.v0'],
  ]);
});

test.each([0, 1, 7, 8, 100, 5000])('none of %i keys is lost', (count) => {
  expect(glibDictionaryOrder(numbered(count)).sort()).toEqual(numbered(count).sort());
});
