import { type FullProgram, findCommand, newCommand } from '../command.ts';
import type { CliContext } from '../context.ts';

export const manCommand = (cli: CliContext, fullProgram: FullProgram) =>
  newCommand('man', {
    summary: 'print a man page',
    description: 'Writes the man page of the program or of one command to stdout, in roff.',
    examples: [
      { command: 'cfs-ostree man', explanation: 'Of the program; read it with `| man -l -`' },
      { command: 'cfs-ostree man pull', explanation: 'Of a command, for cfs-ostree-pull.1' },
    ],
    output: 'data',
  })
    .argument('[command]', 'name of a command')
    .action(async (name: string | undefined) => {
      const { commandManPage, programManPage } = await import('../man-page.ts');
      const program = await fullProgram();
      const page = name === undefined ? programManPage(program) : commandManPage(program, findCommand(program, name));
      await cli.output.write(page);
    });
