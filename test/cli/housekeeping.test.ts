import { chmod, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { runCli, runCliError, runCliJson } from './run-cli.ts';
import { type OwnWorld, openWorld } from './world.ts';

let world: OwnWorld;
beforeEach(async () => {
  world = await openWorld();
  return () => world[Symbol.asyncDispose]();
});
const json = <T>(...args: string[]) => runCliJson<T>(args, world);
const objectPath = (id: string) => join(world.cwd, 'store/objects', id.slice(0, 2), id.slice(2));
interface Fsck {
  ok: boolean;
  findings: Array<Record<string, unknown>>;
}

describe('gc', () => {
  const FIELDS = [
    'objectsRemoved',
    'bytesRemoved',
    'streamsRemoved',
    'imagesRemoved',
    'temporariesRemoved',
    'objectsKept',
    'dryRun',
  ];

  test('removes what lost its last name, and nothing else', async () => {
    await json('untag', 'os/old');
    const planned = await json<Record<string, unknown>>('gc', '--dry-run');
    expect(Object.keys(planned)).toEqual(FIELDS);
    expect(planned).toMatchObject({ streamsRemoved: 1, imagesRemoved: 0, dryRun: true });
    expect(await json('show', 'os/main^')).toMatchObject({ commit: world.first });
    expect(await json('gc')).toEqual({ ...planned, dryRun: false });
    expect(await runCliError(['show', world.first], world)).toMatchObject({ exitCode: 4 });
    expect(await json('fsck')).toMatchObject({ ok: true, findings: [] });
    expect(await json('diff', '--exit-code', 'os/main', 'file:./os.erofs')).toMatchObject({ changed: [] });
  });

  test('keeps further roots and ancestors', async () => {
    await json('untag', 'os/old');
    expect(await json('gc', '--keep-depth', '1')).toMatchObject({ streamsRemoved: 0 });
    expect(await json('gc', '--root', world.first)).toMatchObject({ streamsRemoved: 0 });
    expect(await json('gc')).toMatchObject({ streamsRemoved: 1 });
  });

  test('only warns of a root that does not exist', async () => {
    const { exitCode, stderr } = await runCli(['gc', '--dry-run', '--root', 'nothing-of-this-name'], world);
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/^warning: .*nothing-of-this-name/);
  });

  test('says in words what it did', async () => {
    await json('untag', 'os/old');
    expect((await runCli(['gc', '--dry-run'], world)).stdout).toMatch(
      /^Would remove \d+ objects? \(.*\), 1 stream; \d+ objects kept\n$/,
    );
  });

  test('removes nothing where something that it keeps is damaged', async () => {
    await json('untag', 'os/old');
    const { streamId } = await json<{ streamId: string }>('show', 'os/main');
    await chmod(objectPath(streamId), 0o644);
    await truncate(objectPath(streamId), 100);
    expect(await runCliError(['gc'], world)).toMatchObject({ exitCode: 5 });
    expect(await readdir(join(world.cwd, 'store/streams'))).toContain(`ostree-commit-${world.first}`);
  });
});

describe('fsck', () => {
  test('finds a sound repository sound', async () => {
    const { stdout } = await runCli(['fsck', '--json'], world);
    const report = JSON.parse(stdout);
    expect(Object.keys(report)).toEqual(['ok', 'objectsChecked', 'bytesChecked', 'findings']);
    expect(report).toMatchObject({ ok: true, findings: [] });
    expect((await runCli(['fsck'], world)).stdout).toMatch(/^ok: \d+ objects \(.*\) checked\n$/);
  });

  test('names what is damaged and who needs it, and ends with 3', async () => {
    const [object] = await json<string[]>('image-objects', 'os/main');
    await chmod(objectPath(object), 0o644);
    await writeFile(objectPath(object), 'other bytes');
    const { exitCode, stdout, stderr } = await runCli(['fsck', '--json'], world);
    expect({ exitCode, stderr }).toEqual({ exitCode: 3, stderr: '' });
    const { ok, findings } = JSON.parse(stdout) as Fsck;
    expect(ok).toBe(false);
    expect(Object.keys(findings[0])).toEqual(['severity', 'kind', 'subject', 'detail', 'refs']);
    expect(findings).toContainEqual(
      expect.objectContaining({
        severity: 'error',
        kind: 'object-digest-mismatch',
        subject: expect.stringContaining(object.slice(2)),
      }),
    );
    const words = await runCli(['fsck'], world);
    expect(words.exitCode).toBe(3);
    expect(words.stdout).toMatch(/^error object-digest-mismatch: .*\n(.*\n)*damaged: .* checked, \d+ errors?\n$/);
  });

  test('--metadata-only does not read file contents', async () => {
    const [object] = await json<string[]>('image-objects', 'os/main');
    const { bytesChecked } = await json<{ bytesChecked: number }>('fsck');
    expect((await json<{ bytesChecked: number }>('fsck', '--metadata-only')).bytesChecked).toBeLessThan(bytesChecked);
    await rm(objectPath(object));
    expect((await runCli(['fsck', '--metadata-only'], world)).exitCode).toBe(3);
  });

  test('warnings alone end with 0', async () => {
    await writeFile(join(world.cwd, 'store/a-stranger'), '');
    await symlink('nowhere', join(world.cwd, 'store/.symlink-abcd'));
    const report = await json<Fsck>('fsck');
    expect(report.ok).toBe(true);
    expect(report.findings.map(({ severity }) => severity)).toEqual(['warning', 'warning']);
    expect((await runCli(['fsck'], world)).stdout).toMatch(/^(warning .*\n){2}ok: .* checked, 2 warnings\n$/);
  });

  test('a meta.json that is gone is a finding, no repository at all is not', async () => {
    await rm(join(world.cwd, 'store/meta.json'));
    const { exitCode, stdout } = await runCli(['fsck', '--json'], world);
    expect(exitCode).toBe(3);
    expect(JSON.parse(stdout).findings).toContainEqual(
      expect.objectContaining({ subject: 'meta.json', severity: 'error' }),
    );
    expect(await readdir(join(world.cwd, 'store'))).not.toContain('meta.json');
    expect((await runCli(['fsck', '--repo', './tree'], world)).exitCode).toBe(10);
  });
});
