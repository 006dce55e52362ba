import { expect, test } from 'vitest';
import { ChunkQueue } from '../../src/sources/chunk-queue.ts';

const BLOCK = new Uint8Array(64 << 10);

/** A queue and how often its callbacks were called. */
function makeQueue(): { queue: ChunkQueue; calls: { low: number; return: number } } {
  const calls = { low: 0, return: 0 };
  const queue = new ChunkQueue(
    () => calls.low++,
    () => calls.return++,
  );
  return { queue, calls };
}

test('a full queue says so, and asks for more when it is half empty', async () => {
  const { queue, calls } = makeQueue();
  let pushed = 1;
  while (queue.push(BLOCK)) pushed++;
  expect(pushed).toBe(16);
  for (let read = 0; read < 8; read++) await queue.next();
  expect(calls.low).toBe(0);
  await queue.next();
  expect(calls.low).toBe(1);
});

test('tiny chunks fill it too: each costs more than its byte', () => {
  const { queue } = makeQueue();
  let pushed = 1;
  while (queue.push(BLOCK.subarray(0, 1))) pushed++;
  expect(pushed).toBeLessThan(5000);
});

test('a reader that waits gets the next chunk, in the order of asking', async () => {
  const { queue } = makeQueue();
  const readers = [queue.next(), queue.next(), queue.next()];
  expect(queue.push(BLOCK.subarray(0, 1))).toBe(true);
  expect(queue.push(BLOCK.subarray(0, 2))).toBe(true);
  queue.end();
  expect((await Promise.all(readers)).map(({ value }) => value?.length)).toEqual([1, 2, undefined]);
});

test('what was queued before the end is read; what was queued before a failure is not', async () => {
  const ended = makeQueue().queue;
  ended.push(BLOCK);
  ended.end();
  expect(await ended.next()).toMatchObject({ done: false });
  expect(await ended.next()).toEqual({ done: true, value: undefined });
  const failed = makeQueue().queue;
  failed.push(BLOCK);
  failed.fail(new Error('broken'));
  await expect(failed.next()).rejects.toThrow('broken');
  expect(await failed.next()).toEqual({ done: true, value: undefined });
});

test('a failure reaches one waiting reader, the others are at the end', async () => {
  const { queue } = makeQueue();
  const results = Promise.allSettled([queue.next(), queue.next()]);
  queue.fail(new Error('broken'));
  expect((await results).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
});

test('leaving a loop tells the writer, unless the body had ended', async () => {
  const { queue, calls } = makeQueue();
  queue.push(BLOCK);
  queue.push(BLOCK);
  for await (const _ of queue) break;
  expect(calls.return).toBe(1);
  expect(await queue.next()).toEqual({ done: true, value: undefined });
  expect(queue.push(BLOCK)).toBe(true); // too late, and no harm
  expect(await queue.next()).toEqual({ done: true, value: undefined });

  const ended = makeQueue();
  ended.queue.push(BLOCK);
  ended.queue.end();
  for await (const _ of ended.queue) break;
  expect(ended.calls.return).toBe(0);
});
