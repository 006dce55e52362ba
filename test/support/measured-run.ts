/** Runs a program and measures it as the kernel does: peak memory and CPU time of that very process. */

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type RunOptions, type RunResult, runCommand } from './run-command.ts';
import { makeTemporaryDirectory } from './temporary-directory.ts';

export interface MeasuredResult extends RunResult {
  /** Largest resident set. */
  peakBytes: number;
  cpuSeconds: number;
}

export interface MeasuredOptions extends Omit<RunOptions, 'timeoutMs'> {
  /** CPU time after which the program is killed. The wall clock gets three times as much: the machine may be busy. */
  maxCpuSeconds: number;
}

const WRAPPER = fileURLToPath(new URL('measured-run.py', import.meta.url));

/** @throws Error when the program outlives its time */
export async function runMeasured(
  command: string,
  args: readonly string[],
  { maxCpuSeconds, ...options }: MeasuredOptions,
): Promise<MeasuredResult> {
  await using scratch = await makeTemporaryDirectory('memory');
  const report = scratch.join('report');
  const limits = [String(3 * maxCpuSeconds), String(maxCpuSeconds)];
  const result = await runCommand('python3', [WRAPPER, report, ...limits, command, ...args], options);
  const { timedOut, peakBytes, cpuSeconds } = JSON.parse(await readFile(report, 'utf8')) as {
    timedOut: boolean;
    peakBytes: number;
    cpuSeconds: number;
  };
  if (timedOut || cpuSeconds >= maxCpuSeconds)
    throw new Error(`${args.join(' ').slice(0, 500)}: not done after ${cpuSeconds} s of CPU time\n${result.stderr}`);
  return { ...result, peakBytes, cpuSeconds };
}
