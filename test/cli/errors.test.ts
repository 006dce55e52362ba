import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { explainFailure, failureAsJson, formatFailure } from '../../src/cli/errors.ts';
import { InterruptedError } from '../../src/cli/interruption.ts';
import * as errors from '../../src/errors.ts';
import { runCli, runCliError } from './run-cli.ts';

const errnoError = (code: string, path?: string): Error =>
  Object.assign(new Error(`${code}: something, open`), { code, errno: -1, syscall: 'open', path });

describe('what was thrown becomes an exit status', () => {
  test.each([
    [new errors.UsageError('x'), 2, 'CFS_USAGE'],
    [new errors.NotFoundError('x'), 4, 'CFS_NOT_FOUND'],
    [new errors.FormatError('x'), 5, 'CFS_FORMAT'],
    [new errors.LimitError('x'), 5, 'CFS_LIMIT'],
    [new errors.DigestMismatchError('a', 'b', {}), 5, 'CFS_DIGEST_MISMATCH'],
    [new errors.MissingObjectError('x'), 5, 'CFS_MISSING_OBJECT'],
    [new errors.SourceError('x'), 6, 'CFS_SOURCE'],
    [new errors.UntrustedError('x'), 7, 'CFS_UNTRUSTED'],
    [new errors.ConflictError('x'), 8, 'CFS_CONFLICT'],
    [new errors.NoSpaceError('x'), 9, 'CFS_NO_SPACE'],
    [new errors.RepositoryError('x'), 10, 'CFS_REPOSITORY'],
    [new errors.AddonNeededError('x'), 10, 'CFS_ADDON_NEEDED'],
    [new errors.LockedError('x'), 11, 'CFS_LOCKED'],
    [new InterruptedError('SIGINT'), 130, 'CFS_INTERRUPTED'],
    [new InterruptedError('SIGTERM'), 143, 'CFS_INTERRUPTED'],
    [new InterruptedError('SIGHUP'), 129, 'CFS_INTERRUPTED'],
    [new CommanderError(1, 'commander.unknownOption', "error: unknown option '--x'"), 2, 'CFS_USAGE'],
    [errnoError('ENOSPC'), 9, 'CFS_NO_SPACE'],
    [errnoError('EDQUOT'), 9, 'CFS_NO_SPACE'],
    [errnoError('EROFS'), 10, 'CFS_REPOSITORY'],
    [errnoError('EACCES'), 10, 'CFS_REPOSITORY'],
    [errnoError('ENOENT'), 4, 'CFS_NOT_FOUND'],
    [errnoError('EWEIRD'), 1, 'CFS_INTERNAL'],
    [new TypeError('x is not a function'), 1, 'CFS_INTERNAL'],
    ['not even an error', 1, 'CFS_INTERNAL'],
  ])('%s', (thrown, exitCode, code) => {
    expect(explainFailure(thrown)).toMatchObject({ exitCode, code });
  });
});

describe('an error in words', () => {
  const inner = errnoError('EIO', '/x');
  const error = new errors.FormatError('bad magic', { file: 'streams/x', field: 'magic', offset: 0 }, { cause: inner });

  test('comes with its causes, each on a line', () => {
    expect(formatFailure(explainFailure(error))).toBe(
      'cfs-ostree: streams/x: magic at offset 0: bad magic\n  caused by: EIO: something, open\n',
    );
  });

  test('does not say the same twice', () => {
    const outer = new errors.SourceError('cannot connect: refused', {}, { cause: new Error('refused') });
    expect(formatFailure(explainFailure(outer))).toBe('cfs-ostree: cannot connect: refused\n');
  });

  test('that is a bug has its stack and asks for a report', () => {
    const text = formatFailure(explainFailure(new TypeError('x is not a function')));
    expect(text).toMatch(/^cfs-ostree: internal error: x is not a function\n/);
    expect(text).toContain('errors.test.ts');
    expect(text).toMatch(/report/);
  });

  test('holds no control characters of a stranger', () => {
    const text = formatFailure(explainFailure(new errors.NotFoundError('no ref \x1b]0;title\x07')));
    expect(text).toBe('cfs-ostree: no ref \\u{1b}]0;title\\u{7}\n');
  });

  test('with a circle of causes ends', () => {
    const a = new Error('a');
    a.cause = new Error('b', { cause: a });
    expect(
      formatFailure(explainFailure(new errors.SourceError('x', {}, { cause: a }))).split('\n').length,
    ).toBeLessThan(12);
  });
});

describe('an error as JSON', () => {
  test('has code, message, where and nested causes', () => {
    const inner = new errors.SourceError('refused', {}, { cause: errnoError('ECONNREFUSED') });
    const error = new errors.FormatError('bad', { object: 'aa.commit', offset: 7 }, { cause: inner });
    expect(JSON.parse(failureAsJson(explainFailure(error)))).toEqual({
      error: {
        code: 'CFS_FORMAT',
        message: 'aa.commit: at offset 7: bad',
        where: { object: 'aa.commit', offset: 7 },
        cause: {
          code: 'CFS_SOURCE',
          message: 'refused',
          cause: { code: 'ECONNREFUSED', message: 'ECONNREFUSED: something, open' },
        },
      },
    });
  });

  test('leaves out what is not known, and is one line', () => {
    expect(failureAsJson(explainFailure(new errors.UsageError('two\nlines')))).toBe(
      '{"error":{"code":"CFS_USAGE","message":"two\\nlines"}}\n',
    );
  });
});

describe('the program', () => {
  test.each([
    ['an unknown command', ['pul'], /unknown command 'pul'\n.*Did you mean pull/s],
    ['an unknown option', ['refs', '--nope'], /unknown option '--nope'/],
    ['a missing argument', ['pull', 'x'], /missing required argument/],
    ['too many arguments', ['refs', 'x'], /too many arguments/],
    ['a bad choice', ['init', '--erofs-version', '7'], /It is one of 0, 1, 2/],
    ['a bad number', ['refs', '--lock-timeout', '-1'], /whole number from 0 to/],
    ['options that exclude each other', ['refs', '--system', '--user'], /cannot be used with/],
    ['--json where stdout is data', ['completion', 'bash', '--json'], /CFS_USAGE.*writes data to stdout/],
    ['--json-lines where nothing is listed', ['init', '--json-lines', '/nowhere'], /CFS_USAGE.*use --json/],
    ['help on an unknown command', ['help', 'pul'], /there is no command "pul"/],
  ])('ends with 2 after %s, and says so on stderr', async (_title, args, message) => {
    const { exitCode, stdout, stderr } = await runCli(args);
    expect(stderr).toMatch(message);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  });

  test('without a command shows its help on stderr and ends with 2', async () => {
    const { exitCode, stdout, stderr } = await runCli([]);
    expect(stderr).toMatch(/^Usage: cfs-ostree/);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  });

  test('writes wrong usage as JSON where --json is among the arguments', async () => {
    expect(await runCliError(['refs', '--nope'])).toEqual({
      exitCode: 2,
      error: { code: 'CFS_USAGE', message: "unknown option '--nope'" },
    });
  });

  test('has the same exit status with and without --json', async () => {
    const args = ['refs', '--repo', '/nowhere/at-all'];
    expect((await runCli(args)).exitCode).toBe(10);
    const { exitCode, error } = await runCliError(args);
    expect(exitCode).toBe(10);
    expect(error).toMatchObject({ code: 'CFS_REPOSITORY', where: { file: '/nowhere/at-all' } });
    expect(error.message).toContain('cfs-ostree init /nowhere/at-all');
  });
});
