import { expect, test } from 'vitest';
import { LargeBodyGate } from '../../src/sources/large-body-gate.ts';

test('one at a time, in the order of coming; whoever leaves while waiting is passed over', () => {
  const gate = new LargeBodyGate();
  const woken: string[] = [];
  const [a, b, c, d] = [{}, {}, {}, {}];
  const wake = (name: string) => () => void woken.push(name);
  expect(gate.enter(a, wake('a'))).toBe(true);
  expect(gate.enter(a, wake('a'))).toBe(true); // it is in already
  expect(gate.enter(b, wake('b'))).toBe(false);
  expect(gate.enter(c, wake('c'))).toBe(false);
  expect(gate.enter(d, wake('d'))).toBe(false);
  gate.leave(b);
  gate.leave(a);
  expect(woken).toEqual(['c']);
  expect(gate.enter(c, wake('c'))).toBe(true);
  gate.leave({}); // never was in
  gate.leave(c);
  gate.leave(d);
  expect(woken).toEqual(['c', 'd']);
  expect(gate.enter(a, wake('a'))).toBe(true);
});
