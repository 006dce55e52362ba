/** Starts the driver, kills it at a moment or at a system call, or makes a system call fail under it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CreateImageOptions } from '../../src/operations/create-image.ts';
import type { GcOptions } from '../../src/operations/gc.ts';
import type { PullOptions } from '../../src/operations/pull.ts';
import { cliEnvironment, PROGRAM } from '../cli/run-cli.ts';
import { getPeer } from '../support/peers.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

const DRIVER = join(import.meta.dirname, 'driver.mjs');

/** What the driver does; see there. */
export type Job = { repo: string } & (
  | {
      operation: 'pull';
      location: string;
      wanted: string[];
      options?: Omit<PullOptions, 'signal' | 'progress'>;
      askedFile?: string;
      jobs?: number;
    }
  | { operation: 'createImage'; commit: string; options?: Omit<CreateImageOptions, 'signal' | 'progress'> }
  | { operation: 'gc'; options?: Omit<GcOptions, 'signal' | 'progress'> }
);

export interface SystemCall {
  name: string;
  /** Which call, counted from 1 in each thread. The first thread that gets so far is meant; in `3+` all from the third on. */
  nth: number | `${number}+`;
  /** Leave all threads but the main one alone. */
  mainThread?: boolean;
  /** Only calls that name this path, or an open file of this path. */
  path?: string;
}

/** What happens to a run. */
export type Disturbance =
  | { kind: 'none' }
  /** Killed so long after the repository was open. */
  | { kind: 'kill after'; ms: number }
  /** Killed when it enters the call. */
  | { kind: 'kill at'; call: SystemCall }
  /** The call is not made, and fails. */
  | { kind: 'fail'; call: SystemCall; errno: string }
  /** The call is made, but first the thread sleeps. */
  | { kind: 'delay'; call: SystemCall; ms: number };

export interface Outcome {
  exitCode: number | null;
  killed: boolean;
  /** The system call that was made to fail, as strace writes it. */
  failed?: string;
  /** From `ready` to the end. */
  workMs: number;
  stdout: string;
  stderr: string;
}

/** One thread each for Node's own file calls and for ingest: which call is which depends less on chance. */
const FEW_THREADS = { UV_THREADPOOL_SIZE: '1', NODE_DISABLE_COMPILE_CACHE: '1' };

export const runDriver = (job: Job, disturbance: Disturbance = { kind: 'none' }, env: NodeJS.ProcessEnv = {}) =>
  run([DRIVER, JSON.stringify(job)], disturbance, { env });

/** The program itself, where no option of the library alone is needed. */
export const runProgram = (args: string[], disturbance: Disturbance, where: Where) =>
  run([PROGRAM, ...args], disturbance, where);

async function run(args: string[], disturbance: Disturbance, where: Where): Promise<Outcome> {
  if (disturbance.kind === 'none' || disturbance.kind === 'kill after')
    return start([process.execPath, ...args], where, disturbance.kind === 'none' ? undefined : disturbance.ms);
  const { lines, ...outcome } = await trace(args, straceOptions(disturbance), where);
  return { ...outcome, failed: lines.find((line) => line.includes('(INJECTED)')) };
}

function straceOptions(disturbance: Extract<Disturbance, { call: SystemCall }>): string[] {
  const { name, nth, mainThread, path } = disturbance.call;
  const what = {
    'kill at': 'signal=KILL',
    fail: `error=${disturbance.kind === 'fail' && disturbance.errno}`,
    delay: `delay_enter=${disturbance.kind === 'delay' && 1000 * disturbance.ms}`,
  }[disturbance.kind];
  return [
    ...(mainThread ? [] : ALL_THREADS),
    ...['-e', `trace=${name}`, '-e', `inject=${name}:${what}:when=${nth}`],
    ...(path === undefined ? [] : ['-P', path]),
  ];
}

const ALL_THREADS = ['-f', '--seccomp-bpf'];

/** Every call of these names that the driver makes, as strace writes it, with the thread in front. */
export async function traceDriver(job: Job, names: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const options = [...ALL_THREADS, '-s', '4096', '-e', `trace=${names.join(',')}`];
  const { lines, exitCode, stderr } = await trace([DRIVER, JSON.stringify(job)], options, { env });
  if (exitCode !== 0) throw new Error(`${job.operation} under strace: exit status ${exitCode}\n${stderr}`);
  return lines;
}

/** strace passes stdio, exit status and fatal signal of the program on. */
async function trace(args: string[], options: string[], where: Where) {
  await using directory = await makeTemporaryDirectory('memory');
  const log = directory.join('log');
  const strace = [getPeer('strace'), '-qqq', '-o', log, ...options, '--'];
  const outcome = await start([...strace, process.execPath, ...args], where);
  return { ...outcome, lines: (await readFile(log, 'utf8')).split('\n').filter((line) => line !== '') };
}

/** How a process is started: with more in its environment, and where. */
interface Where {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

async function start(command: string[], { env, cwd }: Where, killAfterMs?: number): Promise<Outcome> {
  const child = spawn(command[0], command.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
    env: cliEnvironment({ ...FEW_THREADS, ...env }),
  });
  const closed = once(child, 'close');
  let stdout = '';
  let stderr = '';
  let startMs = performance.now();
  let timer: NodeJS.Timeout | undefined;
  child.stdout.on('data', (chunk: Buffer) => {
    const isReady = stdout === '';
    stdout += chunk;
    if (!isReady) return;
    startMs = performance.now();
    if (killAfterMs !== undefined) timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  const [exitCode, signal] = (await closed) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  const workMs = performance.now() - startMs;
  return { exitCode, killed: signal === 'SIGKILL', workMs, stdout, stderr };
}
