import { sha256 } from '@noble/hashes/sha2.js';
import { inflateSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { FormatError, LimitError } from '../../../src/errors.ts';
import { type ByteString, byteStringFromText, byteStringToBytes } from '../../../src/formats/byte-string.ts';
import { fromHex, toHex } from '../../../src/formats/ids.ts';
import {
  type FileHeader,
  isSymlink,
  parseArchiveHeader,
  parseContentHeader,
  parseOstreemeta,
  serializeArchiveHeader,
  serializeContentHeader,
  serializeOstreemeta,
} from '../../../src/formats/ostree/file-header.ts';
import {
  MAX_HEADER_BYTES,
  MAX_TARGET_BYTES,
  MAX_XATTR_NAME_BYTES,
  MAX_XATTR_VALUE_BYTES,
} from '../../../src/formats/ostree/limits.ts';
import { parseFileXattrs, serializeFileXattrs } from '../../../src/formats/ostree/xattrs.ts';
import type { Xattr } from '../../../src/formats/tree.ts';

const hex = (text: string): Uint8Array => fromHex(text.replace(/[ |\n]/g, ''));
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const xattr = (name: string, value: string): Xattr => ({ name: byteStringFromText(name), value: bytesOf(value) });
const regular = (mode: number, xattrs: Xattr[] = []): FileHeader => ({
  uid: 0,
  gid: 0,
  mode: 0o100000 | mode,
  target: '' as ByteString,
  xattrs,
});
const symlink = (target: string): FileHeader => ({ ...regular(0), mode: 0o120777, target: byteStringFromText(target) });

/** Files of 0:0 and what ostree 2026.4 stored and hashed. */
const FILES = [
  {
    name: 'hello',
    header: regular(0o644),
    content: 'hello\n',
    stream: '00000012 00000000 | 00000000 00000000 000081a4 00000000 00 11 | 68656c6c6f0a',
    filez: '0000001a 00000000 | 0000000000000006 00000000 00000000 000081a4 00000000 00 19 | cb48cdc9c9e70200',
    checksum: '44f778e59f0a4748d6b0c90a47347212a231c4ad1e8f7ea5c5dffc7749153a6b',
  },
  {
    name: 'empty',
    header: regular(0o600),
    content: '',
    stream: '00000012 00000000 | 00000000 00000000 00008180 00000000 00 11',
    filez: '0000001a 00000000 | 0000000000000000 00000000 00000000 00008180 00000000 00 19 | 0300',
    checksum: 'd3fa9214de0816a2cf5475da17be2036ae0eda3df526eff7c1ddee082c6e5b58',
  },
  {
    name: 'link',
    header: symlink('hello'),
    content: '',
    stream: '00000017 00000000 | 00000000 00000000 0000a1ff 00000000 68656c6c6f00 16',
    filez: '0000001f 00000000 | 0000000000000000 00000000 00000000 0000a1ff 00000000 68656c6c6f00 1e',
    checksum: '73baaba0102e9154b8522687d33eedb8ed1bc78eadb82428b2616144ec502934',
  },
  {
    name: 'xa',
    header: regular(0o644, [xattr('user.a', '1'), xattr('user.b', '2')]),
    content: 'x',
    stream:
      '00000026 00000000 | 00000000 00000000 000081a4 00000000 00 757365722e610031 07 757365722e620032 07 09 12 11 | 78',
    filez: `0000002e 00000000 | 0000000000000001 00000000 00000000 000081a4 00000000 00
      757365722e610031 07 757365722e620032 07 09 12 19 | ab0000`,
    checksum: '2574b4a04f7b5364089d4e26ba0ceefd058d8fe982f729605ecb964aaac65ca1',
  },
];

describe.each(FILES)('$name', ({ header, content, stream, filez, checksum }) => {
  test('stream and checksum', () => {
    const bytes = Uint8Array.from([...serializeContentHeader(header), ...bytesOf(content)]);
    expect(toHex(bytes)).toBe(toHex(hex(stream)));
    expect(toHex(sha256(bytes))).toBe(checksum);
  });
  test('archive file', () => {
    const bytes = hex(filez);
    const parsed = parseArchiveHeader(bytes);
    expect(parsed.header).toEqual(header);
    expect(parsed.sizeBytes).toBe(content.length);
    expect(serializeArchiveHeader(header, content.length)).toEqual(bytes.subarray(0, parsed.headerBytes));
    const body = bytes.subarray(parsed.headerBytes);
    if (isSymlink(header)) expect(body.length).toBe(0);
    else expect(inflateSync(body)).toEqual(bytesOf(content));
  });
});

test('names of other files of 0:0', () => {
  const checksum = (header: FileHeader, content: string) =>
    toHex(sha256(Uint8Array.from([...serializeContentHeader(header), ...bytesOf(content)])));
  expect(checksum(regular(0o4755), '#!/bin/sh\n')).toBe(
    'de953b993c977f782cf0990325551ecbc6598bf8a513f0734a440af8d4e8e1fe',
  );
  expect(checksum(regular(0o664), 'deep')).toBe('ffe0d1cfa7fdd2a6caa3be3007a3f181aeb15dd4ccde0ad0a92391f748e3bf7f');
  expect(checksum(regular(0o644), '')).toBe('cc700d46f407c6c5ab2d5dde474366a928b7398277e61162e7f8ec06f469f07e');
  expect(checksum(regular(0o644), 'A')).toBe('880e22749661efe8d3db30b9de217c5acc8942beecfc92ea5ce2e682325e7382');
});

test('a header above 255 bytes has offsets of two bytes', () => {
  const header = regular(0o644, [xattr('user.big', 'Z'.repeat(300))]);
  const content = serializeContentHeader(header);
  const archive = serializeArchiveHeader(header, 2);
  expect([content.length, archive.length]).toEqual([8 + 332, 8 + 340]);
  expect(toHex(content.subarray(-6))).toBe('090037011100');
  expect(toHex(archive.subarray(-6))).toBe('090037011900');
  expect(toHex(sha256(Uint8Array.from([...content, ...bytesOf('x\n')])))).toBe(
    '6a7ff05fdc9f7f2133054e0132adace3700be6fbd3d4eaeaed96781c1c4b16c0',
  );
  expect(parseArchiveHeader(archive).header).toEqual(header);
});

test('xattrs are written sorted, whatever order they come in', () => {
  const xattrs = [xattr('user.b', '2'), xattr('user.a', '1')];
  expect(serializeContentHeader(regular(0o644, xattrs))).toEqual(
    serializeContentHeader(regular(0o644, xattrs.toReversed())),
  );
});

describe('user.ostreemeta', () => {
  test.each([
    ['hello', regular(0o644), '00000000 00000000 000081a4'],
    ['link', symlink('hello'), '00000000 00000000 0000a1ff'],
    [
      'xa',
      regular(0o644, [xattr('user.a', '1'), xattr('user.b', '2')]),
      '00000000 00000000 000081a4 757365722e610031 07 757365722e620032 07 09 12',
    ],
  ])('%s', (_, { target: _target, ...inode }, data) => {
    expect(parseOstreemeta(hex(data))).toEqual(inode);
    expect(serializeOstreemeta(inode)).toEqual(hex(data));
  });
  test('xattrs of older writers may be unsorted, and come out sorted', () => {
    const unsorted = hex('00000000 00000000 000081a4 757365722e620032 07 757365722e610031 07 09 12');
    expect(parseOstreemeta(unsorted).xattrs.map(({ name }) => name)).toEqual(['user.a', 'user.b']);
    const twice = hex('00000000 00000000 000081a4 757365722e620032 07 757365722e620031 07 09 12');
    expect(() => parseOstreemeta(twice)).toThrow(FormatError);
  });
  test('of a directory or pipe it is refused', () => {
    expect(() => parseOstreemeta(hex('00000000 00000000 000041ed'))).toThrow(FormatError);
    expect(() => parseOstreemeta(hex('00000000 00000000 000011a4'))).toThrow(FormatError);
  });
});

describe('refused', () => {
  const good = hex(FILES[0].filez);
  const withByte = (offset: number, value: number): Uint8Array => good.with(offset, value);
  test.each<[what: string, bytes: Uint8Array, field: string, offset: number]>([
    ['prefix cut short', good.subarray(0, 7), 'length', 0],
    ['variant cut short', good.subarray(0, 33), 'length', 0],
    ['length 0', withByte(3, 0), 'length', 0],
    ['length of a variant without target', withByte(3, 24), 'length', 0],
    ['padding', withByte(7, 1), 'padding', 4],
    ['a size beyond exact numbers', withByte(9, 0x20), 'size', 8],
    ['rdev', withByte(31, 1), 'rdev', 28],
    ['type pipe', withByte(26, 0x11), 'mode', 24],
    ['bits above the type', withByte(25, 1), 'mode', 24],
    ['target of a regular file', serializeArchiveHeader({ ...symlink('x'), mode: 0o100644 }, 0), 'target', 32],
    ['symlink without target', serializeArchiveHeader({ ...symlink('x'), target: '' as ByteString }, 0), 'target', 32],
    ['symlink with a size', serializeArchiveHeader(symlink('x'), 1), 'size', 8],
    [
      'target that is not UTF-8',
      serializeArchiveHeader({ ...symlink('x'), target: '\xff' as ByteString }, 0),
      'target',
      32,
    ],
    ['target with a NUL', serializeArchiveHeader({ ...symlink('x'), target: 'a\0b' as ByteString }, 0), 'target', 32],
    ['offset before the target', withByte(33, 0x18), 'target', 33],
    ['offset behind the body', withByte(33, 0x1b), 'target', 33],
    ['no NUL', withByte(32, 0x61), 'target', 32],
  ])('%s', (_, bytes, field, offset) => {
    expect(() => parseArchiveHeader(bytes, { object: 'x.filez' })).toThrow(
      expect.objectContaining({ exitCode: 5, where: { object: 'x.filez', format: 'file header', field, offset } }),
    );
  });

  test('a content header with anything behind it', () => {
    const bytes = serializeContentHeader(regular(0o644));
    expect(() => parseContentHeader(Uint8Array.from([...bytes, 0]))).toThrow(FormatError);
    expect(() => parseContentHeader(bytes.subarray(0, -1))).toThrow(FormatError);
  });
});

describe('limits', () => {
  test('of target, xattr name and xattr value', () => {
    const target = (length: number) => serializeArchiveHeader(symlink('t'.repeat(length)), 0);
    expect(byteStringToBytes(parseArchiveHeader(target(MAX_TARGET_BYTES)).header.target).length).toBe(MAX_TARGET_BYTES);
    expect(() => parseArchiveHeader(target(MAX_TARGET_BYTES + 1))).toThrow(LimitError);
    const attributes = (name: number, value: number) =>
      serializeArchiveHeader(regular(0o644, [xattr('n'.repeat(name), 'v'.repeat(value))]), 0);
    expect(() => parseArchiveHeader(attributes(MAX_XATTR_NAME_BYTES, MAX_XATTR_VALUE_BYTES))).not.toThrow();
    expect(() => parseArchiveHeader(attributes(MAX_XATTR_NAME_BYTES + 1, 1))).toThrow(LimitError);
    expect(() => parseArchiveHeader(attributes(1, MAX_XATTR_VALUE_BYTES + 1))).toThrow(LimitError);
  });
  test('of the header, seen before it is read', () => {
    const prefix = new Uint8Array(8);
    new DataView(prefix.buffer).setUint32(0, MAX_HEADER_BYTES + 1);
    expect(() => parseArchiveHeader(prefix)).toThrow(LimitError);
    new DataView(prefix.buffer).setUint32(0, MAX_HEADER_BYTES);
    expect(() => parseArchiveHeader(prefix)).not.toThrow(LimitError);
    expect(() => parseArchiveHeader(prefix)).toThrow(FormatError);
  });
});

test('detached xattrs of bare-split-xattrs', () => {
  const bytes = hex('757365722e6d796b657900 6d7976616c7565 0b 13');
  expect(parseFileXattrs(bytes)).toEqual([xattr('user.mykey', 'myvalue')]);
  expect(serializeFileXattrs([xattr('user.mykey', 'myvalue')])).toEqual(bytes);
  expect(toHex(sha256(bytes))).toBe('ff85c5dbc5c6a3180554d9158cf4a6b606f6b8eb8e26c94c887fa4d0613e8251');
  expect(parseFileXattrs(new Uint8Array(0))).toEqual([]);
  expect(serializeFileXattrs([])).toEqual(new Uint8Array(0));
  expect(() => parseFileXattrs(bytes.subarray(1, -1))).toThrow(FormatError);
});
