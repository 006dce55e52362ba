import { expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { CommitMap } from '../../src/formats/commit-map.ts';
import { CommitMapBuilder } from '../../src/formats/commit-map-builder.ts';
import { MetObjects } from '../../src/operations/met-objects.ts';

const checksum = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

function baseOf(...bytes: number[]): CommitMap {
  const builder = new CommitMapBuilder('sha512');
  for (const byte of bytes) builder.add(checksum(byte), Uint8Array.of(byte));
  const { content, objectRefs } = builder.build(checksum(bytes[0]));
  return CommitMap.parse(content, objectRefs, 'sha512');
}

test.each([
  ['without a base', undefined],
  ['beside a base', baseOf(2, 4, 6)],
])('each object is met once, %s', (_name, base) => {
  const met = new MetObjects(base, {});
  const numbers = [1, 2, 3, 4, 5].map((byte) => met.meet(checksum(byte), 0, 'file'));
  expect(new Set(numbers).size).toBe(5);
  expect(numbers.map((number) => met.checksumBytesAt(number)[0])).toEqual([1, 2, 3, 4, 5]);
  expect(numbers.map((number) => met.isInBase(number))).toEqual(
    [1, 2, 3, 4, 5].map((byte) => base !== undefined && byte % 2 === 0),
  );
  const again = [1, 2, 3, 4, 5].map((byte) => met.meet(checksum(byte), 0, 'file'));
  expect(again).toEqual(numbers.map((number) => -1 - number));
});

test('the number of an object of the base is that of its entry there', () => {
  const base = baseOf(2, 4, 6);
  const met = new MetObjects(base, {});
  for (const byte of [6, 2, 4]) expect(met.meet(checksum(byte), 0, 'dirtree')).toBe(base.findBytes(checksum(byte)));
});

test('checksums are read where they lie', () => {
  const met = new MetObjects(baseOf(9), {});
  const bytes = Uint8Array.of(0, 0, ...checksum(9), ...checksum(8));
  expect(met.meet(bytes, 2, 'file')).toBe(0);
  expect(met.meet(bytes, 34, 'file')).toBe(1);
  expect(met.meet(checksum(8), 0, 'file')).toBe(-2);
});

test.each([1, 2])('one object as two kinds is damage, object %d', (byte) => {
  const met = new MetObjects(baseOf(2), { file: 'the source' });
  met.meet(checksum(byte), 0, 'dirtree');
  const again = () => met.meet(checksum(byte), 0, 'file');
  expect(again).toThrow(FormatError);
  expect(again).toThrow(/as dirtree and as file/);
});
