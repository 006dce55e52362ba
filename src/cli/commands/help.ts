import { newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';

export const helpCommand = (cli: CliContext) =>
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
      const { buildFullProgram, findCommand } = await import('../program.ts');
      const program = await buildFullProgram(cli);
      const described = name === undefined ? program : findCommand(program, name);
      described.outputHelp();
    });
