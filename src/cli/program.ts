/** The program as commander sees it: global options and commands. */

import { readVersion } from '../version.ts';
import { CliCommand, formatExamples, helpStyle } from './command.ts';
import type { CliContext, GlobalFlags } from './context.ts';
import { globalOptions } from './global-options.ts';
import { loadAllCommands, loadCommand } from './registry.ts';

export const PROGRAM_NAME = 'cfs-ostree';

const DESCRIPTION =
  `Pulls operating-system and application trees that are published as ostree commits into a composefs repository,
builds mountable, verified images from them, and gives them away again.`.replaceAll('\n', ' ');

/** With the one command that the arguments name, or with all of them where that is needed: help, or a name we do not know. */
export async function buildProgram(cli: CliContext, args: string[]): Promise<CliCommand> {
  const program = emptyProgram();
  const name = commandNameIn(program, args);
  for (const command of await commandsFor(cli, name, args)) addCommand(program, command);
  program.hook('preAction', (_program, action) =>
    cli.configure(program.opts<GlobalFlags>(), (action as CliCommand).outputKind),
  );
  return program;
}

async function commandsFor(cli: CliContext, name: string | undefined, args: string[]): Promise<CliCommand[]> {
  if (name === undefined && args.includes('--version')) return [];
  const fullProgram = () => buildFullProgram(cli);
  const wanted = name === undefined ? undefined : await loadCommand(name, cli, fullProgram);
  return wanted === undefined ? loadAllCommands(cli, fullProgram) : [wanted];
}

/** Every command, for documents that are made from their definitions. */
export async function buildFullProgram(cli: CliContext): Promise<CliCommand> {
  return buildProgram(cli, []);
}

function emptyProgram(): CliCommand {
  const program = new CliCommand(PROGRAM_NAME)
    .description(DESCRIPTION)
    .version(readVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'describe the program or a command')
    .helpCommand(false) // ours also says when there is no such command
    .configureHelp(helpStyle)
    // Errors are thrown to main, which knows how they are to be shown.
    .configureOutput({ outputError: () => {} })
    .exitOverride() as CliCommand;
  for (const option of globalOptions()) program.addOption(option);
  return program;
}

function addCommand(program: CliCommand, command: CliCommand): void {
  command.copyInheritedSettings(program);
  command.addHelpText(
    'after',
    `\nExamples:\n${formatExamples(command.examples)}\nOptions of every command: ${PROGRAM_NAME} --help`,
  );
  program.addCommand(command);
}

/** The first argument that is neither an option nor the value of a global one. */
function commandNameIn(program: CliCommand, args: string[]): string | undefined {
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (!arg.startsWith('-')) return arg;
    const option = program.options.find(({ long, short }) => arg === long || arg === short);
    if (option?.required) i++;
  }
  return undefined;
}
