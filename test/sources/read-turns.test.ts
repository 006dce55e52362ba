/** Reading at once must not keep the event loop from its other work. */

import { expect, test } from 'vitest';
import { ReadTurns } from '../../src/sources/read-turns.ts';

test('a bounded number of reads in each turn, all of them in the end', async () => {
  const turns = new ReadTurns();
  const perTurn: number[] = [0];
  let isOver = false;
  const count = () => {
    if (isOver) return;
    perTurn.push(0);
    setImmediate(count);
  };
  setImmediate(count);
  const read = async () => {
    await turns.take();
    perTurn[perTurn.length - 1]++;
  };
  await Promise.all(Array.from({ length: 100 }, read));
  isOver = true;
  expect(perTurn.reduce((sum, reads) => sum + reads)).toBe(100);
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(16);
});
