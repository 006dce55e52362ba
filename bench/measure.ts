/** What one trial takes. */

import { chrootCommand } from '../test/support/chroot.ts';
import { getPeer } from '../test/support/peers.ts';
import { runCommand } from '../test/support/run-command.ts';
import { type Command, inTree } from './programs.ts';

export interface Measurement {
  wallSeconds: number;
  cpuSeconds: number;
  /** Of the whole process tree. */
  peakBytes: number;
}

/** A program that is not done in time has no figures. */
export class TimeoutError extends Error {}

/** Commands that make up one trial, one after the other: times are added, memory is that of the largest. */
export async function measureAll(commands: readonly Command[], timeoutMs?: number): Promise<Measurement> {
  const total: Measurement = { wallSeconds: 0, cpuSeconds: 0, peakBytes: 0 };
  for (const command of commands) {
    const { wallSeconds, cpuSeconds, peakBytes } = await measure(command, timeoutMs);
    total.wallSeconds += wallSeconds;
    total.cpuSeconds += cpuSeconds;
    total.peakBytes = Math.max(total.peakBytes, peakBytes);
  }
  return total;
}

/** @throws Error with what the program said, when it failed; TimeoutError */
async function measure({ args, chrootPeer, env, stdoutFile }: Command, timeoutMs = 0): Promise<Measurement> {
  const meter = [getPeer('python3'), inTree('bench/measure.py'), String(timeoutMs / 1000), stdoutFile ?? '-'];
  // The meter runs inside the namespace and outside the chroot: entering the one is not measured.
  const [program, ...rest] = chrootPeer === undefined ? [...meter, ...args] : chrootCommand(args, meter);
  const result = await runCommand(program, rest, {
    env: { ...process.env, LC_ALL: 'C.UTF-8', ...env },
    timeoutMs: 2 ** 31 - 1, // the meter's own is what counts
  });
  if (result.exitCode !== 0) throw new Error(`${args.join(' ')}: the meter failed\n${result.stderr}`);
  const { exitCode, timedOut, output, ...measurement } = JSON.parse(result.stdout);
  if (timedOut) throw new TimeoutError(`not done after ${timeoutMs / 1000} s`);
  if (exitCode !== 0) throw new Error(`${args.join(' ')}: exit status ${exitCode}\n${output}`);
  return measurement;
}
