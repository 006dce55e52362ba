/** src/native.ts: with the addon, without it, and what it builds on Node's own modules. */

import { openSync, statSync } from 'node:fs';
import { copyFile, cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from 'vitest';
import { FormatError, LimitError } from '../../src/errors.ts';
import { portableHashing } from '../../src/formats/hashing.ts';
import { toHex } from '../../src/formats/ids.ts';
import { portableZstd } from '../../src/formats/zstd.ts';
import {
  addonProblem,
  addonWarning,
  ingestStatusName,
  ingestStepName,
  native,
  nodeHashing,
  nodeZstd,
  systemError,
} from '../../src/native.ts';
import { type RunResult, runChecked, runCommand } from '../support/run-command.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { concat, makeContent } from './archive-object.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
const isGlibc = header.glibcVersionRuntime !== undefined;
const SKIPPABLE = Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);

describe('nodeHashing', () => {
  test.each([0, 1, 64, 4096, 4097, 300_000])('agrees with the portable one (%i bytes)', (size) => {
    const bytes = makeContent(size);
    expect(toHex(nodeHashing.sha256(bytes))).toBe(toHex(portableHashing.sha256(bytes)));
    expect(toHex(nodeHashing.sha256(bytes, bytes))).toBe(toHex(portableHashing.sha256(bytes, bytes)));
    for (const algorithm of ['sha256', 'sha512'] as const)
      expect(toHex(nodeHashing.fsVerity(algorithm, bytes))).toBe(toHex(portableHashing.fsVerity(algorithm, bytes)));
  });
  test('of nothing', () => expect(toHex(nodeHashing.sha256())).toBe(toHex(portableHashing.sha256())));
});

test('a system call that failed in the addon looks like one that failed in Node', () => {
  const fields = ({ code, errno, syscall, path }: NodeJS.ErrnoException) => ({ code, errno, syscall, path });
  let ofNode: unknown;
  try {
    openSync('/nowhere', 'r');
  } catch (error) {
    ofNode = error;
  }
  const ours = systemError(2, 'open', '/nowhere');
  expect(fields(ours)).toEqual(fields(ofNode as Error));
  expect(ours.message).toBe("ENOENT: open '/nowhere'");
});

test('the allocator of this C library can be told to keep memory small', () => {
  expect(native?.keepMemorySmall()).toBe(isGlibc);
});

test('as many threads are at work as were asked for', async () => {
  const script = `
    const addon = require(process.argv[1]);
    const { readdirSync } = require('node:fs');
    const count = () => readdirSync('/proc/self/task').length;
    addon.useThreads(5);
    const before = count();
    addon.fsVerityFile(process.execPath, 'sha256').then(() => {
      let refusal;
      try { addon.useThreads(1); } catch (error) { refusal = error.code; }
      console.log(JSON.stringify([count() - before, refusal]));
    });
  `;
  const { stdout } = await runChecked(process.execPath, ['-e', script, join(ROOT, 'native/build/cfs_ostree.node')]);
  expect(JSON.parse(stdout)).toEqual([5, 'ERR_CFS_NATIVE']);
});

describe('nodeZstd', () => {
  test.each([1, 100, 131_072, 1_000_000])(
    '%i bytes: one frame without content size, as a streaming writer makes it',
    async (size) => {
      const content = makeContent(size);
      const frame = await nodeZstd.compress(content);
      expect(toHex(frame.subarray(0, 6))).toBe('28b52ffd0058');
      expect(toHex(await portableZstd.decompress(frame, size))).toBe(toHex(content));
      expect(toHex(await nodeZstd.decompress(frame, size))).toBe(toHex(content));
      await expect(nodeZstd.decompress(frame, size - 1)).rejects.toThrow(LimitError);
    },
  );

  test('nothing is nine bytes', async () => {
    const frame = await nodeZstd.compress(new Uint8Array(0));
    expect(toHex(frame)).toBe('28b52ffd2000010000');
    expect(await nodeZstd.decompress(frame, 0)).toHaveLength(0);
  });

  test('several frames, and skippable ones', async () => {
    const [a, b] = await Promise.all([nodeZstd.compress(Uint8Array.of(1, 2)), nodeZstd.compress(Uint8Array.of(3))]);
    const all = concat(SKIPPABLE, a, SKIPPABLE, b, SKIPPABLE);
    expect(await nodeZstd.decompress(all, 3)).toEqual(Uint8Array.of(1, 2, 3));
    await expect(nodeZstd.decompress(all, 2)).rejects.toThrow(LimitError);
  });

  test('damage, missing and trailing bytes are FormatErrors', async () => {
    const frame = await nodeZstd.compress(makeContent(5000));
    for (const bad of [
      new Uint8Array(0),
      concat(frame, Uint8Array.of(0)),
      concat(frame, frame.subarray(0, 10)),
      new Uint8Array(100),
      frame.map((byte, i) => (i > 8 ? byte ^ 0xa5 : byte)),
    ])
      await expect(nodeZstd.decompress(bad, 1_000_000)).rejects.toThrow(FormatError);
    for (let end = 1; end < frame.length; end += 97)
      await expect(nodeZstd.decompress(frame.subarray(0, end), 10_000)).rejects.toThrow(FormatError);
  });
});

test('names of statuses and steps', () => {
  expect(ingestStatusName(48)).toBe('checksumDiffers');
  expect(ingestStatusName(255)).toBe('status 255');
  expect(ingestStepName(5)).toBe('write');
  expect(ingestStepName(255)).toBe('step 255');
});

/** A copy of the parts of the package that matter here, with a native/build of its own. */
async function copyOfPackage(): Promise<{ path: string } & AsyncDisposable> {
  const directory = await makeTemporaryDirectory('memory');
  for (const part of ['src', 'scripts']) await cp(join(ROOT, part), directory.join(part), { recursive: true });
  await copyFile(join(ROOT, 'package.json'), directory.join('package.json'));
  await mkdir(directory.join('native'));
  for (const name of await readdir(join(ROOT, 'native')))
    if (name !== 'build') await copyFile(join(ROOT, 'native', name), directory.join('native', name));
  return directory;
}

function runModule(root: string, code: string, env: NodeJS.ProcessEnv = {}): Promise<RunResult> {
  const script = `const m = await import(${JSON.stringify(join(root, 'src/native.ts'))}); ${code}`;
  return runCommand(process.execPath, ['--input-type=module', '-e', script], { env: { ...process.env, ...env } });
}

const REPORT =
  'console.log(JSON.stringify([m.native === undefined, m.addonProblem(), m.addonWarning(), m.ingestStepName(5)]));';

describe('without the addon', () => {
  test('here it is loaded', () => expect([addonProblem(), addonWarning()]).toEqual([undefined, undefined]));

  test('CFS_OSTREE_NO_ADDON=1', async () => {
    const { stdout } = await runModule(ROOT, REPORT, { CFS_OSTREE_NO_ADDON: '1' });
    const [missing, problem, warning, step] = JSON.parse(stdout) as unknown[];
    expect([missing, problem, step]).toEqual([true, 'switched off by CFS_OSTREE_NO_ADDON=1', 'step 5']);
    expect(warning).toContain('switched off');
  });

  test('hashing works the same', async () => {
    const bytes = makeContent(600_000);
    const code = `const { readFileSync } = await import('node:fs');
      const bytes = readFileSync(0);
      console.log(['sha256', 'sha512'].map((a) => [0, 1, 4096, bytes.length].map((n) => Buffer.from(m.nodeHashing.fsVerity(a, bytes.subarray(0, n))).toString('hex'))).flat().join(' '));`;
    const script = `const m = await import(${JSON.stringify(join(ROOT, 'src/native.ts'))}); ${code}`;
    const { stdout } = await runCommand(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, CFS_OSTREE_NO_ADDON: '1' },
      input: bytes,
    });
    const expected = (['sha256', 'sha512'] as const).flatMap((algorithm) =>
      [0, 1, 4096, bytes.length].map((size) => toHex(nodeHashing.fsVerity(algorithm, bytes.subarray(0, size)))),
    );
    expect(stdout.trim().split(' ')).toEqual(expected);
  });

  test('not built, and not loadable', async () => {
    await using copy = await copyOfPackage();
    expect((JSON.parse((await runModule(copy.path, REPORT)).stdout) as unknown[]).slice(0, 2)).toEqual([
      true,
      'it is not built',
    ]);
    await mkdir(join(copy.path, 'native/build'));
    await writeFile(join(copy.path, 'native/build/cfs_ostree.node'), 'no library');
    const [missing, problem] = JSON.parse((await runModule(copy.path, REPORT)).stdout) as [boolean, string];
    expect(missing).toBe(true);
    expect(problem).toContain('cfs_ostree.node');
  });
});

describe('the install script', () => {
  const headers = join(ROOT, `node_modules/node/node_modules/node-linux-${process.arch}`);
  const QUICKLY = { npm_config_nodedir: headers, CXXFLAGS: '-O0' };
  const install = (root: string, env: NodeJS.ProcessEnv): Promise<RunResult> =>
    runCommand(process.execPath, [join(root, 'scripts/install.js')], { env: { ...process.env, ...env } });

  test('builds, says nothing, and the second time has nothing to do', { timeout: 300_000 }, async () => {
    await using copy = await copyOfPackage();
    // first without it, as those who work on the addon do: a warning is an error then
    const make = ['-s', '-C', join(copy.path, 'native'), `NODE_INCLUDE=${headers}/include/node`, 'CXXFLAGS=-O1'];
    await runChecked('make', make);
    await rm(join(copy.path, 'native/build/cfs_ostree.node'));
    expect(await install(copy.path, QUICKLY)).toMatchObject({ exitCode: 0, stderr: '' });
    expect((JSON.parse((await runModule(copy.path, REPORT)).stdout) as unknown[])[0]).toBe(false);
    const before = statSync(join(copy.path, 'native/build/cfs_ostree.node')).mtimeMs;
    expect(await install(copy.path, QUICKLY)).toMatchObject({ exitCode: 0, stderr: '' });
    expect(statSync(join(copy.path, 'native/build/cfs_ostree.node')).mtimeMs).toBe(before);
  });

  const failures: [name: string, env: NodeJS.ProcessEnv, says: string, prepare?: (root: string) => Promise<void>][] = [
    ['without make', { PATH: '/nonexistent', npm_config_nodedir: headers }, 'make is not installed'],
    ['without a compiler', { CXX: 'no-such-compiler', npm_config_nodedir: headers }, 'g++ is not installed'],
    [
      'when the compiler fails',
      { npm_config_nodedir: headers },
      'error: ',
      (root) => writeFile(join(root, 'native/addon.cc'), '#error on purpose\n'),
    ],
    [
      'without its sources',
      { npm_config_nodedir: headers },
      'not built',
      (root) => rm(join(root, 'native'), { recursive: true }),
    ],
  ];
  test.each(failures)('%s: one line, and no failure', async (_name, env, says, prepare) => {
    await using copy = await copyOfPackage();
    await prepare?.(copy.path);
    const { exitCode, stderr } = await install(copy.path, env);
    expect(exitCode).toBe(0);
    expect(stderr).toContain(says);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain('doc/native.md');
  });
});
