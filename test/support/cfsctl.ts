/** The Rust reference implementation's command line (crate composefs-ctl). */

import { getPeer } from './peers.ts';
import { expectSuccess, type RunOptions, type RunResult, runCommand } from './run-command.ts';

/** Resolves whatever the exit status is. */
export const tryCfsctl = (args: readonly string[], options?: RunOptions): Promise<RunResult> =>
  runCommand(getPeer('cfsctl'), args, options);

/** Rejects unless the exit status is 0. */
export async function runCfsctl(args: readonly string[], options?: RunOptions): Promise<RunResult> {
  return expectSuccess(['cfsctl', ...args].join(' '), await tryCfsctl(args, options));
}
