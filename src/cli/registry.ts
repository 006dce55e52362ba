/** All commands, each loaded when it is asked for: a command must not pay for what another one needs. */

import type { CliCommand } from './command.ts';
import type { CliContext } from './context.ts';

export type CommandFactory = (cli: CliContext) => CliCommand;

interface CommandGroup {
  heading: string;
  commands: Record<string, () => Promise<CommandFactory>>;
}

/** In the order of the help. */
const GROUPS: CommandGroup[] = [
  {
    heading: 'Start:',
    commands: {
      init: async () => (await import('./commands/init.ts')).initCommand,
    },
  },
];

const loaders = new Map(GROUPS.flatMap(({ commands }) => Object.entries(commands)));

export const commandNames = (): string[] => [...loaders.keys()];

export async function loadCommand(name: string, cli: CliContext): Promise<CliCommand | undefined> {
  const load = loaders.get(name);
  return load === undefined ? undefined : (await load())(cli);
}

export async function loadAllCommands(cli: CliContext): Promise<CliCommand[]> {
  const groups = await Promise.all(
    GROUPS.map(({ heading, commands }) =>
      Promise.all(
        Object.values(commands).map(async (load) => {
          const command = (await load())(cli);
          command.helpGroup(heading);
          return command;
        }),
      ),
    ),
  );
  return groups.flat();
}
