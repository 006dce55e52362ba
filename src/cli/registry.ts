/** All commands, each loaded when it is asked for: a command must not pay for what another one needs. */

import type { CliCommand, FullProgram } from './command.ts';
import type { CliContext } from './context.ts';

/** @param fullProgram with all commands, for those that describe it */
export type CommandFactory = (cli: CliContext, fullProgram: FullProgram) => CliCommand;

interface CommandGroup {
  heading: string;
  commands: Record<string, () => Promise<CommandFactory>>;
}

/** In the order of the help. */
const GROUPS: CommandGroup[] = [
  {
    heading: 'Start:',
    commands: {
      demo: async () => (await import('./commands/demo.ts')).demoCommand,
      init: async () => (await import('./commands/init.ts')).initCommand,
    },
  },
  {
    heading: 'Get and give trees:',
    commands: {
      pull: async () => (await import('./commands/pull.ts')).pullCommand,
      commit: async () => (await import('./commands/commit.ts')).commitCommand,
      export: async () => (await import('./commands/export.ts')).exportCommand,
    },
  },
  {
    heading: 'Names:',
    commands: {
      refs: async () => (await import('./commands/refs.ts')).refsCommand,
      log: async () => (await import('./commands/log.ts')).logCommand,
      show: async () => (await import('./commands/show.ts')).showCommand,
      tag: async () => (await import('./commands/tag.ts')).tagCommand,
      untag: async () => (await import('./commands/untag.ts')).untagCommand,
    },
  },
  {
    heading: 'Images:',
    commands: {
      'create-image': async () => (await import('./commands/create-image.ts')).createImageCommand,
      'compute-id': async () => (await import('./commands/compute-id.ts')).computeIdCommand,
      images: async () => (await import('./commands/images.ts')).imagesCommand,
      'image-objects': async () => (await import('./commands/image-objects.ts')).imageObjectsCommand,
      mount: async () => (await import('./commands/mount.ts')).mountCommand,
      umount: async () => (await import('./commands/umount.ts')).umountCommand,
    },
  },
  {
    heading: 'Look inside a tree:',
    commands: {
      ls: async () => (await import('./commands/ls.ts')).lsCommand,
      cat: async () => (await import('./commands/cat.ts')).catCommand,
      dump: async () => (await import('./commands/dump.ts')).dumpCommand,
      diff: async () => (await import('./commands/diff.ts')).diffCommand,
      du: async () => (await import('./commands/du.ts')).duCommand,
    },
  },
  {
    heading: 'Housekeeping:',
    commands: {
      gc: async () => (await import('./commands/gc.ts')).gcCommand,
      fsck: async () => (await import('./commands/fsck.ts')).fsckCommand,
    },
  },
  {
    heading: 'Help:',
    commands: {
      help: async () => (await import('./commands/help.ts')).helpCommand,
      completion: async () => (await import('./commands/completion.ts')).completionCommand,
      man: async () => (await import('./commands/man.ts')).manCommand,
    },
  },
];

const loaders = new Map(GROUPS.flatMap(({ commands }) => Object.entries(commands)));

export const commandNames = (): string[] => [...loaders.keys()];

export async function loadCommand(
  name: string,
  cli: CliContext,
  fullProgram: FullProgram,
): Promise<CliCommand | undefined> {
  const load = loaders.get(name);
  return load === undefined ? undefined : (await load())(cli, fullProgram);
}

export async function loadAllCommands(cli: CliContext, fullProgram: FullProgram): Promise<CliCommand[]> {
  const groups = await Promise.all(
    GROUPS.map(({ heading, commands }) =>
      Promise.all(
        Object.values(commands).map(async (load) => {
          const command = (await load())(cli, fullProgram);
          command.helpGroup(heading);
          return command;
        }),
      ),
    ),
  );
  return groups.flat();
}
