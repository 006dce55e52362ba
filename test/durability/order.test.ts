/**
 * What a power cut would do, which no kill can show: names come after the one barrier that follows everything they lead to, and gc's
 * barrier stands between the last name that it takes away and the first object. Read from the system calls that are really made.
 */

import { expect, test } from 'vitest';
import { ErofsImage } from '../../src/formats/erofs/reader.ts';
import { digestBytes, isObjectId, type ObjectId, objectIdFromBytes } from '../../src/formats/ids.ts';
import { parseSplitstream } from '../../src/formats/splitstream.ts';
import { nodeZstd } from '../../src/native.ts';
import { openRepository } from '../../src/store/repository.ts';
import { runCliJson } from '../cli/run-cli.ts';
import { describeWithPeers } from '../support/peers.ts';
import { published } from './published.ts';
import { traceDriver } from './run-driver.ts';
import { useScene } from './scene.ts';

const scene = useScene(published);

interface Call {
  name: string;
  text: string;
  /** Lines of the log. */
  start: number;
  end: number;
}

/** Calls that succeeded, in the order of their beginning. strace cuts a call in two where another thread comes in between. */
function parseCalls(lines: string[]): Call[] {
  const pending = new Map<string, Call>();
  const calls: Call[] = [];
  lines.forEach((line, at) => {
    const [, thread, rest] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (rest === undefined) return;
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const call = resumed ? pending.get(thread) : { name: rest.split('(')[0], text: rest, start: at, end: at };
    if (call === undefined) return;
    if (resumed) call.text += resumed[1];
    call.end = at;
    if (rest.endsWith('<unfinished ...>')) pending.set(thread, call);
    else if (/= 0$/.test(call.text)) calls.push(call);
  });
  return calls.sort((a, b) => a.start - b.start);
}

const OBJECT = /([0-9a-f]{2})\/([0-9a-f]{126})"/;
const objectIn = ({ text }: Call): ObjectId | undefined => {
  const [, fanout, rest] = OBJECT.exec(text) ?? [];
  const id = `${fanout}${rest}`;
  return isObjectId(id, 'sha512') ? id : undefined;
};

const CALLS = ['linkat', 'symlink', 'rename', 'syncfs', 'unlink', 'unlinkat'];

/** Everything that a stream or image leads to at once, itself included. */
async function needs(path: string, id: ObjectId): Promise<ObjectId[]> {
  await using repo = await openRepository(path, { lock: 'shared' });
  const bytes = await repo.objects.read(id, { maxBytes: 1 << 24 });
  if (!Buffer.from(bytes.subarray(0, 11)).toString().startsWith('SplitStream'))
    return [id, ...ErofsImage.open(bytes, {}).objects(repo.algorithm)];
  const { objectRefs, namedRefs } = await parseSplitstream(bytes, { algorithm: repo.algorithm, zstd: nodeZstd });
  const oneDigest = digestBytes(repo.algorithm);
  const objects = Array.from({ length: objectRefs.length / oneDigest }, (_, i) =>
    objectIdFromBytes(objectRefs.subarray(i * oneDigest, (i + 1) * oneDigest)),
  );
  return [id, ...objects, ...namedRefs.values()];
}

describeWithPeers('barriers', ['strace'], () => {
  test('a name is made after a barrier that began when all that it leads to was there', async () => {
    const repo = scene.directory.join('pull');
    await runCliJson(['init', '--insecure', repo]);
    const options = { checkpoint: { objects: 20 }, createImage: true };
    const pull = {
      operation: 'pull' as const,
      repo,
      location: scene.source.archive,
      wanted: ['os/main'],
      options,
      jobs: 1,
    };
    const calls = parseCalls(await traceDriver(pull, CALLS));
    const stored = new Map<ObjectId, Call>();
    for (const call of calls) {
      const id = call.name === 'linkat' ? objectIn(call) : undefined;
      if (id !== undefined) stored.set(id, call);
    }
    const barriers = calls.filter(({ name }) => name === 'syncfs');
    const names = calls.filter((call) => call.name === 'symlink' && objectIn(call) !== undefined);
    expect(stored.size).toBeGreaterThan(150);
    expect(names.length).toBeGreaterThan(3);
    let checked = 0;
    for (const name of names)
      for (const id of await needs(repo, objectIn(name) as ObjectId)) {
        const link = stored.get(id);
        expect(link, `object ${id} of ${name.text}`).toBeDefined();
        const between = barriers.some(({ start, end }) => start > (link?.end ?? 0) && end < name.start);
        expect(between, `no barrier between ${link?.text} and ${name.text}`).toBe(true);
        checked++;
      }
    expect(checked).toBeGreaterThan(500);
  });

  test('gc takes away objects after a barrier that began when the last name was gone', async () => {
    const repo = scene.directory.join('gc');
    await runCliJson(['init', '--insecure', repo]);
    await runCliJson(['pull', '--create-image', scene.source.archive, 'os/first', 'os/main', '--repo', repo]);
    await runCliJson(['untag', 'os/first', '--repo', repo]);
    const calls = parseCalls(await traceDriver({ operation: 'gc', repo }, CALLS));
    const removed = calls.filter(({ name }) => name.startsWith('unlink'));
    const names = removed.filter(({ text }) => /\/(streams|images)\//.test(text));
    const objects = removed.filter(({ text }) => /^unlinkat\(\d+, "[0-9a-f]{126}"/.test(text)); // below an open fan-out directory
    const barriers = calls.filter(({ name }) => name === 'syncfs');
    expect(names).toHaveLength(4); // the stream, its image, and the detached metadata with its ref
    expect(objects.length).toBeGreaterThan(20);
    expect(barriers).toHaveLength(1);
    expect(Math.max(...names.map(({ end }) => end))).toBeLessThan(barriers[0].start);
    expect(barriers[0].end).toBeLessThan(Math.min(...objects.map(({ start }) => start)));
  });
});
