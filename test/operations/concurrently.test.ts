import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { forEachConcurrently } from '../../src/operations/concurrently.ts';

test('items are taken only when there is room for them', async () => {
  let taken = 0;
  let done = 0;
  let mostAhead = 0;
  function* items() {
    for (let i = 0; i < 20; i++) {
      mostAhead = Math.max(mostAhead, ++taken - done);
      yield i;
    }
  }
  await forEachConcurrently(items(), 3, async () => {
    await setTimeout(1);
    done++;
  });
  expect({ taken, done, mostAhead }).toEqual({ taken: 20, done: 20, mostAhead: 3 });
});

test('a failure to take ends it, after what is under way', async () => {
  const done: number[] = [];
  function* items() {
    yield 1;
    yield 2;
    throw new Error('no more');
  }
  const work = async (item: number) => {
    await setTimeout(1);
    done.push(item);
  };
  await expect(forEachConcurrently(items(), 3, work)).rejects.toThrow('no more');
  expect(done).toEqual([1, 2]);
});

test('the first failure is told, and nothing new is started', async () => {
  const started: number[] = [];
  const work = async (item: number) => {
    started.push(item);
    await setTimeout(item);
    throw new Error(`item ${item}`);
  };
  await expect(forEachConcurrently([5, 1, 2, 3], 2, work)).rejects.toThrow('item 1');
  expect(started).toEqual([5, 1]);
});
