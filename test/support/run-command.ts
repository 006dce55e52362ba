/** Runs a program to its end; stdin is empty unless given. */

import { spawn } from 'node:child_process';

export interface RunOptions {
  cwd?: string;
  /** Replaces the environment; without it the test's own is inherited. */
  env?: NodeJS.ProcessEnv;
  input?: string | Uint8Array;
  /** The program is killed after this and the run rejects. Default ten minutes. */
  timeoutMs?: number;
}

export interface RunResult {
  /** 128 + signal number is not made up: a killed program has null here and a `signal`. */
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stdoutBytes: Buffer;
  stderr: string;
}

const DEFAULT_TIMEOUT_MS = 600_000;

/** Resolves whatever the exit status is; rejects when the program cannot be started or outlives its time. */
export function runCommand(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { cwd, env, input, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on('error', () => {}); // a program that does not read its input is no failure
    child.stdin.end(input ?? '');
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (exitCode, signal) => {
      clearTimeout(timer);
      const stdoutBytes = Buffer.concat(stdout);
      const result = {
        exitCode,
        signal,
        stdout: stdoutBytes.toString(),
        stdoutBytes,
        stderr: Buffer.concat(stderr).toString(),
      };
      if (timedOut) reject(new Error(`${describe(command, args)}: not done after ${timeoutMs} ms\n${tail(result)}`));
      else resolve(result);
    });
  });
}

/** As `runCommand`, but anything except exit status 0 rejects, with what the program said. */
export async function runChecked(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const result = await runCommand(command, args, options);
  return expectSuccess(describe(command, args), result);
}

/** @throws Error that quotes the program's output, unless it ended with exit status 0 */
export function expectSuccess(what: string, result: RunResult): RunResult {
  if (result.exitCode === 0) return result;
  throw new Error(`${what}: ${result.signal ?? `exit status ${result.exitCode}`}\n${tail(result)}`);
}

const describe = (command: string, args: readonly string[]): string => [command, ...args].join(' ').slice(0, 500);
const tail = ({ stdout, stderr }: Pick<RunResult, 'stdout' | 'stderr'>): string =>
  `${stderr.slice(-4000)}\n${stdout.slice(-2000)}`.trim();
