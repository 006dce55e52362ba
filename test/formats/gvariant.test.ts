import { sha256 } from '@noble/hashes/sha2.js';
import { describe, expect, test } from 'vitest';
import { CfsError, FormatError, LimitError } from '../../src/errors.ts';
import {
  type Endian,
  type GvValue,
  isNormalForm,
  lookUp,
  MAX_TYPE_CHARACTERS,
  MAX_VALUES,
  parseType,
  parseVariant,
  serializeVariant,
  type VariantDictionary,
} from '../../src/formats/gvariant.ts';
import { fromHex, toHex } from '../../src/formats/ids.ts';

const hex = (text: string): Uint8Array => fromHex(text.replace(/[ |]/g, ''));
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const parse = (signature: string, data: Uint8Array, endian?: Endian) =>
  parseVariant(parseType(signature), data, { endian });
const serialize = (signature: string, value: GvValue, endian?: Endian) =>
  serializeVariant(parseType(signature), value, endian);

/** Written and read back by GLib 2.74, but for maybes of maybes, which follow from the rules. */
const EXAMPLES: Array<[signature: string, value: GvValue, hex: string]> = [
  ['b', true, '01'],
  ['n', -2, 'fe ff'],
  ['u', 0x01020304, '04 03 02 01'],
  ['t', 0x0102030405060708n, '08 07 06 05 04 03 02 01'],
  ['d', 1.5, '00 00 00 00 00 00 f8 3f'],
  ['s', '', '00'],
  ['s', 'é', 'c3 a9 00'],
  ['o', '/', '2f 00'],
  ['g', 'a{sv}', '61 7b 73 76 7d 00'],
  ['ay', bytes(1, 2, 3), '01 02 03'],
  ['as', [], ''],
  ['as', ['i', 'can', 'has'], '69 00 | 63 61 6e 00 | 68 61 73 00 | 02 06 0a'],
  ['as', [''], '00 | 01'],
  ['aay', [bytes(1), bytes(), bytes(2, 3)], '01 | 02 03 | 01 01 03'],
  ['(yu)', [1, 2], '01 00 00 00 | 02 00 00 00'],
  ['(uy)', [1, 2], '01 00 00 00 | 02 00 00 00'],
  ['(ss)', ['foo', 'bar'], '66 6f 6f 00 | 62 61 72 00 | 04'],
  [
    '(sxss)',
    ['foo', -1n, 'bar', 'baz'],
    '66 6f 6f 00 00 00 00 00 | ff ff ff ff ff ff ff ff | 62 61 72 00 | 62 61 7a 00 | 14 04',
  ],
  ['(sus)', ['a', 1, 'b'], '61 00 00 00 | 01 00 00 00 | 62 00 | 02'],
  ['(aya{sv})', [bytes(1), []], '01 | 00 00 00 00 00 00 00 | 01'],
  ['(ayt)', [bytes(0xaa), 1n], 'aa 00 00 00 00 00 00 00 | 01 00 00 00 00 00 00 00 | 01'],
  ['{su}', ['ab', 1], '61 62 00 00 | 01 00 00 00 | 03'],
  [
    'a{sy}',
    [
      ['a', 1],
      ['b', 2],
    ],
    '61 00 01 02 | 62 00 02 02 | 04 08',
  ],
  ['v', { type: 'u', value: 1 }, '01 00 00 00 | 00 | 75'],
  ['v', { type: '()', value: [] }, '00 | 00 | 28 29'],
  ['v', { type: 'a{sv}', value: [] }, '00 | 61 7b 73 76 7d'],
  ['v', { type: 'v', value: { type: 'y', value: 1 } }, '01 00 79 | 00 | 76'],
  ['a{sv}', [['foo', { type: 's', value: 'bar' }]], '66 6f 6f 00 | 00 00 00 00 | 62 61 72 00 00 73 | 04 | 0f'],
  ['a{sv}', [['x', { type: 'as', value: [] }]], '78 00 | 00 00 00 00 00 00 | 00 61 73 | 02 | 0c'],
  [
    'a{sv}',
    [
      ['a', { type: 's', value: 'x' }],
      ['b', { type: 'y', value: 1 }],
    ],
    '61 00 00 00 00 00 00 00 78 00 00 73 02 | 00 00 00 | 62 00 00 00 00 00 00 00 01 00 79 02 | 0d 1c',
  ],
  ['mu', 5, '05 00 00 00'],
  ['mu', null, ''],
  ['ms', 'a', '61 00 00'],
  ['ms', '', '00 00'],
  ['ms', null, ''],
  ['mms', [null], '00'],
  ['mmy', [5], '05 00'],
  ['()', [], '00'],
  ['(a(say)a(sayay))', [[], []], '00'],
  [
    '(a(say)a(sayay))',
    [[['f', bytes(1, 2)]], [['d', bytes(3), bytes(4)]]],
    '66 00 01 02 02 | 05 | 64 00 03 04 03 02 | 06 | 06',
  ],
  ['(uuua(ayay))', [0, 0, 0xed410000, []], '00 00 00 00 | 00 00 00 00 | 00 00 41 ed'],
  [
    '(uuua(ayay))',
    [0, 0, 0xed410000, [[text('user.a\0'), text('1')]]],
    '00 00 00 00 00 00 00 00 00 00 41 ed | 75 73 65 72 2e 61 00 | 31 | 07 | 09',
  ],
  [
    'a(ayay)',
    [[text('user.mykey\0'), text('myvalue')]],
    '75 73 65 72 2e 6d 79 6b 65 79 00 | 6d 79 76 61 6c 75 65 | 0b | 13',
  ],
  [
    '(ybnqiuxtd)',
    [1, true, -2, 3, -4, 5, -6n, 7n, 0.5],
    '01 01 fe ff 03 00 00 00 fc ff ff ff 05 00 00 00 fa ff ff ff ff ff ff ff 07 00 00 00 00 00 00 00 00 00 00 00 00 00 e0 3f',
  ],
];

describe('examples written by GLib', () => {
  test.each(EXAMPLES)('%s %o', (signature, value, data) => {
    expect(toHex(serialize(signature, value))).toBe(toHex(hex(data)));
    expect(parse(signature, hex(data))).toEqual(value);
  });

  test.each(EXAMPLES)('%s %o cut short anywhere is another value or a FormatError', (signature, _, data) => {
    const whole = hex(data);
    for (let end = 0; end < whole.length; end++) {
      const part = whole.subarray(0, end);
      try {
        expect(serialize(signature, parse(signature, part))).toEqual(part);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }
  });

  test('known checksums', () => {
    const checksum = (data: string) => toHex(sha256(hex(data)));
    expect(checksum('00')).toBe('6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d');
    expect(checksum('0000000000000000000041ed')).toBe(
      '446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488',
    );
  });
});

test('big-endian numbers, little-endian framing offsets', () => {
  const value: GvValue = [bytes(1), 0x01020304, -2, 5n, 1.5, true, { type: 'q', value: 0x0102 }];
  const data = serialize('(ayunxdbv)', value, 'be');
  expect(parse('(ayunxdbv)', data, 'be')).toEqual(value);
  expect(toHex(data)).toBe(
    toHex(hex('01 00 00 00 01 02 03 04 ff fe 00 00 00 00 00 00 00 00 00 00 00 00 00 05 3f f8 00 00 00 00 00 00')) +
      toHex(hex('01 00 00 00 00 00 00 00 | 01 02 00 71 | 01')),
  );
});

describe('framing offset widths', () => {
  test.each([
    [253, 255, 'fe'],
    [254, 257, 'ff00'],
    [65_532, 65_535, 'fdff'],
    [65_533, 65_538, 'feff0000'],
  ])('a string of %i characters makes an array of %i bytes', (length, total, tail) => {
    const data = serialize('as', ['x'.repeat(length)]);
    expect(data.length).toBe(total);
    expect(toHex(data.subarray(total - tail.length / 2))).toBe(tail);
    expect(parse('as', data)).toEqual(['x'.repeat(length)]);
  });

  test('a tuple counts its own offsets in', () => {
    for (const length of [252, 253, 254, 255, 65_531, 65_532, 65_533, 65_534]) {
      const value = ['x'.repeat(length), ''];
      expect(parse('(ss)', serialize('(ss)', value))).toEqual(value);
    }
  });
});

describe('not normal form is refused', () => {
  const nested = (levels: number): Uint8Array => {
    const tail = '0076'.repeat(levels - 1);
    return hex(`01 0079 ${tail}`);
  };
  test.each<[what: string, signature: string, data: Uint8Array]>([
    ['boolean of value 2', 'b', hex('02')],
    ['short fixed value', 'u', hex('01 02 03')],
    ['long fixed value', 'u', hex('01 02 03 04 05')],
    ['string without NUL', 's', hex('61')],
    ['string with two NULs', 's', hex('61 00 00')],
    ['string that is not UTF-8', 's', hex('ff 00')],
    ['surrogate in UTF-8', 's', hex('ed a0 80 00')],
    ['overlong UTF-8', 's', hex('c0 80 00')],
    ['string of zero bytes', 's', hex('')],
    ['fixed array with a remainder', 'a(yu)', new Uint8Array(9)],
    ['padding before a member', '(yu)', hex('01 ff 00 00 02 00 00 00')],
    ['padding at the end of a fixed tuple', '(uy)', hex('01 00 00 00 02 00 00 01')],
    ['missing padding at the end', '(uy)', hex('01 00 00 00 02')],
    ['array offset beyond the body', 'as', hex('61 00 05')],
    ['tuple offset beyond the body', '(ss)', hex('66 6f 6f 00 62 61 72 00 09')],
    ['decreasing offsets', 'as', hex('61 00 62 00 04 02')],
    ['gap between last member and offsets', '(sy)', hex('61 00 01 00 02')],
    ['array offsets wider than needed', 'as', Uint8Array.from([...text('x'.repeat(253)), 0, 254, 0])],
    ['tuple offset wider than needed', '(ss)', Uint8Array.from([...text('x'.repeat(252)), 0, 0, 253, 0])],
    ['array offset of 0', 'as', hex('61 00 00')],
    ['variant of unknown type', 'v', hex('01 00 00 00 00 7a')],
    ['variant of an incomplete type', 'v', hex('01 00 61')],
    ['variant of two types', 'v', hex('61 00 00 73 73')],
    ['variant of an indefinite type', 'v', hex('61 00 00 2a')],
    ['empty variant', 'v', hex('')],
    ['variant without type', 'v', hex('00')],
    ['unit tuple of zero bytes', '()', hex('')],
    ['unit tuple other than zero', '()', hex('01')],
    ['Just without its zero byte', 'ms', hex('61 00 01')],
    ['variable tuple of zero bytes', '(a(say)a(sayay))', hex('')],
    ['tuple with no room for its offsets', '(ssss)', hex('00 00')],
    ['object path', 'o', text('a/b\0')],
    ['object path that ends in a slash', 'o', text('/a/\0')],
    ['object path that ends in a newline', 'o', text('/a\n\0')],
    ['signature', 'g', text('a\0')],
    ['signature with maybe', 'g', text('ms\0')],
    ['128 nested variants', 'v', nested(128)],
    ['padding that does not fit', '(yas)', hex('')],
    ['padding in front of an element', 'a{sv}', hex('61 00 01 00 00 00 00 00 01 00 79 02 0c')],
  ])('%s', (_, signature, data) => {
    expect(() => parse(signature, data)).toThrow(FormatError);
    expect(isNormalForm(parseType(signature), data)).toBe(false);
  });

  test('127 nested variants are normal', () => {
    expect(isNormalForm(parseType('v'), nested(127))).toBe(true);
  });

  test('an error names file, field and offset', () => {
    const type = parseType('(us)');
    const options = { where: { file: 'objects/x', format: 'pair' }, memberNames: ['number', 'name'] };
    expect(() => parseVariant(type, hex('01 00 00 00 61'), options)).toThrow(
      expect.objectContaining({
        code: 'CFS_FORMAT',
        where: { file: 'objects/x', format: 'pair', field: 'name', offset: 4 },
      }),
    );
  });
});

describe('type strings', () => {
  test.each(['', 'a', '(', '(s', '{s}', '{sss}', '{vs}', '{(s)s}', '*', '?', 'r', 'z', ')', 'ss', 'm', '\u00e9'])(
    '%j is none',
    (signature) => {
      expect(() => parseType(signature)).toThrow(FormatError);
    },
  );
  test('128 levels are the most', () => {
    expect(parseType(`${'a'.repeat(127)}y`).depth).toBe(128);
    expect(() => parseType(`${'a'.repeat(128)}y`)).toThrow(FormatError);
    expect(() => parseType('('.repeat(100_000))).toThrow(FormatError);
  });
  test('a long one is refused, in a variant too', () => {
    const long = `(${'y'.repeat(MAX_TYPE_CHARACTERS)})`;
    expect(() => parseType(long)).toThrow(FormatError);
    expect(() => parse('v', Uint8Array.from([...new Uint8Array(MAX_TYPE_CHARACTERS + 1), ...text(long)]))).toThrow(
      FormatError,
    );
    const longest = `(${'y'.repeat(MAX_TYPE_CHARACTERS - 2)})`;
    const value = new Uint8Array(MAX_TYPE_CHARACTERS - 2 + 1);
    expect(isNormalForm(parseType('v'), Uint8Array.from([...value, ...text(longest)]))).toBe(true);
  });
});

test('more values than memory should hold are a LimitError', () => {
  const count = MAX_VALUES + 1;
  const offsets = new Uint8Array(4 * count); // that many empty byte arrays, no body
  expect(() => parse('aay', offsets)).toThrow(LimitError);
  expect(() => isNormalForm(parseType('aay'), offsets)).toThrow(LimitError);
});

test('of equal keys the first counts', () => {
  const dictionary: VariantDictionary = [
    ['k', { type: 'y', value: 1 }],
    ['k', { type: 'y', value: 2 }],
  ];
  expect(lookUp(parse('a{sv}', serialize('a{sv}', dictionary as GvValue)) as VariantDictionary, 'k')).toEqual({
    type: 'y',
    value: 1,
  });
  expect(lookUp(dictionary, 'absent')).toBeUndefined();
});

test.each<[signature: string, value: GvValue]>([
  ['b', 1],
  ['y', 256],
  ['u', -1],
  ['u', 1.5],
  ['i', 2 ** 31],
  ['t', 1],
  ['t', -1n],
  ['t', 2n ** 64n],
  ['x', 2n ** 63n],
  ['d', '1'],
  ['s', 'a\0b'],
  ['s', '\ud800'],
  ['o', 'x'],
  ['g', 'a'],
  ['ay', [1]],
  ['as', 'x'],
  ['(ss)', ['x']],
  ['v', 'x'],
])('a value that is no %s: %o is a TypeError', (signature, value) => {
  expect(() => serialize(signature, value)).toThrow(TypeError);
  expect(() => serialize(signature, value)).not.toThrow(CfsError);
});
