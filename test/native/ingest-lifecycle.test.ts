/** Beginning and end: closing with work in flight, worker threads, process.exit(), garbage, leaks. */

import { readdirSync, readFileSync } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { IngestHow, IngestStatus } from '../../src/native.ts';
import { runCommand } from '../support/run-command.ts';
import { concat, makeContent, makeObject } from './archive-object.ts';
import { addon, rowsOf } from './ingest-rows.ts';
import { makeStore } from './ingest-support.ts';

const ADDON = fileURLToPath(new URL('../../native/build/cfs_ostree.node', import.meta.url));

const objects = Array.from({ length: 400 }, (_, i) => makeObject(makeContent(3000 + i, i)));
const bodies = objects.map(({ body }) => body);
const checksums = concat(...objects.map(({ checksum }) => checksum));

test('the tables of src/native.ts are those of the addon', () => {
  expect(IngestStatus).toEqual(addon.ingestStatus);
  expect(Object.values(IngestHow)).toEqual([0, 1, 2, 3]);
});

describe('close()', () => {
  test('with work in flight: every promise is settled, what was not begun is closed', async () => {
    await using store = await makeStore({ threads: 1 });
    const batches = Array.from({ length: 5 }, () => store.engine.archive(bodies, checksums));
    const closed = store.engine.close();
    const statuses = (await Promise.all(batches)).flatMap((batch) =>
      rowsOf(batch, 'sha512').map(({ status }) => status),
    );
    await closed;
    expect(statuses).toHaveLength(2000);
    expect(new Set([...statuses, 'new', 'present', 'closed'])).toEqual(new Set(['new', 'present', 'closed']));
    expect(statuses.at(-1)).toBe('closed');
    // what has a name is complete
    for (const path of await store.list())
      expect(Buffer.from(await addon.fsVerityFile(`${store.objects}/${path}`, 'sha512')).toString('hex')).toBe(
        path.replace('/', ''),
      );
  });

  test('any number of times; afterwards nothing is taken', async () => {
    const store = await makeStore();
    await Promise.all([store.engine.close(), store.engine.close()]);
    await store.engine.close();
    expect(() => store.engine.archive([], new Uint8Array(0))).toThrow('closed');
    const stream = store.engine.stream(new Uint8Array(32));
    expect(() => stream.write(new Uint8Array(1))).toThrow('closed');
    stream.abort();
    await store[Symbol.asyncDispose]();
  });

  test.each([false, true])('with a stream in the middle (named temporaries: %s)', async (namedTemporaries) => {
    await using store = await makeStore({ namedTemporaries });
    const { body, checksum } = makeObject(makeContent(400_000));
    const stream = store.engine.stream(checksum);
    await stream.write(body.subarray(0, 100_000));
    const write = stream.write(body.subarray(100_000));
    const end = stream.end();
    await store.engine.close();
    await write;
    const [row] = rowsOf(await end, 'sha512');
    expect(['closed', 'new']).toContain(row.status);
    expect(await store.list()).toHaveLength(row.status === 'new' ? 1 : 0);
  });

  test('breaks off a long object', async () => {
    await using store = await makeStore();
    const done = store.engine.local(['/dev/shm'], new Uint8Array(32), { mode: 'bare' });
    const sparse = store.directory.join('sparse');
    await writeFile(sparse, '');
    await truncate(sparse, 2 ** 40);
    const long = store.engine.local([sparse], new Uint8Array(32), { mode: 'bare', link: 'hard' });
    await done;
    await store.engine.close();
    expect(rowsOf(await long, 'sha512')).toMatchObject([{ status: 'closed' }]);
  });
});

/** Runs `script` as a program of its own, with `addon`, `objects` (a directory) and 64 bodies of noise at hand. */
async function runScript(
  script: string,
  objectsPath: string,
  execArgv: string[] = [],
): Promise<{ exitCode: number | null; signal: string | null; stdout: string; stderr: string }> {
  const prologue = `
    const { createRequire } = require('node:module');
    const addon = require(${JSON.stringify(ADDON)});
    const { createHash, randomBytes } = require('node:crypto');
    const { deflateRawSync } = require('node:zlib');
    const objectsPath = ${JSON.stringify(objectsPath)};
    function make(size) {
      const content = randomBytes(size), size8 = Buffer.alloc(8);
      size8.writeBigUInt64BE(BigInt(size));
      const rest = Buffer.from('000000000000000000 0081a4 00000000 00'.replace(/ /g, ''), 'hex');
      const body = Buffer.concat([Buffer.from('0000001a00000000', 'hex'), size8, rest, Buffer.of(25), deflateRawSync(content, { level: 0 })]);
      const checksum = createHash('sha256').update(Buffer.from('0000001200000000', 'hex')).update(rest).update(Buffer.of(17)).update(content).digest();
      return { body, checksum };
    }
    const made = Array.from({ length: 64 }, (_, i) => make(20_000 + i));
    const bodies = made.map((one) => one.body), checksums = Buffer.concat(made.map((one) => one.checksum));
    const openEngine = () => new addon.Ingest({ objectsPath, algorithm: 'sha512', secure: false, threads: 3 });
  `;
  return runCommand(process.execPath, [...execArgv, '-e', prologue + script]);
}

describe('a program of its own', () => {
  test('ends by itself when the work is done, closed or not', async () => {
    await using store = await makeStore();
    const script = `openEngine().archive(bodies, checksums).then((batch) => console.log(batch.status.join('')));`;
    expect(await runScript(script, store.objects)).toMatchObject({
      exitCode: 0,
      stdout: `${'1'.repeat(64)}\n`,
      stderr: '',
    });
  });

  test.each([1, 2, 3, 4, 5])('process.exit() with work in flight (%i)', async () => {
    await using store = await makeStore();
    const script = `
      const engine = openEngine();
      for (let i = 0; i < 20; i++) engine.archive(bodies, checksums);
      addon.hashFiles(new Array(50).fill(process.execPath), { algorithm: 'sha512' });
      const stream = engine.stream(made[0].checksum);
      stream.write(made[0].body.subarray(0, 100));
      setTimeout(() => process.exit(7), Math.random() * 30);`;
    expect(await runScript(script, store.objects)).toMatchObject({ exitCode: 7, signal: null, stderr: '' });
    for (const path of await store.list())
      expect(Buffer.from(await addon.fsVerityFile(`${store.objects}/${path}`, 'sha512')).toString('hex')).toBe(
        path.replace('/', ''),
      );
  });

  test('an uncaught error with work in flight', async () => {
    await using store = await makeStore();
    const script = `openEngine().archive(bodies, checksums); setTimeout(() => { throw new Error('on purpose'); }, 1);`;
    const result = await runScript(script, store.objects);
    expect(result).toMatchObject({ exitCode: 1, signal: null });
    expect(result.stderr).toContain('on purpose');
  });

  test('worker threads: their own engines, terminated in the middle of the work', async () => {
    await using store = await makeStore();
    const script = `
      const { Worker, isMainThread, parentPort } = require('node:worker_threads');
      const code = 'const { workerData, parentPort } = require("node:worker_threads");' +
        'const addon = require(workerData.addon);' +
        'const engine = new addon.Ingest({ objectsPath: workerData.objectsPath, algorithm: "sha512", secure: false, threads: 2 });' +
        'for (let i = 0; i < 30; i++) engine.archive(workerData.bodies, workerData.checksums).then(() => parentPort.postMessage(1));' +
        'addon.hashFiles(new Array(50).fill(process.execPath), { algorithm: "sha256" });';
      (async () => {
        for (let round = 0; round < 6; round++) {
          const workerData = { addon: ${JSON.stringify(ADDON)}, objectsPath, bodies: bodies.map((b) => new Uint8Array(b)), checksums: new Uint8Array(checksums) };
          const worker = new Worker(code, { eval: true, workerData });
          const own = openEngine();
          const mine = own.archive(bodies, checksums);
          await new Promise((resolve) => worker.once('message', resolve));
          if (round % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 3 * round));
          await worker.terminate();
          await mine;
          if (round % 3 === 0) await own.close();
        }
        console.log('done');
      })();`;
    expect(await runScript(script, store.objects)).toMatchObject({
      exitCode: 0,
      signal: null,
      stdout: 'done\n',
      stderr: '',
    });
  });

  test('engines and streams that are only forgotten are collected, with their threads, files and descriptors', async () => {
    await using store = await makeStore();
    const script = `
      const fs = require('node:fs');
      const count = (what) => fs.readdirSync('/proc/self/' + what).length;
      (async () => {
        const round = async () => {
          for (let i = 0; i < 20; i++) {
            const engine = openEngine();
            await engine.archive(bodies.slice(0, 4), checksums.subarray(0, 128));
            const stream = engine.stream(made[1].checksum);
            await stream.write(made[1].body.subarray(0, 50));
          }
          for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 10)); }
        };
        await round();
        const before = [count('task'), count('fd')];
        for (let i = 0; i < 5; i++) await round();
        const after = [count('task'), count('fd')];
        console.log(after[0] - before[0] < 20 && after[1] - before[1] < 20 ? 'flat' : JSON.stringify([before, after]));
      })();`;
    expect(await runScript(script, store.objects, ['--expose-gc'])).toMatchObject({
      exitCode: 0,
      stdout: 'flat\n',
      stderr: '',
    });
  });

  test('memory stays flat over a hundred thousand objects', async () => {
    await using store = await makeStore();
    const script = `
      const engine = openEngine();
      const half = bodies.map((body, i) => i % 2 === 0 ? body : body.subarray(0, -1)); // every second one is refused
      (async () => {
        const round = async () => { for (let i = 0; i < 400; i++) await engine.archive(half, checksums); gc(); return process.memoryUsage().rss; };
        await round();
        const before = await round();
        await round(); await round();
        const grown = (await round()) - before;
        console.log(grown < 8e6 ? 'flat' : grown);
        await engine.close();
      })();`;
    expect(await runScript(script, store.objects, ['--expose-gc'])).toMatchObject({
      exitCode: 0,
      stdout: 'flat\n',
      stderr: '',
    });
  });
});

test('the threads run at lower priority', async () => {
  await using store = await makeStore({ threads: 3 });
  await store.engine.archive(bodies, checksums);
  const priorities: number[] = [];
  for (const task of readdirSync('/proc/self/task')) {
    const text = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
    priorities.push(Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[16]));
  }
  expect(priorities.filter((nice) => nice === Math.min(19, getPriority() + 5)).length).toBeGreaterThanOrEqual(3);
});
