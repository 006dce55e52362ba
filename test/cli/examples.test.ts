/** Every example of every command works as it is written in help and man pages. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CliCommand } from '../../src/cli/command.ts';
import { CliContext } from '../../src/cli/context.ts';
import { buildFullProgram } from '../../src/cli/program.ts';
import { StaticServer } from '../../src/operations/static-server.ts';
import { describeWithPeers } from '../support/peers.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { cliEnvironment, PROGRAM } from './run-cli.ts';
import { type OwnWorld, openWorld } from './world.ts';

const program = await buildFullProgram(new CliContext());
const examples = (program.commands as CliCommand[]).flatMap((command) =>
  command.examples.map((example) => ({ name: command.name(), line: example.command })),
);
const needRoot = ['mount', 'umount'];
/** The one thing in examples that tests have no right to: a server on the Internet. */
const EXAMPLE_URL = 'https://ostree.example.org/repo';

/** Equal trees have no differences. */
const NOTHING_TO_SAY = 'cfs-ostree diff os/main file:./os.erofs';

/** The line goes to a shell, in which `cfs-ostree` is the built program. */
async function runLine(line: string, { cwd, env }: OwnWorld): Promise<RunResult> {
  await using server = await StaticServer.start(join(cwd, 'published'));
  const shell = `cfs-ostree() { '${process.execPath}' '${PROGRAM}' "$@"; }\n${line.replace(EXAMPLE_URL, server.url)}`;
  return await runCommand('bash', ['-c', shell], { cwd, env: cliEnvironment(env) });
}

describe('as written:', () => {
  test.each(examples.filter(({ name }) => !needRoot.includes(name)))('$line', async ({ line, name }) => {
    await using world = await openWorld();
    const { exitCode, stdout, stderr } = await runLine(line, world);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: name === 'demo' ? expect.any(String) : '' });
    if (line === NOTHING_TO_SAY) expect(stdout).toBe('');
    else expect(stdout).not.toBe('');
  });
});

describeWithPeers('as written, by root:', ['root'], () => {
  test.each(examples.filter(({ name }) => name === 'mount'))('$line', async ({ line }) => {
    await using world = await openWorld();
    const mounted = await runLine(line, world);
    expect(mounted).toMatchObject({ exitCode: 0, stderr: '' });
    try {
      expect((await readdir(join(world.cwd, 'mnt'))).sort()).toEqual(['etc', 'usr']);
    } finally {
      const umount = examples.find(({ name }) => name === 'umount')?.line as string;
      expect(await runLine(umount, world)).toMatchObject({ exitCode: 0, stderr: '' });
    }
    expect(await readdir(join(world.cwd, 'mnt'))).toEqual([]);
  });
});

test('there are examples for all of them', () => {
  expect(new Set(examples.map(({ name }) => name)).size).toBe(program.commands.length);
});
