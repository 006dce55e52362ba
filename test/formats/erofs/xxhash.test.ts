import { expect, test } from 'vitest';
import type { ByteString } from '../../../src/formats/byte-string.ts';
import { filterBit } from '../../../src/formats/erofs/xattrs.ts';
import { xxh32 } from '../../../src/formats/erofs/xxhash.ts';

test.each([
  ['', 0, 0x02cc5d05],
  ['abc', 0, 0x32d153ff],
  ['Nobody inspects the spammish repetition', 0, 0xe2293b2f],
] as Array<[ByteString, number, number]>)('xxh32(%j, %i)', (text, seed, hash) => {
  expect(xxh32(text, seed)).toBe(hash);
});

// prefix index, suffix, hash, filter bit: names that images have, computed with the kernel's rule
test.each([
  [4, 'overlay.opaque', 0x4ce0a7f4, 20],
  [4, 'overlay.metacopy', 0xdbe5e05f, 31],
  [4, 'overlay.redirect', 0x887ec271, 17],
  [4, 'overlay.overlay.whiteout', 0x54a3e364, 4],
  [4, 'overlay.overlay.whiteouts', 0x46dd3e0c, 12],
  [4, 'overlay.overlay.opaque', 0x207b5265, 5],
  [1, 'overlay.whiteout', 0xed142e09, 9],
  [1, 'overlay.whiteouts', 0xd11b80b4, 20],
  [1, 'overlay.opaque', 0xf8dc99ea, 10],
  [6, 'selinux', 0x9490146b, 11],
  [2, '', 0x0857597e, 30],
  [3, '', 0x59eeabb5, 21],
  [0, 'lustre.lov', 0x2f70bfc9, 9],
  [5, 'lov', 0xbe060175, 21],
] as Array<[number, ByteString, number, number]>)('filter of prefix %i, %j', (prefix, suffix, hash, bit) => {
  expect(xxh32(suffix, 0x25bbe08f + prefix)).toBe(hash);
  expect(filterBit(prefix, suffix)).toBe(1 << bit);
});
