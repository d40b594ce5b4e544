import { expect, test } from 'vitest';
import { RepeatBudget } from '../../../node/pipeline/repeat-budget.ts';

function openBudget() {
  let nowMs = 5_000;
  const budget = new RepeatBudget({ monotonicMs: () => nowMs });
  const count = (peer: string, bytes: number, kind: 'tx' | 'vote' = 'tx'): number => {
    let taken = 0;
    while (taken < 20_000 && budget.spend(peer, kind, bytes)) taken += 1;
    return taken;
  };
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { budget, count, pass };
}

test('a burst is taken, and what comes above it is not; each peer and each kind has its own', () => {
  const { count } = openBudget();
  expect(count('a', 200, 'vote')).toBe(1_000);
  expect(count('b', 200, 'vote')).toBe(1_000);
  expect(count('a', 0)).toBe(8_000);
  expect(count('b', 64 * 1024)).toBe(123); // 65 units each
});

test('the burst comes back with time, and no more of it than there was', () => {
  const { count, pass } = openBudget();
  count('a', 0);
  pass(1_000);
  expect(count('a', 0)).toBe(400);
  pass(3_600_000);
  expect(count('a', 0)).toBe(8_000);
});

test('a peer that sends a batch of a few known transactions every 20 ms has room for it, however long', () => {
  const { budget, pass } = openBudget();
  for (let at = 0; at < 50 * 600; at++) {
    expect(budget.spend('a', 'tx', 3_000)).toBe(true);
    pass(20);
  }
});
