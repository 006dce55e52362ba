import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { runCli, runCliError, runCliJson } from './run-cli.ts';

let directory: TemporaryDirectory;
beforeAll(async () => {
  directory = await makeTemporaryDirectory();
});
afterAll(() => directory[Symbol.asyncDispose]());

describe('init', () => {
  test('makes a repository and reports its settings', async () => {
    const path = directory.join('new/below/here');
    expect(await runCliJson(['init', '--insecure', path])).toEqual({
      path,
      algorithm: 'fsverity-sha512-12',
      erofsVersion: 1,
      insecure: true,
      created: true,
    });
    expect(await readdir(path)).toEqual(['meta.json']);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
  });

  test('writes the settings asked for', async () => {
    const path = directory.join('sha256');
    const args = ['init', '--insecure', '--algorithm', 'fsverity-sha256-12', '--erofs-version=2', path];
    expect(await runCliJson(args)).toMatchObject({ algorithm: 'fsverity-sha256-12', erofsVersion: 2 });
    const meta = JSON.parse(await readFile(join(path, 'meta.json'), 'utf8'));
    expect(meta).toMatchObject({ algorithm: 'fsverity-sha256-12' });
  });

  test('takes the path from wherever a repository can be named', async () => {
    const [flag, env] = [directory.join('flag'), directory.join('env')];
    expect(await runCliJson(['--repo', flag, 'init', '--insecure'])).toMatchObject({ path: flag });
    const options = { env: { CFS_OSTREE_REPO: env } };
    expect(await runCliJson(['init', '--insecure'], options)).toMatchObject({ path: env });
    expect(await runCliJson(['init', '--insecure', 'relative'], { ...options, cwd: directory.path })).toMatchObject({
      path: directory.join('relative'),
    });
  });

  test('refuses to touch a repository that is there', async () => {
    const path = directory.join('twice');
    await runCliJson(['init', '--insecure', path]);
    const before = await readFile(join(path, 'meta.json'));
    expect(await runCliError(['init', '--insecure', path])).toMatchObject({
      exitCode: 8,
      error: { code: 'CFS_CONFLICT', where: { file: path } },
    });
    expect(await readFile(join(path, 'meta.json'))).toEqual(before);
  });

  test('with --ensure is content with the same settings, and with no others', async () => {
    const path = directory.join('ensured');
    const args = ['init', '--insecure', '--ensure', path];
    expect(await runCliJson(args)).toMatchObject({ created: true });
    expect(await runCliJson(args)).toMatchObject({ created: false, path });
    expect(await runCliError([...args, '--erofs-version', '2'])).toMatchObject({ exitCode: 8 });
    expect(await runCliError([...args, '--algorithm', 'fsverity-sha256-12'])).toMatchObject({ exitCode: 8 });
  });

  test('leaves nothing behind where it cannot make one', async () => {
    await writeFile(directory.join('a-file'), '');
    const { exitCode, stdout } = await runCli(['init', '--insecure', directory.join('a-file')]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 8, stdout: '' });
    // A process file system: no directories can be made there by anybody.
    const result = await runCliError(['init', '--insecure', '/proc/self/task/store']);
    expect(result.exitCode).not.toBe(0);
    expect(result.exitCode).not.toBe(1);
  });

  test('says in words what it did', async () => {
    const path = directory.join('words');
    const { stdout, stderr } = await runCli(['init', '--insecure', path]);
    expect(stdout).toBe(
      `Made a repository\n  path           ${path}\n  algorithm      fsverity-sha512-12\n` +
        '  EROFS version  1\n  fs-verity      not required\n',
    );
    expect(stderr).toBe('');
  });
});
