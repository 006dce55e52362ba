/**
 * What an object costs, counted and not timed: requests, system calls, files opened, bytes read and written. Two commits that differ only in
 * size are worked on under strace, and the difference is divided by the files that the larger one has more, so that starting up and the
 * commit itself do not count. Bounds are what was measured plus about a fifth: one more call for each object is found, chance is not.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { GENERATED_REF, writeSmallFiles } from '../../bench/generated-repository.ts';
import { runCli } from '../cli/run-cli.ts';
import { startNginx } from '../support/nginx.ts';
import { describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { type SystemCalls, totalCalls, traceCli } from './traced-run.ts';

/** Enough for every directory of objects to be there in both. */
const SMALLER = 1000;
const LARGER = 1800;
/** Of a file: from 200 to 2,000 bytes and a line, as they are made. */
const CONTENT_BYTES = 1130;

interface Bounds {
  /** All calls but waiting and memory, which chance decides. */
  calls: number;
  opens: number;
  readBytes: number;
  writtenBytes: number;
}

type Operation = 'pull over HTTP' | 'pull from files' | 'create-image' | 'gc' | 'fsck';

const BOUNDS: Record<Operation, Bounds> = {
  // The request and its answer; a temporary opened, written, linked, closed. Beside the content its commit stream and index are written.
  'pull over HTTP': { calls: 8.8, opens: 1.2, readBytes: 20, writtenBytes: CONTENT_BYTES + 340 },
  // The same for the object, and the file at the source opened, looked at, read once, closed.
  'pull from files': { calls: 11, opens: 2.4, readBytes: CONTENT_BYTES + 250, writtenBytes: CONTENT_BYTES + 340 },
  // One look at the size of each object. The commit stream is read, the image written.
  'create-image': { calls: 1.25, opens: 0.05, readBytes: 180, writtenBytes: 550 },
  // Directories and the commit stream are read, the image twice: it is not held. No object of a file is opened or looked at.
  gc: { calls: 0.2, opens: 0.05, readBytes: 950, writtenBytes: 5 },
  // Each object is opened and read once, to its end. The stream and the image are read a second time for what they say.
  fsck: { calls: 8.8, opens: 1.2, readBytes: CONTENT_BYTES + 800, writtenBytes: 5 },
};

describeWithPeers('for each object', ['strace', 'nginx', 'python3'], () => {
  let directory: TemporaryDirectory;
  const costs = new Map<Operation, Bounds>();

  beforeAll(async () => {
    directory = await makeTemporaryDirectory('memory');
    const [smaller, larger] = [await traceAll(SMALLER), await traceAll(LARGER)];
    for (const [operation, before] of smaller)
      costs.set(operation, costPerObject(before, larger.get(operation) as SystemCalls));
    return () => directory[Symbol.asyncDispose]();
  });

  /** All operations, one after the other, on stores of their own. */
  async function traceAll(files: number): Promise<Map<Operation, SystemCalls>> {
    const source = directory.join(`source-${files}`);
    writeSmallFiles(source, files);
    await using server = await startNginx({ root: source });
    const [overHttp, fromFiles] = [directory.join(`http-${files}`), directory.join(`files-${files}`)];
    for (const store of [overHttp, fromFiles]) await runCli(['init', '--insecure', store]);
    const trace = (store: string, ...args: string[]): Promise<SystemCalls> =>
      traceCli([...args, '--repo', store, '--quiet'], directory.path);
    return new Map<Operation, SystemCalls>([
      ['pull over HTTP', await trace(overHttp, 'pull', server.url, GENERATED_REF)],
      ['pull from files', await trace(fromFiles, 'pull', source, GENERATED_REF)],
      ['create-image', await trace(fromFiles, 'create-image', GENERATED_REF)],
      ['gc', await trace(fromFiles, 'gc')],
      ['fsck', await trace(fromFiles, 'fsck')],
    ]);
  }

  test.each(Object.entries(BOUNDS) as Array<[Operation, Bounds]>)('%s stays within its bounds', (operation, bounds) => {
    const cost = costs.get(operation) as Bounds;
    const broken = Object.entries(bounds).filter(([what, bound]) => cost[what as keyof Bounds] > bound);
    expect(Object.fromEntries(broken), `${operation} takes ${JSON.stringify(cost)}`).toEqual({});
  });

  test('a pull over HTTP makes one request, and a few for the commit', async () => {
    const source = directory.join('source-requests');
    writeSmallFiles(source, 300);
    await using server = await startNginx({ root: source });
    const store = directory.join('requests');
    await runCli(['init', '--insecure', store]);
    expect(await runCli(['pull', server.url, GENERATED_REF, '--repo', store])).toMatchObject({ exitCode: 0 });
    await sleep(200); // nginx writes a request down after it has answered it
    const paths = (await server.requests()).map(({ path }) => path);
    expect(paths.filter((path, i) => paths.indexOf(path) !== i)).toEqual([]);
    const objects = paths.filter((path) => /\.(filez|dirtree|dirmeta|commit)$/.test(path));
    expect(objects).toHaveLength(300 + 2 + 1 + 1 + 1); // files, dirtrees of files, of the root, dirmeta, commit
    expect(paths.length - objects.length).toBeLessThanOrEqual(3); // the ref, configuration, detached metadata
  });
});

function costPerObject(before: SystemCalls, after: SystemCalls): Bounds {
  const each = (count: (traced: SystemCalls) => number): number =>
    Math.round((100 * (count(after) - count(before))) / (LARGER - SMALLER)) / 100;
  return {
    calls: each(totalCalls),
    opens: each(({ calls }) => (calls.get('openat') ?? 0) + (calls.get('open') ?? 0)),
    readBytes: each(({ readBytes }) => readBytes),
    writtenBytes: each(({ writtenBytes }) => writtenBytes),
  };
}
