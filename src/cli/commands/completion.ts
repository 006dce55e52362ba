import { Argument } from 'commander';
import { type FullProgram, newCommand } from '../command.ts';
import { completionScript, SHELLS, type Shell } from '../completion.ts';
import type { CliContext } from '../context.ts';

export const completionCommand = (cli: CliContext, fullProgram: FullProgram) =>
  newCommand('completion', {
    summary: 'print a completion script for a shell',
    description: 'Writes a script to stdout that teaches a shell to complete commands and options.',
    examples: [
      { command: 'cfs-ostree completion bash', explanation: 'For /etc/bash_completion.d or ~/.bashrc' },
      { command: 'cfs-ostree completion zsh', explanation: 'For a file _cfs-ostree in a directory of $fpath' },
      { command: 'cfs-ostree completion fish', explanation: 'For ~/.config/fish/completions/cfs-ostree.fish' },
    ],
    output: 'data',
  })
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(SHELLS))
    .action(async (shell: Shell) => {
      await cli.output.write(completionScript(shell, await fullProgram()));
    });
