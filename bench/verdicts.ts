/** Medians, and what they say about the targets. */

import type { Measurement } from './measure.ts';
import type { Counts, Target } from './operation.ts';

export interface ContestantReport {
  label: string;
  trials: Measurement[];
  median: Measurement;
}

/** One target and what was measured. */
export interface Verdict {
  measured: 'wall time' | 'CPU seconds' | 'peak memory' | 'added wall time' | 'count';
  /** The other program, or what was counted. */
  against?: string;
  unit: 'ratio' | 'seconds' | 'bytes' | 'number';
  value: number;
  atMost: number;
  stretch?: number;
  met: boolean;
}

const MEASURED = { wallSeconds: 'wall time', cpuSeconds: 'CPU seconds', peakBytes: 'peak memory' } as const;

export function medianOfTrials(trials: readonly Measurement[]): Measurement {
  const of = (field: keyof Measurement): number => median(trials.map((trial) => trial[field]));
  return { wallSeconds: of('wallSeconds'), cpuSeconds: of('cpuSeconds'), peakBytes: of('peakBytes') };
}

/** @throws RangeError without values */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no median of nothing');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** @param contestants ours first. Targets against one that did not take part are left out */
export function judge(
  targets: readonly Target[],
  contestants: readonly ContestantReport[],
  counts: Counts = {},
): Verdict[] {
  const ours = contestants[0].median;
  const theirs = (label: string): Measurement | undefined =>
    contestants.find((contestant) => contestant.label === label)?.median;
  return targets.flatMap((target) => judgeOne(target, ours, theirs, counts) ?? []);
}

function judgeOne(
  target: Target,
  ours: Measurement,
  theirs: (label: string) => Measurement | undefined,
  counts: Counts,
): Verdict | undefined {
  switch (target.kind) {
    case 'ratio': {
      const { against, of, atMost, stretch } = target;
      const other = theirs(against);
      if (other === undefined) return undefined;
      const value = ours[of] / other[of];
      return { measured: MEASURED[of], against, unit: 'ratio', value, atMost, stretch, met: value <= atMost };
    }
    case 'added time': {
      const { against, atMostSeconds: atMost } = target;
      const other = theirs(against);
      if (other === undefined) return undefined;
      const value = ours.wallSeconds - other.wallSeconds;
      return { measured: 'added wall time', against, unit: 'seconds', value, atMost, met: value <= atMost };
    }
    case 'memory': {
      const { atMostBytes: atMost } = target;
      const value = ours.peakBytes;
      return { measured: 'peak memory', unit: 'bytes', value, atMost, met: value <= atMost };
    }
    case 'count': {
      const value = counts[target.count];
      const atMost = target.atMost + (target.plus === undefined ? 0 : counts[target.plus]);
      return { measured: 'count', against: target.count, unit: 'number', value, atMost, met: value <= atMost };
    }
  }
}
