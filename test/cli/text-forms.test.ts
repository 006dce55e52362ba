import { describe, expect, test } from 'vitest';
import { formatBytes, formatCount, formatNumberOf } from '../../src/cli/format-size.ts';
import { formatFields, formatTable } from '../../src/cli/format-table.ts';
import { formatClock, formatDuration, formatTime } from '../../src/cli/format-time.ts';
import { jsonArray, pickFields } from '../../src/cli/json.ts';
import { shownLines, shownText } from '../../src/cli/shown-text.ts';
import { painter, wantsColor } from '../../src/cli/terminal.ts';

describe('sizes and counts', () => {
  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 KiB'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [102_297, '99.9 KiB'],
    [102_400, '100 KiB'],
    [1_048_575, '1.0 MiB'],
    [5 * 2 ** 30, '5.0 GiB'],
    [3 * 2 ** 60, '3072 PiB'],
  ])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  test.each([
    [0, '0'],
    [999, '999'],
    [1000, '1,000'],
    [1234567, '1,234,567'],
  ])('%d is written %s', (count, text) => expect(formatCount(count)).toBe(text));

  test('a noun agrees with its number', () => {
    expect([0, 1, 2].map((count) => formatNumberOf(count, 'entry', 'entries'))).toEqual([
      '0 entries',
      '1 entry',
      '2 entries',
    ]);
  });
});

describe('times', () => {
  test.each([
    [0.4, '0 ms'],
    [12, '12 ms'],
    [999.7, '1.0 s'],
    [3449, '3.4 s'],
    [59_960, '1 min 0 s'],
    [125_000, '2 min 5 s'],
    [3_780_000, '1 h 3 min'],
  ])('%d ms last %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  test.each([
    [7_000, '0:07'],
    [754_000, '12:34'],
    [3_723_000, '1:02:03'],
  ])('%d ms left are %s', (ms, text) => expect(formatClock(ms)).toBe(text));

  test('ISO 8601 becomes readable, anything else stays', () => {
    expect(formatTime('2026-01-31T12:00:00Z')).toBe('2026-01-31 12:00:00 UTC');
    expect(formatTime('2026-01-31T12:00:00.25Z')).toBe('2026-01-31 12:00:00 UTC');
    expect(formatTime('@99999999999999')).toBe('@99999999999999');
  });
});

describe('tables', () => {
  test('columns are aligned, the last one is not padded', () => {
    const columns = [{ title: 'NAME' }, { title: 'SIZE', align: 'right' as const }, { title: 'ID' }];
    expect(
      formatTable(columns, [
        ['a', '1 B', 'xyz'],
        ['long name', '10 KiB', 'x'],
      ]),
    ).toBe('NAME         SIZE  ID\na             1 B  xyz\nlong name  10 KiB  x\n');
  });

  test('fields without a value are left out', () => {
    expect(
      formatFields([
        ['a', '1'],
        ['bcd', undefined],
        ['ef', '2'],
      ]),
    ).toBe('a   1\nef  2\n');
  });
});

describe('text from strangers', () => {
  test('cannot move the cursor, start a line or reorder what follows', () => {
    expect(shownText('a\x1b[2Jb\nc\u202ed\x9b')).toBe('a\\u{1b}[2Jb\\nc\\u{202e}d\\u{9b}');
    expect(shownText('back\\slash')).toBe('back\\\\slash');
    expect(shownText('größer 日本')).toBe('größer 日本');
  });

  test('keeps its lines where several are shown', () => {
    expect(shownLines('one\ntwo\x07')).toBe('one\ntwo\\u{7}');
  });
});

describe('JSON', () => {
  test('has the named fields in their order, without those that are not there', () => {
    const value = { b: 1, a: 2, c: undefined, d: 'not asked for' };
    expect(JSON.stringify(pickFields(value, ['a', 'b', 'c']))).toBe('{"a":2,"b":1}');
  });

  test.each([[[]], [[{ a: 1 }]], [['x', 'y', { z: null }]]])('arrays are written piece by piece: %j', async (items) => {
    let text = '';
    for await (const chunk of jsonArray(items)) text += chunk;
    expect(JSON.parse(text)).toEqual(items);
    expect(text.endsWith('\n')).toBe(true);
  });
});

describe('colour', () => {
  const terminal = { isTTY: true };
  test.each([
    ['auto', terminal, {}, true],
    ['auto', {}, {}, false],
    ['auto', terminal, { NO_COLOR: '1' }, false],
    ['auto', terminal, { NO_COLOR: '' }, true],
    ['auto', terminal, { TERM: 'dumb' }, false],
    ['never', terminal, {}, false],
    ['always', {}, { NO_COLOR: '1' }, true],
  ] as const)('%s on %j with %j: %s', (mode, stream, env, expected) => {
    expect(wantsColor(mode, stream, env)).toBe(expected);
  });

  test('is left out where it is not wanted', () => {
    expect(painter(true)('red', 'x')).toBe('\x1b[31mx\x1b[0m');
    expect(painter(false)('red', 'x')).toBe('x');
    expect(painter(true)('red', '')).toBe('');
  });
});
