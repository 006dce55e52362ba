/** Runs the built program as a user does: a process of its own, with nothing of the test's environment that it would heed. */

import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { type RunOptions, type RunResult, runCommand } from '../support/run-command.ts';
import { sharedFixture } from '../support/run-directory.ts';

export const ROOT = resolve(import.meta.dirname, '../..');
export const PROGRAM = resolve(ROOT, 'bin/cfs-ostree.js');

/** `dist/` is built once per run of the tests, if it is older than the sources. */
export const ensureBuilt = (): Promise<true> =>
  sharedFixture('built-program', async () => {
    const { ensureProgramIsBuilt } = (await import('../../scripts/setup.js' as string)) as {
      ensureProgramIsBuilt(): void;
    };
    ensureProgramIsBuilt();
    return true as const;
  });

const FOREIGN = ['CFS_OSTREE_REPO', 'CFS_OSTREE_NO_ADDON', 'NO_COLOR', 'FORCE_COLOR', 'NODE_OPTIONS'];

export function cliEnvironment(env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const clean = { ...process.env };
  for (const name of FOREIGN) delete clean[name];
  return { ...clean, ...env };
}

/** @param options `env` is added to a clean environment */
export async function runCli(args: string[], options: RunOptions = {}): Promise<RunResult> {
  await ensureBuilt();
  return runCommand(process.execPath, [PROGRAM, ...args], { ...options, env: cliEnvironment(options.env) });
}

/** Result of a run that must succeed, parsed. */
export async function runCliJson<T>(args: string[], options: RunOptions = {}): Promise<T> {
  const result = await runCli(['--json', ...args], options);
  if (result.exitCode !== 0) throw new Error(`${args.join(' ')}: exit status ${result.exitCode}\n${result.stderr}`);
  return JSON.parse(result.stdout) as T;
}

/** The error object of a run that must fail. */
export async function runCliError(
  args: string[],
  options: RunOptions = {},
): Promise<{ exitCode: number | null; error: { code: string; message: string; where?: object; cause?: object } }> {
  const { exitCode, stderr } = await runCli(['--json', ...args], options);
  const lines = stderr.trim().split('\n');
  return { exitCode, error: JSON.parse(lines[lines.length - 1]).error };
}

/** The program running, for tests that interfere with it. */
export function startCli(args: string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
  return spawn(process.execPath, [PROGRAM, ...args], {
    cwd: options.cwd,
    env: cliEnvironment(options.env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
