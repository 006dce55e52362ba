/** Writing to stdout, whatever it is. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';

const OUTPUT = resolve(import.meta.dirname, '../../src/cli/output.ts');
const LINES = 200_000;

const program = (before: string): string => `
  import { Output } from ${JSON.stringify(OUTPUT)};
  ${before}
  const output = new Output(() => process.stdout);
  for (let i = 0; i < ${LINES}; i += 1000)
    await output.write(Array.from({ length: 1000 }, (_, k) => \`line \${i + k}\\n\`).join(''));
  await output.flush();
  process.exit(0);`;

const run = (before: string) =>
  spawn(process.execPath, ['--input-type=module', '-e', program(before)], { stdio: ['ignore', 'pipe', 'inherit'] });

test.each([
  ['a pipe', ''],
  ['a pipe that Node has made a non-blocking one', 'process.stdout;'],
])('everything gets to a slow reader of %s', async (_what, before) => {
  const child = run(before);
  const closed = once(child, 'close');
  await sleep(500); // more is written meanwhile than a pipe holds
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout) chunks.push(chunk);
  expect(await closed).toEqual([0, null]);
  const lines = Buffer.concat(chunks).toString().split('\n');
  expect(lines.length).toBe(LINES + 1);
  expect(lines.findIndex((line, i) => line !== `line ${i}`)).toBe(LINES);
});

test.each(['', 'process.stdout;'])('a reader that has gone away is told as such (%j)', async (before) => {
  const child = run(
    `${before} process.on('uncaughtException', ({ name }) => process.exit(name === 'ClosedOutput' ? 7 : 8));`,
  );
  child.stdout.destroy();
  expect(await once(child, 'close')).toEqual([7, null]);
});
