/** Every example of the library page runs as written and prints what the page says. */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const EXAMPLE = /```js\n([\s\S]*?)```\s*\nprints\s*\n```text\n([\s\S]*?)```/g;

const page = readFileSync(`${ROOT}/doc/library.md`, 'utf8');
const examples = [...page.matchAll(EXAMPLE)].map(([, code, output]) => ({ code, output, title: code.split('\n')[0] }));

describe('doc/library.md', () => {
  test('each example says what it prints', () => {
    expect(examples).toHaveLength(page.split('```js').length - 1);
    expect(examples.length).toBeGreaterThan(2);
  });

  test.each(examples)('$title', async ({ code, output }) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { cwd: ROOT });
    expect(stdout).toBe(output);
  });
});
