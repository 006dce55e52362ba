/** One operation, measured: the contestants in turn, in each round another one first. */

import { findPeer, getPeer } from '../test/support/peers.ts';
import { type Measurement, measureAll } from './measure.ts';
import { type Bench, type Contestant, type Counts, type Operation, UnavailableError } from './operation.ts';
import type { Command } from './programs.ts';
import { type ContestantReport, judge, medianOfTrials, type Verdict } from './verdicts.ts';

export interface Comparison {
  rounds: number;
  contestants: ContestantReport[];
  counts?: Counts;
  verdicts: Verdict[];
}

export async function compare(
  { contestants, targets, minRounds = 1, count }: Operation,
  bench: Bench,
  askedRounds: number,
  say: (text: string) => void,
): Promise<Comparison> {
  const rounds = askedRounds === 1 ? 1 : Math.max(askedRounds, minRounds);
  const taking = contestants.filter((contestant) => isReady(contestant, say));
  const trials = new Map<Contestant, Measurement[]>(taking.map((contestant) => [contestant, []]));
  for (let round = 0; round < rounds; round++) {
    // Whoever goes first finds colder caches than the others.
    const order = taking.map((_, i) => taking[(round + i) % taking.length]);
    for (const contestant of order) {
      const commands = trials.has(contestant) ? await prepare(contestant, bench, say) : undefined;
      if (commands === undefined) trials.delete(contestant);
      else {
        say(`round ${round + 1} of ${rounds}: ${contestant.label}`);
        trials.get(contestant)?.push(await measureAll(commands));
      }
      await bench.stores.clean();
    }
  }
  const reports = [...trials].map(([{ label }, measured]) => ({
    ...{ label, trials: measured, median: medianOfTrials(measured) },
  }));
  const counts = await count?.(bench);
  await bench.stores.clean();
  return { rounds, contestants: reports, counts, verdicts: judge(targets, reports, counts) };
}

function isReady({ label, needs = [] }: Contestant, say: (text: string) => void): boolean {
  const missing = needs.find((name) => findPeer(name) === undefined);
  if (missing !== undefined) say(`${label} is left out: ${explainMissing(missing)}`);
  return missing === undefined;
}

function explainMissing(name: Parameters<typeof getPeer>[0]): string {
  try {
    return getPeer(name);
  } catch (error) {
    return (error as Error).message;
  }
}

/** Undefined when it cannot take part after all. */
async function prepare(
  contestant: Contestant,
  bench: Bench,
  say: (text: string) => void,
): Promise<Command[] | undefined> {
  try {
    return await contestant.prepare(bench);
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    say(`${contestant.label} is left out: ${error.message}`);
    return undefined;
  }
}
