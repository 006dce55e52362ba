import { spawnSync } from 'node:child_process';
import type { Option } from 'commander';
import { beforeAll, describe, expect, test } from 'vitest';
import type { CliCommand } from '../../src/cli/command.ts';
import { completionScript, SHELLS } from '../../src/cli/completion.ts';
import { CliContext } from '../../src/cli/context.ts';
import { EXIT_STATUS_TEXTS } from '../../src/cli/exit-status.ts';
import { commandManPage, programManPage } from '../../src/cli/man-page.ts';
import { buildFullProgram } from '../../src/cli/program.ts';
import { commandNames } from '../../src/cli/registry.ts';
import { ExitCode } from '../../src/errors.ts';
import { runCli } from './run-cli.ts';

const program = await buildFullProgram(new CliContext());
const commands = program.commands as CliCommand[];

describe.each(commands.map((command) => [command.name(), command] as const))('%s', (name, command) => {
  test('has a summary of one line, a description in sentences, and an example', () => {
    expect(command.summary()).toMatch(/^[a-z][^\n.]{5,70}$/);
    expect(command.description()).toMatch(/^[A-Z].*\.$/s);
    expect(command.examples.length).toBeGreaterThan(0);
    for (const { command: line, explanation } of command.examples) {
      expect(line).toMatch(new RegExp(`^cfs-ostree .*\\b${name}\\b`));
      expect(explanation).toMatch(/^[A-Z].*[^.]$/);
    }
  });

  test('explains every argument and option', () => {
    for (const { description } of [...command.registeredArguments, ...command.options])
      expect(description).toMatch(/\S/);
  });

  test('has no option that is a global one too', () => {
    const globals = program.options.map(({ long }: Option) => long);
    expect(command.options.map(({ long }) => long).filter((long) => globals.includes(long))).toEqual([]);
  });

  test('has a man page without a warning of the formatter', () => {
    const page = commandManPage(program, command);
    expect(page).toMatch(/^\.TH "CFS\\-OSTREE\\-/);
    for (const { long } of command.options) expect(page).toContain(`${long}`.replaceAll('-', '\\-'));
    for (const { command: line } of command.examples)
      expect(page).toContain(line.replaceAll('-', '\\-').replaceAll('"', '\\(dq'));
    expectFormats(page);
  });
});

/** man's formatter, where it is installed. */
const groff = spawnSync('groff', ['--version']).status === 0;
function expectFormats(page: string): void {
  if (!groff) return;
  const { status, stderr } = spawnSync('groff', ['-man', '-ww', '-Tutf8', '-z'], { input: page, encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
}

test('the man page of the program has every command, exit status and global option', () => {
  const page = programManPage(program);
  for (const name of commandNames()) expect(page).toContain(`cfs\\-ostree\\-${name.replaceAll('-', '\\-')}\\fR(1)`);
  expect(Object.keys(EXIT_STATUS_TEXTS)).toEqual(Object.keys(ExitCode));
  for (const code of Object.values(ExitCode)) expect(page).toContain(`\\fB${code}\\fR`);
  expectFormats(page);
});

describe('completion', () => {
  test.each(SHELLS)('for %s knows every command and option', (shell) => {
    const script = completionScript(shell, program);
    for (const command of commands) {
      expect(script).toContain(command.name());
      for (const { long } of [...command.options, ...program.options])
        expect(script).toContain((long as string).slice(2));
    }
  });

  describe('in bash', () => {
    let script: string;
    beforeAll(() => {
      script = completionScript('bash', program);
    });
    test.each([
      [['cfs-ostree', 'pu'], ['pull']],
      [['cfs-ostree', '--repo', 'x', 'create-image', '--req'], ['--require-digest']],
      [['cfs-ostree', 'pull', '--lock'], ['--lock-timeout']],
      [
        ['cfs-ostree', 'pull', '--link', '=', ''],
        ['auto', 'reflink', 'hard'],
      ],
      [['cfs-ostree', 'pull', '--link', ''], []],
      [['cfs-ostree', 'init', '--algorithm', 'fsverity-sha5'], ['fsverity-sha512-12']],
      [
        ['cfs-ostree', 'completion', ''],
        ['bash', 'zsh', 'fish'],
      ],
      [['cfs-ostree', 'man', 'g'], ['gc']],
    ])('%j becomes %j', (words, expected) => {
      const quoted = words.map((word) => `'${word}'`).join(' ');
      const test = `${script}\ncompopt() { :; }\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _cfs_ostree; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout, stderr } = spawnSync('bash', ['-c', test], { encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(stdout.split('\n').filter((word) => word !== '')).toEqual(expected);
    });
  });
});

describe('the program', () => {
  test.each([['--help'], ['-h'], ['help']])('%s lists every command', async (word) => {
    const { exitCode, stdout, stderr } = await runCli([word]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    for (const name of commandNames()) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
  });

  test('describes a command the same way for help and --help', async () => {
    const { stdout } = await runCli(['help', 'pull']);
    expect(stdout).toMatch(/^Usage: cfs-ostree pull /);
    expect(stdout).toContain('Examples:\n');
    expect((await runCli(['pull', '--help'])).stdout).toBe(stdout);
  });
});
