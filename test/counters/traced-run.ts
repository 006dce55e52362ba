/** Runs the built program under strace and counts what it asked of the kernel. */

import { readFile } from 'node:fs/promises';
import { cliEnvironment, ensureBuilt, PROGRAM } from '../cli/run-cli.ts';
import { getPeer } from '../support/peers.ts';
import { runChecked } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

export interface SystemCalls {
  /** By name. */
  calls: Map<string, number>;
  /** From and to files below `directory`, and others (sockets, pipes). */
  readBytes: number;
  writtenBytes: number;
  otherReadBytes: number;
}

/** How often threads wait for each other or for the network depends on the scheduler, and what memory is asked for on the collector. */
const LEFT_TO_CHANCE =
  /^(futex|epoll_.*|poll|ppoll|sched_yield|restart_syscall|nanosleep|clock_nanosleep|madvise|mprotect|mmap|munmap|brk|rt_sig.*|tgkill|getpid|write_eventfd)$/;
const READS = new Set(['read', 'pread64', 'readv', 'preadv', 'recvfrom', 'recvmsg']);
const WRITES = new Set(['write', 'pwrite64', 'writev', 'pwritev', 'copy_file_range', 'sendfile']);

/** @param directory only files below it count as files */
export async function traceCli(args: readonly string[], directory: string): Promise<SystemCalls> {
  await ensureBuilt();
  await using scratch = await makeTemporaryDirectory('memory');
  const log = scratch.join('strace');
  const strace = ['-f', '-qq', '-y', '-s', '0', '-o', log];
  await runChecked(getPeer('strace'), [...strace, process.execPath, PROGRAM, ...args], { env: cliEnvironment() });
  return countCalls(await readFile(log, 'latin1'), directory);
}

// `12 read(7</dir/file>, ""..., 10) = 10`; a call that another thread's comes in between is told in two lines, the second with the result.
const CALL = /^(\d+) +(\w+)\((?:\d+<([^>]*)>)?.*?(?:<unfinished \.\.\.>|\) += (\S+).*)$/;
const RESUMED = /^(\d+) +<\.\.\. (\w+) resumed>.*\) += (\S+)/;

export function countCalls(log: string, directory: string): SystemCalls {
  const counted: SystemCalls = { calls: new Map(), readBytes: 0, writtenBytes: 0, otherReadBytes: 0 };
  const unfinished = new Map<string, string>();
  const add = (name: string, file: string, result: string): void => {
    const isFile = file.startsWith(directory);
    const eventfd = name === 'write' && file.startsWith('anon_inode');
    const counting = eventfd ? 'write_eventfd' : name;
    counted.calls.set(counting, (counted.calls.get(counting) ?? 0) + 1);
    const bytes = Math.max(0, Number.parseInt(result, 10) || 0);
    if (READS.has(name)) counted[isFile ? 'readBytes' : 'otherReadBytes'] += bytes;
    if (WRITES.has(name) && isFile) counted.writtenBytes += bytes;
  };
  for (const line of log.split('\n')) {
    const resumed = RESUMED.exec(line);
    if (resumed !== null) {
      const [, thread, name, result] = resumed;
      add(name, unfinished.get(thread) ?? '', result);
      continue;
    }
    const call = CALL.exec(line);
    if (call === null) continue;
    const [, thread, name, file = '', result] = call;
    if (result === undefined) unfinished.set(thread, file);
    else add(name, file, result);
  }
  return counted;
}

/** All calls but those that say nothing about the work. */
export function totalCalls({ calls }: SystemCalls): number {
  return [...calls].reduce((sum, [name, n]) => (LEFT_TO_CHANCE.test(name) ? sum : sum + n), 0);
}
