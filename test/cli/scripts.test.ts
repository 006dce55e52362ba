/** What `npm start` and set-up leave between the user and the program. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { cliEnvironment, ensureBuilt, ROOT } from './run-cli.ts';

describe('node_modules/.bin/cfs-ostree', () => {
  test('runs from anywhere, through symbolic links, under the Node of the tree', async () => {
    await ensureBuilt();
    await using directory = await makeTemporaryDirectory();
    const [first, second] = [directory.join('first'), directory.join('second')];
    await symlink(join(ROOT, 'node_modules/.bin/cfs-ostree'), first);
    await symlink('first', second);
    // Only what a shell script needs: another `node` on PATH must not matter.
    const env = { PATH: '/usr/bin:/bin', HOME: directory.path };
    expect(await runCommand(second, ['--version'], { cwd: directory.path, env })).toMatchObject({
      exitCode: 0,
      stderr: '',
    });
    const { exitCode } = await runCommand(first, ['refs', '--repo', directory.join('none')], { env });
    expect(exitCode).toBe(10);
  });
});

describe('a program in the foreground of a script', () => {
  const start = (program: string) => {
    const script = `
      import { runUnderTreeNode } from ${JSON.stringify(join(ROOT, 'scripts/run-under-tree-node.js'))};
      process.exitCode = await runUnderTreeNode(['-e', ${JSON.stringify(program)}]);`;
    return spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: cliEnvironment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  };

  test('hands on its exit status', async () => {
    expect(await once(start('process.exit(7)'), 'exit')).toEqual([7, null]);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('gets %s, and ends in its own way', async (signal) => {
    const child = start(
      `process.on('${signal}', () => process.exit(9)); setInterval(() => {}, 1000); console.log('ready')`,
    );
    await once(child.stdout, 'data');
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([9, null]);
  });

  test('that dies of a signal takes the script along', async () => {
    const child = start(`console.log('ready'); setInterval(() => {}, 1000)`);
    await once(child.stdout, 'data');
    await sleep(50);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
  });
});

test('package.json approves exactly the install scripts that set-up needs', async () => {
  const { allowScripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  const { packages } = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { hasInstallScript?: boolean; optional?: boolean; os?: string[] }>;
  };
  const withScripts = Object.entries(packages)
    .filter(([path, { hasInstallScript, os }]) => path !== '' && hasInstallScript && os === undefined)
    .map(([path]) => path.replace('node_modules/', ''));
  expect(Object.keys(allowScripts).sort()).toEqual(withScripts.sort());
});
