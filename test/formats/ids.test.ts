import { expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import {
  checksumFromBytes,
  fromHex,
  idToBytes,
  isChecksum,
  isObjectId,
  parseChecksum,
  toHex,
} from '../../src/formats/ids.ts';

const ALL = Uint8Array.from({ length: 256 }, (_, byte) => byte);

test('bytes to hex and back, short and long', () => {
  expect(toHex(ALL)).toBe(Buffer.from(ALL).toString('hex'));
  expect(fromHex(toHex(ALL))).toEqual(ALL);
  expect(fromHex(toHex(ALL).toUpperCase())).toEqual(ALL);
  const long = Uint8Array.from({ length: 20_001 }, (_, i) => i % 251);
  expect(toHex(long)).toBe(Buffer.from(long).toString('hex'));
  expect(toHex(new Uint8Array(0))).toBe('');
});

test.each(['a', 'ag', '0x', ' 0', 'é0'])('%j is not hexadecimal', (text) => {
  expect(() => fromHex(text)).toThrow(FormatError);
});

test('checksums are 64 lower-case digits', () => {
  const checksum = checksumFromBytes(ALL, 100);
  expect(checksum).toBe(toHex(ALL.subarray(100, 132)));
  expect(idToBytes(checksum)).toEqual(ALL.slice(100, 132));
  expect(parseChecksum(checksum)).toBe(checksum);
  for (const other of [checksum.toUpperCase(), checksum.slice(1), `${checksum}\n`, `${checksum}0`]) {
    expect(isChecksum(other)).toBe(false);
    expect(() => parseChecksum(other)).toThrow(FormatError);
  }
  expect([isObjectId(checksum, 'sha256'), isObjectId(checksum, 'sha512')]).toEqual([true, false]);
});
