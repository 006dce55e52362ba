import { sha256 } from '@noble/hashes/sha2.js';
import { describe, expect, test } from 'vitest';
import { FormatError, LimitError } from '../../../src/errors.ts';
import { type ByteString, byteStringFromText } from '../../../src/formats/byte-string.ts';
import { type GvValue, parseType, serializeVariant } from '../../../src/formats/gvariant.ts';
import { type Checksum, fromHex, toHex } from '../../../src/formats/ids.ts';
import { parseDirmeta, serializeDirmeta } from '../../../src/formats/ostree/dirmeta.ts';
import { parseDirtree, serializeDirtree } from '../../../src/formats/ostree/dirtree.ts';
import { MAX_DIRECTORY_ENTRIES, MAX_HEADER_BYTES, MAX_NAME_BYTES } from '../../../src/formats/ostree/limits.ts';

const hex = (text: string): Uint8Array => fromHex(text.replace(/[ |]/g, ''));
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const checksum = (digit: string) => digit.repeat(64) as Checksum;
const DIRMETA_755 = '446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488' as Checksum;

describe('dirtree', () => {
  const DEEP = 'ffe0d1cfa7fdd2a6caa3be3007a3f181aeb15dd4ccde0ad0a92391f748e3bf7f' as Checksum;
  const SUB = '3c7622bb8e18f2e23548f6ae910fa129ebc976103b496e111d69d91f4aff2d75' as Checksum;

  test('trees that ostree 2026.4 made', () => {
    const sub = serializeDirtree({ files: [{ name: 'deep' as ByteString, checksum: DEEP }], directories: [] });
    expect(toHex(sub)).toBe(`6465657000${DEEP}052627`);
    expect(toHex(sha256(sub))).toBe(SUB);
    const files = Object.entries({
      empty: 'd3fa9214de0816a2cf5475da17be2036ae0eda3df526eff7c1ddee082c6e5b58',
      hello: '44f778e59f0a4748d6b0c90a47347212a231c4ad1e8f7ea5c5dffc7749153a6b',
      link: '73baaba0102e9154b8522687d33eedb8ed1bc78eadb82428b2616144ec502934',
      run: 'de953b993c977f782cf0990325551ecbc6598bf8a513f0734a440af8d4e8e1fe',
      xa: '2574b4a04f7b5364089d4e26ba0ceefd058d8fe982f729605ecb964aaac65ca1',
    }).map(([name, value]) => ({ name: name as ByteString, checksum: value as Checksum }));
    const directories = [{ name: 'sub' as ByteString, dirtree: SUB, dirmeta: DIRMETA_755 }];
    const root = serializeDirtree({ files, directories });
    expect(root.length).toBe(267);
    expect(toHex(sha256(root))).toBe('49e2ab98656e0caf2bdd8624a01982356fe1e08cbdd1ecaa6e1be6f1d068c7e2');
    expect(parseDirtree(root)).toEqual({ files, directories });
  });

  test('the empty one is one zero byte', () => {
    expect(parseDirtree(Uint8Array.of(0))).toEqual({ files: [], directories: [] });
    expect(serializeDirtree({ files: [], directories: [] })).toEqual(Uint8Array.of(0));
    expect(() => parseDirtree(new Uint8Array(0))).toThrow(FormatError);
  });

  test('names are in byte order, written so and required so', () => {
    const names = ['-x', 'B', 'Z', '_', 'a', 'a.b', 'ab', 'b', 'zz', 'é', '\u{fffd}', '\u{10000}'].map(
      byteStringFromText,
    );
    const files = names.map((name) => ({ name, checksum: checksum('1') }));
    const bytes = serializeDirtree({ files: files.toReversed(), directories: [] });
    expect(parseDirtree(bytes).files).toEqual(files);
  });

  const TYPE = parseType('(a(say)a(sayay))');
  const digest = new Uint8Array(32);
  const tree = (files: GvValue[], directories: GvValue[] = []) => serializeVariant(TYPE, [files, directories]);
  const named = (...names: string[]) => names.map((name) => [name, digest]);
  const namedDirectories = (...names: string[]) => names.map((name) => [name, digest, digest]);

  test.each<[what: string, bytes: Uint8Array, field: string]>([
    ['empty name', tree(named('')), 'files'],
    ['.', tree(named('.')), 'files'],
    ['..', tree([], namedDirectories('..')), 'directories'],
    ['slash', tree(named('a/b')), 'files'],
    ['duplicate file', tree(named('a', 'a')), 'files'],
    ['duplicate directory', tree([], namedDirectories('a', 'a')), 'directories'],
    ['file and directory of one name', tree(named('a', 'b', 'd'), namedDirectories('0', 'c', 'd')), 'directories'],
    ['unsorted files', tree(named('b', 'a')), 'files'],
    ['unsorted directories', tree([], namedDirectories('b', 'a')), 'directories'],
    ['order of UTF-16 instead of bytes', tree(named('\u{10000}', '\u{fffd}')), 'files'],
    ['file checksum of 31 bytes', tree([['a', digest.subarray(1)]]), 'files'],
    ['file checksum of 33 bytes', tree([['a', new Uint8Array(33)]]), 'files'],
    ['no file checksum', tree([['a', digest.subarray(32)]]), 'files'],
    ['dirtree checksum of 31 bytes', tree([], [['a', digest.subarray(1), digest]]), 'directories'],
    ['dirmeta checksum of 31 bytes', tree([], [['a', digest, digest.subarray(1)]]), 'directories'],
    ['checksums of 31 and 33 bytes', tree([], [['a', digest.subarray(1), new Uint8Array(33)]]), 'directories'],
  ])('%s is refused', (_, bytes, field) => {
    expect(() => parseDirtree(bytes, { object: 'x.dirtree' })).toThrow(
      expect.objectContaining({
        code: 'CFS_FORMAT',
        where: { object: 'x.dirtree', format: 'dirtree', field, offset: expect.any(Number) },
      }),
    );
  });

  test('control characters, newline and backslash are names like others', () => {
    const names = ['\x01', '\n', '\\', 'a b'];
    expect(parseDirtree(tree(named(...names))).files.map(({ name }) => name)).toEqual(names);
  });

  test('the longest name', () => {
    expect(parseDirtree(tree(named('n'.repeat(MAX_NAME_BYTES)))).files[0].name.length).toBe(MAX_NAME_BYTES);
    expect(() => parseDirtree(tree(named('n'.repeat(MAX_NAME_BYTES + 1))))).toThrow(LimitError);
    expect(() => parseDirtree(tree(named('é'.repeat(MAX_NAME_BYTES / 2 + 1))))).toThrow(LimitError);
  });

  test('a directory of more entries than memory should hold is a LimitError', () => {
    const offsets = new Uint8Array(4 * (MAX_DIRECTORY_ENTRIES + 1)); // entries of no bytes: that many are only claimed
    const bytes = new Uint8Array(offsets.length + 4);
    new DataView(bytes.buffer).setUint32(offsets.length, offsets.length, true);
    expect(() => parseDirtree(bytes)).toThrow(LimitError);
  });

  test('60,000 entries are read in well under a second', () => {
    const files = Array.from({ length: 60_000 }, (_, i) => ({ name: `f${i}` as ByteString, checksum: checksum('7') }));
    const bytes = serializeDirtree({ files, directories: [] });
    const start = performance.now();
    expect(parseDirtree(bytes).files.length).toBe(60_000);
    expect(performance.now() - start).toBeLessThan(3000); // some 40 ms alone; others may use the machine
  });
});

describe('dirmeta', () => {
  test('0:0 0755', () => {
    const bytes = hex('00000000 00000000 000041ed');
    const dirmeta = { uid: 0, gid: 0, mode: 0o040755, xattrs: [] };
    expect(parseDirmeta(bytes)).toEqual(dirmeta);
    expect(serializeDirmeta(dirmeta)).toEqual(bytes);
    expect(toHex(sha256(bytes))).toBe(DIRMETA_755);
  });
  test('an xattr, whose name is stored with its NUL', () => {
    const bytes = hex('00000000 00000000 000041ed 757365722e6100 31 07 09');
    const xattrs = [{ name: 'user.a' as ByteString, value: bytesOf('1') }];
    expect(parseDirmeta(bytes).xattrs).toEqual(xattrs);
    expect(serializeDirmeta({ uid: 0, gid: 0, mode: 0o040755, xattrs })).toEqual(bytes);
  });
  test('larger than a header may be is a LimitError', () => {
    expect(() => parseDirmeta(new Uint8Array(MAX_HEADER_BYTES + 1))).toThrow(LimitError);
  });
  test('owners beyond 2^31 and all permission bits', () => {
    const dirmeta = { uid: 3_000_000_000, gid: 0xffff_fffe, mode: 0o047777, xattrs: [] };
    expect(parseDirmeta(serializeDirmeta(dirmeta))).toEqual(dirmeta);
  });

  const TYPE = parseType('(uuua(ayay))');
  const meta = (mode: number, xattrs: GvValue = []) => serializeVariant(TYPE, [0, 0, mode, xattrs], 'be');
  test.each<[what: string, bytes: Uint8Array, field: string, offset: number]>([
    ['a file', meta(0o100755), 'mode', 8],
    ['no type', meta(0o755), 'mode', 8],
    ['bits above the type', meta(0o240755), 'mode', 8],
    ['little-endian', hex('00000000 00000000 ed410000'), 'mode', 8],
    ['eleven bytes', meta(0o040755).subarray(1), 'value', 0],
    ['empty xattr name', meta(0o040755, [[bytesOf('\0'), bytesOf('1')]]), 'xattrs', 12],
    ['xattr name without NUL', meta(0o040755, [[bytesOf('a'), bytesOf('1')]]), 'xattrs', 12],
    ['xattr name of no bytes', meta(0o040755, [[bytesOf(''), bytesOf('1')]]), 'xattrs', 12],
    ['NUL inside an xattr name', meta(0o040755, [[bytesOf('a\0b\0'), bytesOf('1')]]), 'xattrs', 12],
    [
      'xattr twice',
      meta(0o040755, [
        [bytesOf('a\0'), bytesOf('1')],
        [bytesOf('a\0'), bytesOf('2')],
      ]),
      'xattrs',
      12,
    ],
    [
      'unsorted xattrs',
      meta(0o040755, [
        [bytesOf('b\0'), bytesOf('1')],
        [bytesOf('a\0'), bytesOf('2')],
      ]),
      'xattrs',
      12,
    ],
  ])('%s is refused', (_, bytes, field, offset) => {
    expect(() => parseDirmeta(bytes, { object: 'x.dirmeta' })).toThrow(
      expect.objectContaining({ code: 'CFS_FORMAT', where: { object: 'x.dirmeta', format: 'dirmeta', field, offset } }),
    );
  });
});
