import { expect, test } from 'vitest';
import { ReceiveBudget } from '../../../node/net/receive-budget.ts';

function openBudget() {
  let nowMs = 5_000;
  const budget = new ReceiveBudget({ monotonicMs: () => nowMs });
  /** How many RPCs of a message each are read at once. */
  const count = (peer: string): number => {
    let read = 0;
    while (read < 100_000 && budget.spend(peer, 2)) read += 1;
    return read;
  };
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { budget, count, pass };
}

test('each peer has a burst, and gets room back with time', () => {
  const { count, pass } = openBudget();
  expect([count('a'), count('b')]).toEqual([25_000, 25_000]);
  pass(1_000);
  expect(count('a')).toBe(2_500);
  pass(3_600_000);
  expect(count('a')).toBe(25_000);
});

test('what is refused is not counted, so that smaller things still fit', () => {
  const { budget } = openBudget();
  expect(budget.spend('a', 50_001)).toBe(false);
  expect(budget.spend('a', 50_000)).toBe(true);
});

test('a message that was forgotten costs as much as ten', () => {
  const { budget, count } = openBudget();
  for (let at = 0; at < 1_000; at++) budget.chargeForgotten('a');
  expect(count('a')).toBe(20_000);
});
