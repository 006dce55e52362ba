/** doc/exit-codes.md and doc/json.md say what the program does. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CliCommand } from '../../src/cli/command.ts';
import { CliContext } from '../../src/cli/context.ts';
import { buildFullProgram } from '../../src/cli/program.ts';
import * as errors from '../../src/errors.ts';

const document = (name: string): string => readFileSync(resolve(import.meta.dirname, '../../doc', name), 'utf8');
const exitCodes = document('exit-codes.md');
const json = document('json.md');
const commands = (await buildFullProgram(new CliContext())).commands as CliCommand[];

/** First cells of the rows below a heading, without the code marks. */
function firstCells(text: string, heading: string): string[] {
  const start = text.indexOf(`\n${heading}\n`);
  if (start < 0) throw new Error(`no heading ${heading}`);
  const below = text.slice(start + heading.length + 2);
  const section = below.slice(0, below.search(/^#/m) < 0 ? below.length : below.search(/^#/m));
  return [...section.matchAll(/^\| `([^|]*)` \|/gm)].map(([, cell]) => cell);
}

describe('exit-codes.md', () => {
  test('has every exit code, and every error code in the row of its exit code', () => {
    const rows = new Map(
      [...exitCodes.matchAll(/^\| (\d+) \| (.*?) \|/gm)].map(([, exit, codes]) => [Number(exit), codes]),
    );
    expect([...rows.keys()]).toEqual(Object.values(errors.ExitCode));
    for (const value of Object.values(errors)) {
      if (typeof value !== 'function' || !(value.prototype instanceof errors.CfsError) || value === errors.CfsError)
        continue;
      const error = new (value as new (...args: unknown[]) => errors.CfsError)('x', 'y', {});
      expect(rows.get(error.exitCode)).toContain(`\`${error.code}\``);
    }
  });

  test('has every kind of finding', () => {
    const source = readFileSync(resolve(import.meta.dirname, '../../src/operations/fsck-findings.ts'), 'utf8');
    const kinds = [...(/type FindingKind =([^;]*);/.exec(source) as RegExpExecArray)[1].matchAll(/'([^']+)'/g)].map(
      ([, kind]) => kind,
    );
    expect(kinds.length).toBeGreaterThan(20);
    expect(firstCells(exitCodes, '## Findings of `fsck`')).toEqual(kinds);
  });
});

describe('json.md', () => {
  const reporting = commands.filter(({ outputKind }) => outputKind !== 'data').map((command) => command.name());

  test('has every command that reports, and no other', () => {
    expect([...json.matchAll(/^### (.*)$/gm)].map(([, name]) => name).sort()).toEqual([...reporting].sort());
    const data = commands.filter(({ outputKind }) => outputKind === 'data').map((command) => command.name());
    for (const name of data) expect(json).toContain(`\`${name}\``);
  });

  test.each(reporting.filter((name) => name !== 'image-objects'))(
    'has the fields of %s in their order',
    async (name) => {
      const module = (await import(`../../src/cli/commands/${name}.ts`)) as Record<string, unknown>;
      const constant = `${name.toUpperCase().replaceAll('-', '_')}_FIELDS`;
      const nested: Record<string, string[]> = { demo: ['steps'] };
      expect(firstCells(json, `### ${name}`)).toEqual(nested[name] ?? module[constant]);
    },
  );

  test('has the fields of findings and of steps', async () => {
    const { FINDING_FIELDS } = await import('../../src/cli/commands/fsck.ts');
    const { DEMO_STEP_FIELDS } = await import('../../src/cli/commands/demo.ts');
    for (const field of [...FINDING_FIELDS, ...DEMO_STEP_FIELDS]) expect(json).toContain(`\`${field}\``);
  });
});
