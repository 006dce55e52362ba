/** Where to kill: at a moment of the work, or at one of the system calls that it makes. */

import type { Random } from './random.ts';
import { type Disturbance, type Job, type SystemCall, traceDriver } from './run-driver.ts';

/** Calls that change what lies on disk, and the barrier. */
const NAMES = [
  'linkat',
  'mkdir',
  'mkdirat',
  'pwrite64',
  'rename',
  'renameat2',
  'symlink',
  'syncfs',
  'unlink',
  'unlinkat',
  'write',
];

export interface KillPoints {
  /** How long an undisturbed run works. */
  workMs: number;
  /** `nth` is that of the last call. */
  calls: Array<SystemCall & { nth: number }>;
}

/** Calls of the main thread are counted apart: there is few of them, and they come late. */
export async function traceKillPoints(job: Job): Promise<Pick<KillPoints, 'calls'>> {
  const counts = new Map<string, number>();
  let mainThread: string | undefined;
  for (const line of await traceDriver(job, ['execve', ...NAMES])) {
    const [, thread, name] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (name === 'execve') mainThread ??= thread;
    else if (name !== undefined) counts.set(`${thread} ${name}`, (counts.get(`${thread} ${name}`) ?? 0) + 1);
  }
  const calls = [...counts].map(([key, nth]) => {
    const [thread, name] = key.split(' ');
    return { name, nth, mainThread: thread === mainThread };
  });
  return { calls };
}

export function drawDisturbance(random: Random, { workMs, calls }: KillPoints): Disturbance {
  if (random.next() < 0.5) return { kind: 'kill after', ms: random.next() * workMs };
  const { name, nth, mainThread } = random.pick(calls);
  return { kind: 'kill at', call: { name, nth: 1 + random.integer(nth), mainThread } };
}
