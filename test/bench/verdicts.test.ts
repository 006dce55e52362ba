import { describe, expect, test } from 'vitest';
import { cpuRatio, memoryTarget, wallRatio } from '../../bench/operation.ts';
import { type ContestantReport, judge, median, medianOfTrials } from '../../bench/verdicts.ts';

const contestant = (label: string, wallSeconds: number, cpuSeconds = 1, peakBytes = 1e6): ContestantReport => {
  const median = { wallSeconds, cpuSeconds, peakBytes };
  return { label, trials: [median], median };
};

describe('medians', () => {
  test('are the middle one, or between the two in the middle', () => {
    expect(median([3])).toBe(3);
    expect(median([10, 1, 2])).toBe(2);
    expect(median([10, 1, 2, 4])).toBe(3);
    expect(() => median([])).toThrow(RangeError);
  });

  test('are taken of each figure for itself', () => {
    const trials = [
      { wallSeconds: 1, cpuSeconds: 30, peakBytes: 200 },
      { wallSeconds: 2, cpuSeconds: 10, peakBytes: 300 },
      { wallSeconds: 3, cpuSeconds: 20, peakBytes: 100 },
    ];
    expect(medianOfTrials(trials)).toEqual({ wallSeconds: 2, cpuSeconds: 20, peakBytes: 200 });
  });
});

describe('verdicts', () => {
  test('on ratios: the first contestant divided by the named one', () => {
    const contestants = [contestant('ours', 2, 9), contestant('a', 4, 10), contestant('b', 3, 10)];
    expect(judge([wallRatio('a', 0.5, 0.4), wallRatio('b', 0.5), cpuRatio('a', 0.6)], contestants)).toEqual([
      { measured: 'wall time', against: 'a', unit: 'ratio', value: 0.5, atMost: 0.5, stretch: 0.4, met: true },
      { measured: 'wall time', against: 'b', unit: 'ratio', value: 2 / 3, atMost: 0.5, met: false },
      { measured: 'CPU seconds', against: 'a', unit: 'ratio', value: 0.9, atMost: 0.6, met: false },
    ]);
  });

  test('are left out where the other did not take part', () => {
    const targets = [wallRatio('absent', 1), { kind: 'added time', against: 'absent', atMostSeconds: 1 } as const];
    expect(judge(targets, [contestant('ours', 1)])).toEqual([]);
  });

  test('on added time, memory and counts', () => {
    const contestants = [contestant('ours', 0.5, 1, 151e6), contestant('other', 0.4)];
    const counts = { requests: 13, objects: 10, connections: 2 };
    const verdicts = judge(
      [
        { kind: 'added time', against: 'other', atMostSeconds: 0.2 },
        memoryTarget(150),
        { kind: 'count', count: 'requests', atMost: 3, plus: 'objects' },
        { kind: 'count', count: 'connections', atMost: 1 },
      ],
      contestants,
      counts,
    );
    expect(verdicts.map(({ value, atMost, met }) => [value, atMost, met])).toEqual([
      [expect.closeTo(0.1), 0.2, true],
      [151e6, 150e6, false],
      [13, 13, true],
      [2, 1, false],
    ]);
  });
});
