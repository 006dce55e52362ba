/**
 * Dirtrees, dirmetas and file headers are read straight from the bytes. Here the general GVariant reader and a naive statement of
 * the rules say what they must answer, on random objects and on damaged ones.
 */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.ts';
import { type ByteString, byteStringFromBytes, byteStringFromText } from '../../../src/formats/byte-string.ts';
import { type GvValue, parseType, parseVariant, serializeVariant } from '../../../src/formats/gvariant.ts';
import { checksumFromBytes } from '../../../src/formats/ids.ts';
import { parseDirmeta, serializeDirmeta } from '../../../src/formats/ostree/dirmeta.ts';
import { parseDirtree, serializeDirtree } from '../../../src/formats/ostree/dirtree.ts';
import {
  parseArchiveHeader,
  parseContentHeader,
  serializeArchiveHeader,
  serializeContentHeader,
} from '../../../src/formats/ostree/file-header.ts';
import type { Xattr } from '../../../src/formats/tree.ts';

const RUNS = 2000;
const DIRTREE = parseType('(a(say)a(sayay))');
const DIRMETA = parseType('(uuua(ayay))');
const CONTENT_HEADER = parseType('(uuuusa(ayay))');
const ARCHIVE_HEADER = parseType('(tuuuusa(ayay))');

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const withNul = (name: ByteString): Uint8Array => Uint8Array.from([...name].map((c) => c.charCodeAt(0)).concat(0));
const swap32 = (value: number): number => new DataView(Uint32Array.of(value).buffer).getUint32(0, false);
const swap64 = (value: bigint): bigint => new DataView(BigUint64Array.of(value).buffer).getBigUint64(0, false);
const byBytes = (a: string, b: string): number => Buffer.compare(bytesOf(a), bytesOf(b));

const nameArbitrary = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
    fc.stringMatching(/^[a-c.]{1,3}$/),
    fc.constant('n'.repeat(255)),
  )
  .map((text) => text.replaceAll(/[\0/]/g, '_'))
  .filter((text) => text !== '.' && text !== '..' && bytesOf(text).length <= 255);
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const xattrsArbitrary: fc.Arbitrary<Xattr[]> = fc
  .uniqueArray(fc.uint8Array({ min: 1, minLength: 1, maxLength: 255 }), {
    maxLength: 5,
    selector: (name) => byteStringFromBytes(name),
  })
  .chain((names) =>
    fc.tuple(
      ...names.map((name) =>
        fc.record({ name: fc.constant(byteStringFromBytes(name)), value: fc.uint8Array({ maxLength: 400 }) }),
      ),
    ),
  );
const sorted = (xattrs: Xattr[]): Xattr[] => xattrs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
const generic = (xattrs: Xattr[]): GvValue => sorted(xattrs).map(({ name, value }) => [withNul(name), value]);

const treeArbitrary = fc
  .uniqueArray(nameArbitrary, { maxLength: 12 })
  .chain((names) => fc.tuple(...names.map((name) => fc.tuple(fc.constant(name), fc.boolean(), digest, digest))));
const metaArbitrary = fc.record({
  uid: u32,
  gid: u32,
  mode: fc.integer({ min: 0, max: 0o7777 }).map((bits) => 0o040000 | bits),
  xattrs: xattrsArbitrary,
});
const headerArbitrary = fc.record({
  uid: u32,
  gid: u32,
  permissions: fc.integer({ min: 0, max: 0o7777 }),
  target: fc.option(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }).map((text) => text.replaceAll('\0', '_')),
  ),
  xattrs: xattrsArbitrary,
  sizeBytes: fc.maxSafeNat(),
});
const make = (one: typeof headerArbitrary extends fc.Arbitrary<infer T> ? T : never) => ({
  header: {
    uid: one.uid,
    gid: one.gid,
    mode: (one.target === null ? 0o100000 : 0o120000) | one.permissions,
    target: byteStringFromText(one.target ?? ''),
    xattrs: sorted(one.xattrs),
  },
  sizeBytes: one.target === null ? one.sizeBytes : 0,
  target: one.target ?? '',
});

test('dirtrees are written as the general writer does, and read back', () => {
  fc.assert(
    fc.property(treeArbitrary, (entries) => {
      const ordered = entries.toSorted(([a], [b]) => byBytes(a, b));
      const files = ordered.filter(([, isFile]) => isFile);
      const directories = ordered.filter(([, isFile]) => !isFile);
      const bytes = serializeVariant(DIRTREE, [
        files.map(([name, , checksum]) => [name, checksum]),
        directories.map(([name, , dirtree, dirmeta]) => [name, dirtree, dirmeta]),
      ]);
      const dirtree = {
        files: files.map(([name, , checksum]) => ({
          name: byteStringFromText(name),
          checksum: checksumFromBytes(checksum),
        })),
        directories: directories.map(([name, , tree, meta]) => ({
          name: byteStringFromText(name),
          dirtree: checksumFromBytes(tree),
          dirmeta: checksumFromBytes(meta),
        })),
      };
      expect(parseDirtree(bytes)).toEqual(dirtree);
      const shuffled = { files: dirtree.files.toReversed(), directories: dirtree.directories.toReversed() };
      expect(serializeDirtree(shuffled)).toEqual(bytes);
    }),
    { numRuns: RUNS },
  );
});

test('dirmetas are written as the general writer does, and read back', () => {
  fc.assert(
    fc.property(metaArbitrary, (meta) => {
      const numbers = [meta.uid, meta.gid, meta.mode].map(swap32);
      const bytes = serializeVariant(DIRMETA, [...numbers, generic(meta.xattrs)]);
      expect(serializeDirmeta(meta)).toEqual(bytes);
      expect(parseDirmeta(bytes)).toEqual({ ...meta, xattrs: sorted(meta.xattrs) });
    }),
    { numRuns: RUNS },
  );
});

test('file headers are written as the general writer does, and read back', () => {
  fc.assert(
    fc.property(headerArbitrary, fc.uint8Array({ maxLength: 20 }), (sample, content) => {
      const { header, sizeBytes, target } = make(sample);
      const numbers = [header.uid, header.gid, header.mode, 0].map(swap32);
      const plain = serializeVariant(CONTENT_HEADER, [...numbers, target, generic(header.xattrs)]);
      const sized = serializeVariant(ARCHIVE_HEADER, [
        swap64(BigInt(sizeBytes)),
        ...numbers,
        target,
        generic(header.xattrs),
      ]);
      expect(serializeContentHeader(header).subarray(8)).toEqual(plain);
      expect(parseContentHeader(serializeContentHeader(header))).toEqual(header);
      const bytes = serializeArchiveHeader(header, sizeBytes);
      expect(bytes.subarray(8)).toEqual(sized);
      expect(new DataView(bytes.buffer).getBigUint64(0)).toBe(BigInt(sized.length) << 32n);
      const followed = Uint8Array.from([...bytes, ...content]);
      expect(parseArchiveHeader(followed)).toEqual({ header, sizeBytes, headerBytes: bytes.length });
    }),
    { numRuns: RUNS },
  );
});

/** One byte changed, one inserted, one left out, or the end cut off. */
const damageArbitrary = fc.record({
  kind: fc.constantFrom('change', 'insert', 'remove', 'cut'),
  position: fc.nat({ max: 100_000 }),
  fromEnd: fc.boolean(),
  byte: fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0, 1, 0x2e, 0x2f, 0xff)),
});
function damage(bytes: Uint8Array, one: typeof damageArbitrary extends fc.Arbitrary<infer T> ? T : never): Uint8Array {
  if (bytes.length === 0) return bytes;
  // Framing offsets lie at the end: half of the damage goes there.
  const reach = one.fromEnd ? Math.min(bytes.length, 12) : bytes.length;
  const at = bytes.length - 1 - (one.position % reach);
  const before = bytes.subarray(0, at);
  switch (one.kind) {
    case 'change':
      return Uint8Array.from([...before, one.byte, ...bytes.subarray(at + 1)]);
    case 'insert':
      return Uint8Array.from([...before, one.byte, ...bytes.subarray(at)]);
    case 'remove':
      return Uint8Array.from([...before, ...bytes.subarray(at + 1)]);
    default:
      return before.slice();
  }
}

/** What the reader must do, said slowly: undefined where the value breaks a rule. */
function naively<T>(parse: () => T | undefined): T | undefined {
  try {
    return parse();
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return undefined;
  }
}
function ascending(names: string[]): boolean {
  return names.every((name, i) => i === 0 || names[i - 1] < name);
}
const raw = (name: string): ByteString => byteStringFromText(name);

function naiveXattrs(value: GvValue): Xattr[] | undefined {
  const pairs = value as Array<[Uint8Array, Uint8Array]>;
  if (pairs.some(([name]) => name.length < 2 || name.length > 256 || name.indexOf(0) !== name.length - 1))
    return undefined;
  const xattrs = pairs.map(([name, data]) => ({
    name: byteStringFromBytes(name.subarray(0, -1)),
    value: data.slice(),
  }));
  return ascending(xattrs.map(({ name }) => name)) ? xattrs : undefined;
}

function agrees(fast: () => unknown, naive: () => unknown): boolean {
  const wanted = naively(naive);
  if (wanted === undefined) expect(fast).toThrow(FormatError);
  else expect(fast()).toEqual(wanted);
  return wanted !== undefined;
}

test('damaged dirtrees: both agree', () => {
  let accepted = 0;
  fc.assert(
    fc.property(treeArbitrary, fc.array(damageArbitrary, { minLength: 1, maxLength: 2 }), (entries, damages) => {
      const ordered = entries.toSorted(([a], [b]) => byBytes(a, b));
      const whole = serializeVariant(DIRTREE, [
        ordered.filter(([, isFile]) => isFile).map(([name, , checksum]) => [name, checksum]),
        ordered.filter(([, isFile]) => !isFile).map(([name, , tree, meta]) => [name, tree, meta]),
      ]);
      const bytes = damages.reduce(damage, whole);
      const naive = () => {
        const [files, directories] = parseVariant(DIRTREE, bytes) as [
          Array<[string, Uint8Array]>,
          Array<[string, Uint8Array, Uint8Array]>,
        ];
        const all = [...files, ...directories];
        const names = all.map(([name]) => name);
        if (names.some((name) => ['', '.', '..'].includes(name) || name.includes('/') || bytesOf(name).length > 255))
          return undefined;
        if (new Set(names).size < names.length) return undefined;
        if (all.some(([, ...checksums]) => checksums.some(({ length }) => length !== 32))) return undefined;
        if (!ascending(files.map(([name]) => raw(name))) || !ascending(directories.map(([name]) => raw(name))))
          return undefined;
        return {
          files: files.map(([name, checksum]) => ({ name: raw(name), checksum: checksumFromBytes(checksum) })),
          directories: directories.map(([name, tree, meta]) => ({
            name: raw(name),
            dirtree: checksumFromBytes(tree),
            dirmeta: checksumFromBytes(meta),
          })),
        };
      };
      if (agrees(() => parseDirtree(bytes), naive)) accepted++;
    }),
    { numRuns: 3 * RUNS },
  );
  expect(accepted).toBeGreaterThan(10);
});

test('damaged dirmetas: both agree', () => {
  let accepted = 0;
  fc.assert(
    fc.property(metaArbitrary, fc.array(damageArbitrary, { minLength: 1, maxLength: 2 }), (meta, damages) => {
      const bytes = damages.reduce(damage, serializeDirmeta(meta));
      const naive = () => {
        const [uid, gid, mode, pairs] = parseVariant(DIRMETA, bytes, { endian: 'be' }) as [
          number,
          number,
          number,
          GvValue,
        ];
        const xattrs = naiveXattrs(pairs);
        return xattrs === undefined || mode >>> 12 !== 0o04 ? undefined : { uid, gid, mode, xattrs };
      };
      if (agrees(() => parseDirmeta(bytes), naive)) accepted++;
    }),
    { numRuns: 3 * RUNS },
  );
  expect(accepted).toBeGreaterThan(10);
});

test('damaged file headers: both agree', () => {
  let accepted = 0;
  fc.assert(
    fc.property(headerArbitrary, fc.array(damageArbitrary, { minLength: 1, maxLength: 2 }), (sample, damages) => {
      const { header, sizeBytes } = make(sample);
      const bytes = damages.reduce(damage, serializeArchiveHeader(header, sizeBytes));
      const naive = () => {
        if (bytes.length < 8) return undefined;
        const variantBytes = new DataView(bytes.buffer).getUint32(0);
        if (bytes.subarray(4, 8).some((byte) => byte !== 0) || 8 + variantBytes > bytes.length) return undefined;
        const variant = bytes.slice(8, 8 + variantBytes);
        const members = parseVariant(ARCHIVE_HEADER, variant, { endian: 'be' });
        const [size, uid, gid, mode, rdev, target, pairs] = members as [
          bigint,
          number,
          number,
          number,
          number,
          string,
          GvValue,
        ];
        const xattrs = naiveXattrs(pairs);
        const type = mode >>> 12;
        if (xattrs === undefined || rdev !== 0 || (type !== 0o10 && type !== 0o12)) return undefined;
        if ((type === 0o12) === (target === '') || (type === 0o12 && size !== 0n) || size >= 2n ** 53n)
          return undefined;
        return {
          header: { uid, gid, mode, target: raw(target), xattrs },
          sizeBytes: Number(size),
          headerBytes: 8 + variantBytes,
        };
      };
      if (agrees(() => parseArchiveHeader(bytes), naive)) accepted++;
    }),
    { numRuns: 3 * RUNS },
  );
  expect(accepted).toBeGreaterThan(10);
});
