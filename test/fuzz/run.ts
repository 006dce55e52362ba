/**
 * Fuzzes every reader of foreign bytes: each target in a process of its own, two at a time. By hand:
 *
 *     node_modules/.bin/node test/fuzz/run.ts [--seconds N] [--seed N] [TARGET...]
 */

import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { CRASHES_DIRECTORY, listTargets } from './targets.ts';
import type { WorkerMessage, WorkerOptions, WorkerReport } from './worker.ts';

export interface FuzzOptions {
  /** For each target, the time to start aside. */
  seconds: number;
  seed: number;
  /** A process that reads one input for so long is given up; slow ones it finds itself. Default half a minute. */
  hangMs?: number;
}

export interface FuzzResult extends WorkerReport {
  target: string;
  failure?: { problem: string; savedAs: string };
}

const PROCESSES = 2;
const DEFAULT_HANG_MS = 30_000;
const WATCH_MS = 500;
/** Collects garbage early: what counts is what an input needs, not what has not been collected. */
const HEAP = ['--max-old-space-size=256', '--max-semi-space-size=8'];

/** Starts the targets in turn, as processes become free. One promise for each target, none of which is rejected for a failure. */
export function startCampaign(
  targets: Array<{ name: string; module: string }>,
  options: FuzzOptions,
): Map<string, Promise<FuzzResult>> {
  const lanes: Promise<unknown>[] = Array.from({ length: PROCESSES }, () => Promise.resolve());
  const results = new Map<string, Promise<FuzzResult>>();
  let free = Promise.resolve();
  for (const { name, module } of targets) {
    const lane = free.then(() => Promise.race(lanes.map((busy, i) => busy.then(() => i))));
    const result = lane.then(() => fuzzTarget(module, name, options));
    free = lane.then((i) => {
      lanes[i] = result.catch(() => {});
    });
    results.set(name, result);
  }
  return results;
}

export async function fuzzTarget(module: string, target: string, options: FuzzOptions): Promise<FuzzResult> {
  const { seconds, seed, hangMs = DEFAULT_HANG_MS } = options;
  await using directory = await makeTemporaryDirectory('memory');
  const total: WorkerReport = { runs: 0, corpus: 0, reached: 0 };
  const end = performance.now() + 1000 * seconds;
  for (let round = 0; ; round++) {
    const left = Math.max(0, Math.min(seconds, (end - performance.now()) / 1000));
    const currentPath = directory.join('current');
    const thisTime = { seconds: round === 0 ? seconds : left, seed: seed + round };
    const outcome = await runWorker({ module, target, currentPath, ...thisTime }, hangMs);
    total.runs += outcome.report.runs;
    total.corpus = Math.max(total.corpus, outcome.report.corpus);
    total.reached = Math.max(total.reached, outcome.report.reached);
    if (outcome.kind === 'done') return { target, ...total };
    const input = Buffer.from(outcome.input, 'base64');
    if (!outcome.isMemory || (await needsMuchMemory({ module, target, currentPath }, input)))
      return { target, ...total, failure: { problem: outcome.problem, savedAs: await save(target, input) } };
    // many inputs together have made the process large: it goes on as a new one
    if (performance.now() >= end) return { target, ...total };
  }
}

async function needsMuchMemory(options: Pick<WorkerOptions, 'module' | 'target' | 'currentPath'>, input: Uint8Array) {
  const onlyInput = `${options.currentPath}.only`;
  await writeFile(onlyInput, input);
  const outcome = await runWorker({ ...options, seconds: 0, seed: 0, onlyInput }, DEFAULT_HANG_MS);
  return outcome.kind === 'failure';
}

/** A process that dies or hangs has failed on the input that it read last. */
function runWorker(options: WorkerOptions, hangMs: number): Promise<WorkerMessage> {
  const child = fork(join(import.meta.dirname, 'worker.ts'), [JSON.stringify(options)], {
    execArgv: HEAP,
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  let message: WorkerMessage | undefined;
  let stderr = '';
  let reason: string | undefined;
  let serial = 0n;
  let since = performance.now();
  const watch = setInterval(async () => {
    const now = await readCurrent(options.currentPath);
    if (now.serial !== serial) [serial, since] = [now.serial, performance.now()];
    else if (serial > 0n && performance.now() - since > hangMs) {
      reason = `did not come back for ${hangMs / 1000} s`;
      child.kill('SIGKILL');
    }
  }, WATCH_MS);
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-4000);
  });
  child.on('message', (received: WorkerMessage) => {
    message = received;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', async (code, signal) => {
      clearInterval(watch);
      if (message !== undefined) return resolve(message);
      const { serial: runs, input } = await readCurrent(options.currentPath);
      const problem = `${reason ?? `the process ended with ${signal ?? `status ${code}`}`}\n${stderr}`;
      if (runs === 0n) return reject(new Error(`${options.target}: ${problem}`));
      const report: WorkerReport = { runs: Number(runs), corpus: 0, reached: 0 };
      resolve({ kind: 'failure', problem, input: input.toString('base64'), isMemory: false, report });
    });
  });
}

async function readCurrent(path: string): Promise<{ serial: bigint; input: Buffer }> {
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  if (bytes.length < 16) return { serial: 0n, input: Buffer.alloc(0) };
  return { serial: bytes.readBigUInt64LE(0), input: bytes.subarray(16, 16 + Number(bytes.readBigUInt64LE(8))) };
}

async function save(target: string, input: Uint8Array): Promise<string> {
  const name = createHash('sha256').update(input).digest('hex').slice(0, 16);
  const path = join(CRASHES_DIRECTORY, target, name);
  await mkdir(join(CRASHES_DIRECTORY, target), { recursive: true });
  await writeFile(path, input);
  return relative(process.cwd(), path);
}

export function formatResult({ target, runs, corpus, reached, failure }: FuzzResult): string {
  const figures = `${target}: ${runs} inputs, ${corpus} kept, ${reached} characters of source reached`;
  return failure === undefined ? figures : `${figures}\nFAILED, input saved as ${failure.savedAs}\n${failure.problem}`;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '30' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    },
  });
  const all = await listTargets();
  const wanted = positionals.length === 0 ? all : all.filter(({ name }) => positionals.includes(name));
  const unknown = positionals.filter((name) => !all.some((target) => target.name === name));
  if (unknown.length > 0)
    throw new Error(`no target ${unknown.join(', ')}; there are ${all.map(({ name }) => name).join(', ')}`);
  console.log(`seed ${values.seed}, ${values.seconds} s for each of ${wanted.length} targets`);
  const results = startCampaign(wanted, { seconds: Number(values.seconds), seed: Number(values.seed) });
  for (const pending of results.values()) {
    const result = await pending;
    console.log(formatResult(result));
    if (result.failure !== undefined) process.exitCode = 1;
  }
}

if (process.argv[1] === import.meta.filename) await main();
