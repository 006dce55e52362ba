/** Reads the command line, runs the command, and turns whatever happened into output and an exit status. */

import { CommanderError } from 'commander';
import { CliContext } from './context.ts';
import { ClosedOutput } from './output.ts';
import { buildProgram } from './program.ts';

/**
 * Ends the process.
 * @param args without program and script
 * @param onCommand told the name of the command before that runs, or the one option that stands for one
 */
export async function main(args: string[], onCommand: (name: string) => void): Promise<never> {
  const cli = new CliContext();
  const json = wantsJson(args);
  // An error that escaped the operation that it belongs to is a bug, and told like any other.
  process.on('uncaughtException', async (error) => {
    cli.clearProgress();
    process.exit(await explain(cli.interruption.reason ?? error, json));
  });
  process.exit(await run(cli, args, { json, onCommand }));
}

interface RunOptions {
  json: boolean;
  onCommand: (name: string) => void;
}

async function run(cli: CliContext, args: string[], { json, onCommand }: RunOptions): Promise<number> {
  try {
    if (args.length === 1 && args[0].startsWith('-')) onCommand(args[0]); // --version, --help
    const program = await buildProgram(cli, args);
    program.hook('preAction', (_program, action) => onCommand(action.name()));
    await program.parseAsync(args, { from: 'user' });
    cli.clearProgress();
    await cli.output.flush();
    return cli.interruption.reason?.exitCode ?? cli.exitCode;
  } catch (error) {
    cli.clearProgress();
    if (error instanceof ClosedOutput) return 0;
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // help and version are no failures
    // Whatever broke while the work was being stopped broke because of that.
    return explain(cli.interruption.reason ?? error, json);
  }
}

async function explain(error: unknown, json: boolean): Promise<number> {
  const { explainFailure, failureAsJson, formatFailure } = await import('./errors.ts');
  const failure = explainFailure(error);
  // commander has written the help that stands for this message
  if (!(error instanceof CommanderError && error.code === 'commander.help'))
    await new Promise<void>((resolve) =>
      process.stderr.write(json ? failureAsJson(failure) : formatFailure(failure), () => resolve()),
    );
  return failure.exitCode;
}

/** Asked of the raw arguments, because it also holds when they cannot be parsed. */
function wantsJson(args: string[]): boolean {
  const options = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
  return options.includes('--json') || options.includes('--json-lines');
}
