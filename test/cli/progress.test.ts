import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openProgressDisplay } from '../../src/cli/open-progress-display.ts';
import type { ProgressMode, Terminal } from '../../src/cli/progress-display.ts';
import { progressLine } from '../../src/cli/progress-line.ts';
import { LINE_EVERY_MS } from '../../src/cli/progress-plain.ts';
import { PaceMeter } from '../../src/cli/progress-rate.ts';

class RecordingTerminal implements Terminal {
  text = '';
  readonly isTerminal: boolean;
  readonly #columns: number;
  constructor(isTerminal: boolean, columns = 80) {
    this.isTerminal = isTerminal;
    this.#columns = columns;
  }
  columns = () => this.#columns;
  write = (text: string) => {
    this.text += text;
  };
  paint = (_color: string, text: string) => text;
}

const open = (terminal: Terminal, mode: ProgressMode = 'auto', options: { quiet?: boolean; json?: boolean } = {}) =>
  openProgressDisplay(terminal, { mode, quiet: options.quiet ?? false, json: options.json ?? false });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['hrtime'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the bar on a terminal', () => {
  test('is drawn in place, at most every 100 ms, and at once in a new phase', async () => {
    const terminal = new RecordingTerminal(true);
    const display = await open(terminal);
    for (let done = 0; done <= 100; done++) {
      display.update({ phase: 'files', done, total: 100 });
      vi.advanceTimersByTime(10);
    }
    const drawn = terminal.text.split('\r\x1b[K').slice(1);
    expect(drawn.length).toBeGreaterThanOrEqual(10);
    expect(drawn.length).toBeLessThanOrEqual(11);
    expect(drawn[0]).toBe('[                    ]  files  0/100');
    expect(drawn[5]).toMatch(/^\[=+ +\] {2}files {2}50\/100$/);
    display.update({ phase: 'barrier', done: 0 });
    expect(terminal.text.endsWith('\r\x1b[Kbarrier')).toBe(true);
    expect(terminal.text).not.toContain('\n');
  });

  test('leaves the line empty at the end, and above a warning', async () => {
    const terminal = new RecordingTerminal(true);
    const display = await open(terminal);
    display.update({ phase: 'files', done: 1, total: 2 });
    display.warn('the index \x1b[31m is damaged');
    expect(terminal.text.endsWith('\r\x1b[Kwarning: the index \\u{1b}[31m is damaged\n')).toBe(true);
    display.update({ phase: 'files', done: 2, total: 2 });
    display.clear();
    expect(terminal.text.endsWith('files  2/2\r\x1b[K')).toBe(true);
    const before = terminal.text;
    display.clear();
    expect(terminal.text).toBe(before);
  });

  test('fits a narrow terminal', async () => {
    const terminal = new RecordingTerminal(true, 30);
    const display = await open(terminal);
    display.update({ phase: 'files', done: 123456, total: 1234567, bytesDone: 12345678, bytesTotal: 123456789 });
    const line = terminal.text.slice('\r\x1b[K'.length);
    expect(line).toMatch(/^files {2}123,456\/1,234,567/);
    expect(line.length).toBeLessThanOrEqual(29);
  });
});

describe('lines in a log', () => {
  test('come every few seconds, and not at all for short work', async () => {
    const terminal = new RecordingTerminal(false);
    const display = await open(terminal);
    for (let second = 0; second < 12; second++) {
      display.update({ phase: 'files', done: second * 10, total: 1000, bytesDone: second * 2 ** 20 });
      vi.advanceTimersByTime(1000);
    }
    expect(terminal.text.split('\n').slice(0, -1)).toEqual([
      'files  50/1,000  5.0 MiB  1.0 MiB/s  1:35 left',
      'files  100/1,000  10.0 MiB  1.0 MiB/s  1:30 left',
    ]);
    expect(LINE_EVERY_MS).toBe(5000);
  });
});

describe('JSON events', () => {
  test('are one object for each line; every phase is told from its first to its last event', async () => {
    const terminal = new RecordingTerminal(false);
    const display = await open(terminal, 'json');
    for (let done = 0; done <= 5; done++) display.update({ phase: 'metadata', done });
    display.update({ phase: 'files', done: 1, total: 2, bytesDone: 10, bytesTotal: 20 });
    display.warn('careful');
    display.clear();
    const events = terminal.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events).toEqual([
      { progress: { phase: 'metadata', done: 0, elapsedMs: 0 } },
      { progress: { phase: 'metadata', done: 5, elapsedMs: 0 } },
      { progress: { phase: 'files', done: 1, total: 2, bytesDone: 10, bytesTotal: 20, elapsedMs: 0 } },
      { warning: { message: 'careful' } },
    ]);
  });
});

describe('which form', () => {
  const event = { phase: 'files', done: 1, total: 2 };
  test.each([
    ['nothing when quiet, not even warnings', true, 'auto', { quiet: true }, ''],
    ['warnings only with none', true, 'none', {}, 'warning: w\n'],
    ['no lines with --json, warnings as JSON', false, 'auto', { json: true }, '{"warning":{"message":"w"}}\n'],
    ['lines where they are asked for, on a terminal too', true, 'plain', {}, 'files  1/2\nwarning: w\n'],
  ] as const)('%s', async (_title, isTerminal, mode, options, expected) => {
    const terminal = new RecordingTerminal(isTerminal);
    const display = await open(terminal, mode, options);
    vi.advanceTimersByTime(LINE_EVERY_MS);
    display.update(event);
    display.warn('w');
    display.clear();
    expect(terminal.text).toBe(expected);
  });
});

describe('pace', () => {
  test('is that of the last seconds, and unknown at first', () => {
    const meter = new PaceMeter();
    meter.sample(0, { phase: 'x', done: 0, bytesDone: 0 });
    expect(meter.pace(500, { phase: 'x', done: 5 })).toEqual({});
    for (let second = 1; second <= 60; second++)
      meter.sample(second * 1000, { phase: 'x', done: second * (second <= 30 ? 100 : 10) });
    const { objectsPerSecond } = meter.pace(60_000, { phase: 'x', done: 600 });
    expect(objectsPerSecond).toBeCloseTo(10, 0);
  });

  test('tells the time left by bytes where their total is known, else by objects', () => {
    const meter = new PaceMeter();
    meter.sample(0, { phase: 'x', done: 0, bytesDone: 0 });
    const event = { phase: 'x', done: 10, total: 20, bytesDone: 2000 };
    expect(meter.pace(2000, { ...event, bytesTotal: 10_000 })).toEqual({
      objectsPerSecond: 5,
      bytesPerSecond: 1000,
      leftMs: 8000,
    });
    expect(meter.pace(2000, event).leftMs).toBe(2000);
    expect(meter.pace(2000, { phase: 'x', done: 0, total: 20 }).leftMs).toBeUndefined();
  });

  test('a line leaves out what is not known', () => {
    expect(progressLine({ phase: 'sweep', done: 0 }, {})).toBe('sweep');
    expect(progressLine({ phase: 'sweep', done: 1500 }, { objectsPerSecond: 250.4 })).toBe('sweep  1,500  250/s');
  });
});
