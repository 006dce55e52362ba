/** Several at once on one repository: pulls, gc, whoever holds the lock too long, and a reader that goes away. */

import { once } from 'node:events';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureBuilt, PROGRAM, runCli, runCliError, runCliJson, startCli } from '../cli/run-cli.ts';
import { runCommand } from '../support/run-command.ts';
import { type StaticServer, startStaticServer } from '../support/static-server.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { type HonestSource, honestSource, MAIN, OTHER } from './honest-source.ts';
import { HOSTILE_REF } from './hostile-cases.ts';
import { HostileSource } from './hostile-source.ts';
import { Victim } from './victim.ts';

const CORRUPT = 5;
const NOT_USABLE = 10;
const LOCKED = 11;

let source: HonestSource;
let server: StaticServer;
let directory: TemporaryDirectory;
let count = 0;

beforeAll(async () => {
  await ensureBuilt();
  source = await honestSource();
  server = await startStaticServer(source.path);
  directory = await makeTemporaryDirectory('memory');
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

const newVictim = (): Promise<Victim> => Victim.make(directory.join(`store-${count++}`));

interface Pulled {
  commit: string;
  streamId: string;
}

async function pull(victim: Victim, from: string, ref: string, ...options: string[]): Promise<Pulled> {
  const { results } = await runCliJson<{ results: Pulled[] }>(['--repo', victim.path, 'pull', from, ref, ...options]);
  return results[0];
}

const refsOf = async (victim: Victim): Promise<Record<string, string>> => {
  const refs = await runCliJson<Array<{ ref: string; commit: string }>>(['--repo', victim.path, 'refs']);
  return Object.fromEntries(refs.map(({ ref, commit }) => [ref, commit]));
};

describe('at the same time', () => {
  test('pulls of two refs, over and over, and gc between them', async () => {
    const victim = await newVictim();
    let running = true;
    let collections = 0;
    const collecting = (async () => {
      while (running) {
        await runCliJson(['--repo', victim.path, 'gc']);
        collections++;
      }
    })();
    const pulling = (ref: string) =>
      (async () => {
        for (const round of [1, 2, 3, 4]) {
          await pull(victim, round % 2 === 0 ? source.path : server.url, ref, '--create-image');
          // gone again, so that the next round starts over with whatever gc has left
          if (round < 4) await runCliJson(['--repo', victim.path, 'untag', ref]);
        }
      })();
    await Promise.all([pulling(MAIN), pulling(OTHER)]).finally(() => {
      running = false;
    });
    await collecting;
    expect(collections).toBeGreaterThan(2);
    expect(await refsOf(victim)).toEqual({ [MAIN]: source.commits[MAIN], [OTHER]: source.commits[OTHER] });
    await victim.expectClean();
    expect(await victim.temporaries()).toEqual([]);
    const images = await runCliJson<unknown[]>(['--repo', victim.path, 'images']);
    expect(images).toHaveLength(2);
  });

  test('four pulls of one ref, two of them without the addon', async () => {
    const victim = await newVictim();
    const results = await Promise.all(
      [0, 1, 2, 3].map((i) =>
        runCliJson<{ results: Pulled[] }>(['--repo', victim.path, 'pull', i % 2 ? server.url : source.path, MAIN], {
          env: i < 2 ? {} : { CFS_OSTREE_NO_ADDON: '1' },
        }),
      ),
    );
    const ids = new Set(results.map((one) => one.results[0].streamId));
    expect(ids.size).toBe(1);
    expect(await refsOf(victim)).toEqual({ [MAIN]: source.commits[MAIN] });
    expect((await victim.names()).filter((one) => one.includes('partial'))).toEqual([]);
    await victim.expectClean();
    expect(await victim.temporaries()).toEqual([]);
    const collected = await runCliJson(['--repo', victim.path, 'gc']);
    expect(collected).toMatchObject({ objectsRemoved: 0, temporariesRemoved: 0 });
  });

  test('four images of one commit', async () => {
    const victim = await newVictim();
    await pull(victim, source.path, MAIN);
    const make = (name: string) =>
      runCliJson<{ image: string }>(['--repo', victim.path, 'create-image', MAIN, '--name', name]);
    const images = await Promise.all(['a', 'b', 'c', 'd'].map(make));
    expect(new Set(images.map(({ image }) => image)).size).toBe(1);
    expect(await runCliJson(['--repo', victim.path, 'images'])).toMatchObject([{ names: ['a', 'b', 'c', 'd'] }]);
    await victim.expectClean();
  });
});

describe('while a pull hangs', () => {
  test('others may read and pull, gc has to wait, and gives up after --lock-timeout', async () => {
    const { promise: hanging, resolve } = Promise.withResolvers<void>();
    await using silent = await startStaticServer(source.path, {
      intercept: ({ url }) => {
        if (!url?.endsWith('.filez')) return false;
        resolve();
        return true;
      },
    });
    const victim = await newVictim();
    const child = startCli(['--repo', victim.path, 'pull', silent.url, MAIN]);
    const ended = once(child, 'close');
    try {
      await hanging;
      expect(await refsOf(victim)).toEqual({});
      const start = performance.now();
      expect(await runCliError(['--repo', victim.path, 'gc', '--lock-timeout', '1'])).toMatchObject({
        exitCode: LOCKED,
        error: { code: 'CFS_LOCKED', where: { file: victim.path } },
      });
      expect(performance.now() - start).toBeGreaterThan(1000);
      await pull(victim, source.path, OTHER);
      await victim.expectClean();
      const waiting = runCliJson(['--repo', victim.path, 'gc', '--lock-timeout', '60']);
      child.kill('SIGTERM');
      expect(await ended).toEqual([143, null]);
      await waiting;
      expect(await refsOf(victim)).toEqual({ [OTHER]: source.commits[OTHER] });
      await victim.expectClean();
    } finally {
      child.kill('SIGKILL');
    }
  });
});

describe('a reader that goes away', () => {
  let victim: Victim;
  beforeAll(async () => {
    const wide = new HostileSource(directory.join('wide'));
    const names = Array.from({ length: 20_000 }, (_, i) => `a-name-that-takes-some-room-${i}`);
    wide.commit(wide.addDirtree({ files: names }));
    victim = await newVictim();
    await pull(victim, wide.path, HOSTILE_REF);
  });

  test.each([['ls', '-lR'], ['--json', 'ls', '-R'], ['--json-lines', 'ls', '-R'], ['dump']])(
    '%s %s … | head -1 ends with 0',
    async (...args) => {
      const command = [process.execPath, PROGRAM, '--repo', victim.path, ...args, HOSTILE_REF];
      const script = '"$@" | head -1; echo "status $PIPESTATUS"'; // of the first in the pipe
      const { stdout, stderr } = await runCommand('bash', ['-c', script, 'bash', ...command]);
      const lines = stdout.trim().split('\n');
      expect({ lines: lines.length, status: lines.at(-1), stderr }).toEqual({
        lines: 2,
        status: 'status 0',
        stderr: '',
      });
    },
  );

  test('a full disk behind stdout is an error', async () => {
    const script = '"$@" >/dev/full';
    const command = [process.execPath, PROGRAM, '--repo', victim.path, 'dump', HOSTILE_REF];
    const { exitCode, stderr } = await runCommand('bash', ['-c', script, 'bash', ...command]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 9, stderr: expect.stringContaining('ENOSPC') });
  });
});

describe('what is no repository of ours', () => {
  const COMMANDS = [['refs'], ['pull', 'SOURCE', MAIN], ['gc'], ['create-image', MAIN], ['ls', MAIN]];
  const typed = (args: string[]): string[] => args.map((arg) => (arg === 'SOURCE' ? source.path : arg));

  const places: Array<[what: string, make: (path: string) => Promise<unknown>]> = [
    ['nothing', async () => {}],
    ['an empty directory', (path) => mkdir(path)],
    ['a file', (path) => writeFile(path, '{}')],
    ['a dangling link', (path) => symlink('nowhere', path)],
    ['an ostree repository', (path) => symlink(source.path, path)],
  ];
  test.each(places)('%s', async (what, make) => {
    const path = directory.join(`place-${count++}`);
    await make(path);
    for (const args of COMMANDS)
      expect(await runCliError(['--repo', path, ...typed(args)]), args[0]).toMatchObject({
        exitCode: NOT_USABLE,
        error: { code: 'CFS_REPOSITORY', where: { file: path } },
      });
    // Where there are objects, a missing meta.json is something that fsck has found.
    const found = what === 'an ostree repository' ? 3 : NOT_USABLE;
    expect((await runCli(['--repo', path, 'fsck'])).exitCode).toBe(found);
  });

  async function withMetadata(change: (metadata: Record<string, unknown>) => unknown): Promise<Victim> {
    const victim = await newVictim();
    await pull(victim, source.path, MAIN);
    const path = join(victim.path, 'meta.json');
    const metadata = JSON.parse(await readFile(path, 'utf8'));
    const changed = change(metadata) ?? metadata;
    await rm(path);
    await writeFile(path, typeof changed === 'string' ? changed : `${JSON.stringify(changed, null, 2)}\n`);
    return victim;
  }
  const features = (kind: string) => (metadata: Record<string, unknown>) => ({
    ...metadata,
    features: { ...(metadata.features as object), [kind]: ['time-travel'] },
  });

  test.each<[string, (metadata: Record<string, unknown>) => unknown]>([
    ['of a later version', (metadata) => ({ ...metadata, version: 99 })],
    ['with an unknown algorithm', (metadata) => ({ ...metadata, algorithm: 'fsverity-md5-12' })],
    ['with an unknown incompatible feature', features('incompatible')],
  ])('a repository %s is not opened', async (_what, change) => {
    const victim = await withMetadata(change);
    for (const args of COMMANDS) {
      const { exitCode, error } = await runCliError(['--repo', victim.path, ...typed(args)]);
      expect({ args, exitCode }).toEqual({ args, exitCode: NOT_USABLE });
      expect(error.code).toBe('CFS_REPOSITORY');
    }
    expect((await runCli(['--repo', victim.path, 'fsck'])).exitCode).toBe(3);
  });

  test.each([
    ['nothing', () => ' '],
    ['no JSON', () => 'PK\x03\x04'],
    ['another JSON', () => '[]\n'],
    ['JSON that nests deeply', () => '['.repeat(100_000)],
    ['two megabytes', () => ' '.repeat(2 << 20)],
  ])('a meta.json that holds %s is damage', async (_what, change) => {
    const victim = await withMetadata(change);
    for (const args of COMMANDS) {
      const { exitCode, error } = await runCliError(['--repo', victim.path, ...typed(args)]);
      expect({ args, exitCode }).toEqual({ args, exitCode: CORRUPT });
      expect(error.where).toMatchObject({ file: expect.stringContaining('meta.json') });
    }
    expect((await runCli(['--repo', victim.path, 'fsck'])).exitCode).toBe(3);
  });

  test('a feature that only writers have to know makes it read-only', async () => {
    const victim = await withMetadata(features('read-only-compatible'));
    for (const args of [['refs'], ['ls', MAIN], ['fsck'], ['gc', '--dry-run']])
      expect((await runCli(['--repo', victim.path, ...args])).exitCode, args[0]).toBe(0);
    for (const args of [['pull', 'SOURCE', OTHER], ['gc'], ['create-image', MAIN], ['tag', MAIN, 'x'], ['untag', MAIN]])
      expect(await runCliError(['--repo', victim.path, ...typed(args)]), args[0]).toMatchObject({
        exitCode: NOT_USABLE,
        error: { message: expect.stringContaining('time-travel') },
      });
  });

  test('a feature that nobody has to know is no matter', async () => {
    const victim = await withMetadata(features('compatible'));
    await pull(victim, source.path, OTHER);
    expect((await runCli(['--repo', victim.path, 'gc'])).exitCode).toBe(0);
    await victim.expectClean();
  });
});
