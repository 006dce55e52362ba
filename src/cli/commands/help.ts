import { type FullProgram, findCommand, newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';

export const helpCommand = (_cli: CliContext, fullProgram: FullProgram) =>
  newCommand('help', {
    summary: 'describe a command',
    description: 'Describes the program, or one command with its options and examples.',
    examples: [
      { command: 'cfs-ostree help pull', explanation: 'Of one command; `cfs-ostree pull --help` is the same' },
    ],
    output: 'data',
  })
    .argument('[command]', 'name of a command')
    .action(async (name: string | undefined) => {
      const program = await fullProgram();
      const described = name === undefined ? program : findCommand(program, name);
      described.outputHelp();
    });
