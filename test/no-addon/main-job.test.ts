/** The program where the addon could not be built: what works gives the same as with it, what does not says why. */

import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { inflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli, runCliError, runCliJson } from '../cli/run-cli.ts';
import { snapshot } from '../support/composefs-repositories.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { readVectorFacts, vectorRepository } from '../support/vector-repositories.ts';

const WITHOUT = { CFS_OSTREE_NO_ADDON: '1' };
const NOTICE = /^warning: the native addon could not be loaded \(.+\): .+$/gm;
const REFS = Object.keys(readVectorFacts().repos.archive.refs).sort();
const BARE_MODES = ['bare', 'bare-user', 'bare-user-only', 'bare-split-xattrs'] as const;

let archive: string;
let server: StaticServer;
let directory: TemporaryDirectory;
beforeAll(async () => {
  archive = await vectorRepository('archive');
  server = await startStaticServer(archive);
  directory = await makeTemporaryDirectory();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

/** Everything that needs no addon, in one repository. @returns what the commands reported, and what is on disk */
async function doMainJob(path: string, algorithm: string, source: string, env: NodeJS.ProcessEnv) {
  const reports: unknown[] = [];
  const run = async (...args: string[]): Promise<void> => {
    const report = await runCliJson<object>(args, { env: { ...env, CFS_OSTREE_REPO: path } });
    reports.push(JSON.parse(JSON.stringify(report, (key, value) => (key === 'elapsedMs' ? undefined : value))));
  };
  await run('init', '--insecure', '--algorithm', `fsverity-${algorithm}-12`);
  await run('pull', source, ...REFS.slice(1));
  await run('pull', source, REFS[0], '--base', REFS[1], '--create-image');
  await run('pull', source, ...REFS);
  for (const version of ['0', '1', '2'])
    await run('create-image', REFS[0], '--erofs-version', version, '--name', `v${version}`);
  await run('tag', REFS[0], 'kept');
  await run('untag', REFS[1]);
  await run('gc', '--dry-run');
  await run('gc');
  await run('fsck');
  await run('fsck', '--metadata-only');
  for (const command of ['refs', 'images']) await run(command);
  await run('show', 'kept');
  await run('ls', 'kept', '-lR');
  await run('du', 'kept', 'v2');
  await run('diff', 'kept', REFS[2]);
  await run('compute-id', 'kept', '--erofs-version', '2');
  await run('image-objects', 'v1');
  const dump = await runCli(['dump', 'v0'], { env: { ...env, CFS_OSTREE_REPO: path } });
  return { reports: reports.slice(1), dump: dump.stdout, files: await snapshot(path) };
}

test.each([
  ['HTTP', 'sha256'],
  ['a path', 'sha512'],
])(
  'pull by %s, images, gc and fsck give what they give with the addon (%s)',
  async (way, algorithm) => {
    const source = way === 'HTTP' ? server.url : archive;
    const [own, other] = ['without', 'with'].map((name) => directory.join(`${name}-${algorithm}`));
    const found = await doMainJob(own, algorithm, source, WITHOUT);
    const expected = await doMainJob(other, algorithm, source, {});
    expect(found.reports).toEqual(expected.reports);
    expect(found.dump).toBe(expected.dump);
    expect([...found.files.keys()]).toEqual([...expected.files.keys()]);
    expect(found.files).toEqual(expected.files);
    // either goes on where the other stopped
    const both = { env: { CFS_OSTREE_REPO: own } };
    expect(await runCliJson(['fsck'], both)).toMatchObject({ ok: true, findings: [] });
    expect(await runCliJson(['pull', source, ...REFS], both)).toMatchObject({
      results: REFS.map((ref) => ({ ref, upToDate: ref !== REFS[1] })), // that one was collected
    });
  },
  300_000,
);

/** Of a `.filez` as `snapshot` tells it: two compressors may say the same in different ways. */
function inflated(entry: string): string {
  const bytes = Buffer.from(entry.slice('file '.length), 'base64');
  const headerBytes = 8 + bytes.readUInt32BE(0);
  return Buffer.concat([bytes.subarray(0, headerBytes), inflateRawSync(bytes.subarray(headerBytes))]).toString(
    'base64',
  );
}

test('commits and archive exports are the same, too', async () => {
  const tree = directory.join('tree');
  await mkdir(`${tree}/sub`, { recursive: true });
  await writeFile(`${tree}/small`, 'small');
  await writeFile(`${tree}/sub/large`, Buffer.alloc(700_000, 'large'));
  const job = async (name: string, env: NodeJS.ProcessEnv) => {
    const run = <T>(...args: string[]) =>
      runCliJson<T>(args, { env: { ...env, CFS_OSTREE_REPO: directory.join(name) } });
    await run('init', '--insecure');
    const commit = await run(
      'commit',
      tree,
      '--branch',
      'b',
      '--no-xattrs',
      '--timestamp',
      '0',
      '--generate-composefs-metadata',
    );
    const image = await run('create-image', 'b', '--require-digest');
    const { bytesWritten, ...exported } = await run<{ bytesWritten: number }>(
      'export',
      'b',
      directory.join(`${name}-exported`),
    );
    expect(bytesWritten).toBeGreaterThan(500);
    const files = await snapshot(directory.join(`${name}-exported`));
    files.delete('.lock'); // there is no such lock to be had without the addon
    for (const [path, entry] of files) if (path.endsWith('.filez')) files.set(path, inflated(entry));
    return { commit, image, exported, files };
  };
  expect(await job('commit-without', WITHOUT)).toEqual(await job('commit-with', {}));
});

describe('what needs the addon ends with exit status 10 and says so', () => {
  let env: NodeJS.ProcessEnv;
  beforeAll(async () => {
    env = { ...WITHOUT, CFS_OSTREE_REPO: directory.join('limited') };
    await runCliJson(['init', '--insecure'], { env });
    await runCliJson(['pull', archive, REFS[0], '--create-image'], { env });
    await mkdir(directory.join('mnt'));
  });
  const expectRefusal = async (args: string[], reason: RegExp, own = env): Promise<void> => {
    const { exitCode, error } = await runCliError(args, { env: own });
    expect(error).toMatchObject({ code: 'CFS_ADDON_NEEDED', message: expect.stringMatching(reason) });
    expect(exitCode).toBe(10);
  };

  test.each(BARE_MODES)('a pull from a %s repository', async (mode) => {
    const own = { ...WITHOUT, CFS_OSTREE_REPO: directory.join(`from-${mode}`) };
    await runCliJson(['init', '--insecure'], { env: own });
    const args = ['pull', await vectorRepository(mode), 'nasty/canonical'];
    await expectRefusal(args, new RegExp(`a ${mode} repository.*native addon`), own);
    expect(await runCliJson(['refs'], { env: own })).toEqual([]);
    expect(await runCliJson(['fsck'], { env: own })).toMatchObject({ ok: true, findings: [] });
  });
  test('a new secure repository', () =>
    expectRefusal(['init', directory.join('secure')], /secure.*native addon.*--insecure/));
  test('mount', () => expectRefusal(['mount', REFS[0], directory.join('mnt')], /native addon/));
  test('umount', () => expectRefusal(['umount', directory.join('mnt')], /native addon/));
  test('a commit with extended attributes', () =>
    expectRefusal(['commit', directory.join('tree'), '--branch', 'x'], /native addon.*--no-xattrs/));
  test.each(BARE_MODES.slice(0, 3))('an export as %s', (mode) =>
    expectRefusal(['export', REFS[0], directory.join(`exported-${mode}`), '--mode', mode], /native addon.*archive/),
  );
  test('nothing is left of any of that', async () => {
    expect((await readdir(directory.path)).filter((name) => name === 'secure' || name.startsWith('exported-'))).toEqual(
      [],
    );
    expect(await runCliJson(['fsck'], { env })).toMatchObject({ ok: true, findings: [] });
  });
});

describe('the notice', () => {
  const commands = (): string[][] => [
    ['init', '--insecure', directory.join('noticed')],
    ['--repo', directory.join('noticed'), 'pull', server.url, ...REFS, '--create-image'],
    ['--repo', directory.join('noticed'), 'create-image', REFS[0]],
    ['--repo', directory.join('noticed'), 'diff', REFS[0], REFS[1]],
    ['--repo', directory.join('noticed'), 'gc'],
    ['--repo', directory.join('noticed'), 'fsck'],
  ];

  test('comes once with every command', async () => {
    for (const args of commands()) {
      const { exitCode, stderr, stdout } = await runCli(args, { env: WITHOUT });
      expect(exitCode, stderr).toBe(0);
      expect(stderr.match(NOTICE), `${args.join(' ')}\n${stderr}`).toHaveLength(1);
      expect(stdout).not.toMatch(/could not be loaded/);
    }
  });

  test('and not at all with --quiet', async () => {
    for (const args of commands().slice(1)) {
      const { exitCode, stderr } = await runCli([...args, '--quiet'], { env: WITHOUT });
      expect({ exitCode, stderr, args }).toEqual({ exitCode: 0, stderr: '', args });
    }
  });
});

test('the demo goes through everything but the mount, and says once what is missing', async () => {
  await using own = await makeTemporaryDirectory();
  const { exitCode, stdout, stderr } = await runCli(['demo', '--json'], { env: { ...WITHOUT, TMPDIR: own.path } });
  expect(exitCode, stderr).toBe(0);
  expect(JSON.parse(stderr)).toEqual({ warning: { message: expect.stringContaining('could not be loaded') } });
  const { steps } = JSON.parse(stdout) as { steps: Array<{ command: string; result: string }> };
  const commands = steps.map(({ command }) => command.replace(/^cfs-ostree (\S+).*/s, '$1'));
  for (const name of ['init', 'commit', 'export', 'pull', 'create-image', 'ls', 'diff', 'untag', 'gc', 'fsck'])
    expect(commands).toContain(name);
  expect(steps.at(-1)).toMatchObject({ result: expect.stringContaining('needs root and the native addon') });
  expect(await readdir(own.path)).toEqual([]);
}, 300_000);
