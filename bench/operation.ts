/** What a file under `operations/` describes: who takes part, and what we want to reach. */

import type { PeerName } from '../test/support/peers.ts';
import type { Fixture } from './fixture.ts';
import type { Measurement } from './measure.ts';
import type { Command } from './programs.ts';
import type { Servers } from './servers.ts';
import type { Stores } from './stores.ts';

export interface Bench {
  fixture: Fixture;
  stores: Stores;
  servers: Servers;
}

export interface Operation {
  title: string;
  /** The first one is measured against the others. */
  contestants: readonly Contestant[];
  targets: readonly Target[];
  /** Rounds where the caller asks for fewer: for what is over in an instant. */
  minRounds?: number;
  /** What is counted instead of timed, in a run of its own. */
  count?(bench: Bench): Promise<Counts>;
}

/** Why a contestant cannot take part on this machine. */
export class UnavailableError extends Error {}

/** By name in words, such as `requests`. */
export type Counts = Record<string, number>;

export interface Contestant {
  /** The program, with the options that make the difference. */
  label: string;
  needs?: readonly PeerName[];
  /** Commands of one trial, on a store of its own. Everything before they are returned is not measured. */
  prepare(bench: Bench): Promise<Command[]>;
}

export type Target = RatioTarget | AddedTimeTarget | MemoryTarget | CountTarget;

/** Ours divided by theirs. */
export interface RatioTarget {
  kind: 'ratio';
  of: keyof Measurement;
  against: string;
  atMost: number;
  /** What would be even better. */
  stretch?: number;
}
/** Ours minus theirs. */
export interface AddedTimeTarget {
  kind: 'added time';
  against: string;
  atMostSeconds: number;
}
export interface MemoryTarget {
  kind: 'memory';
  atMostBytes: number;
}
/** One count against a number, or against another count plus a number. */
export interface CountTarget {
  kind: 'count';
  count: string;
  atMost: number;
  plus?: string;
}

export const wallRatio = (against: string, atMost: number, stretch?: number): RatioTarget => ({
  kind: 'ratio',
  of: 'wallSeconds',
  against,
  atMost,
  stretch,
});
export const cpuRatio = (against: string, atMost: number): RatioTarget => ({
  kind: 'ratio',
  of: 'cpuSeconds',
  against,
  atMost,
});
/** Megabytes are 10^6 bytes. */
export const memoryTarget = (megabytes: number): MemoryTarget => ({ kind: 'memory', atMostBytes: megabytes * 1e6 });
