import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { runCliJson } from './run-cli.ts';

interface Step {
  title: string;
  command: string;
  elapsedMs: number;
  result: string;
}

test('demo --json reports every step and leaves nothing behind', async () => {
  await using directory = await makeTemporaryDirectory();
  const { steps } = await runCliJson<{ steps: Step[] }>(['demo'], { env: { TMPDIR: directory.path } });
  expect(await readdir(directory.path)).toEqual([]);
  for (const step of steps) expect(Object.keys(step)).toEqual(['title', 'command', 'elapsedMs', 'result']);
  const commands = steps.map(({ command }) => command.replace(/^cfs-ostree (\S+).*/s, '$1'));
  for (const name of ['init', 'commit', 'export', 'pull', 'create-image', 'ls', 'diff', 'untag', 'gc', 'fsck', 'mount'])
    expect(commands).toContain(name);
  const fetched = steps
    .filter(({ command }) => command.startsWith('cfs-ostree pull'))
    .map(({ result }) => Number.parseInt(result, 10));
  expect(fetched).toHaveLength(2);
  expect(fetched[1]).toBeLessThan(fetched[0] / 10);
});
