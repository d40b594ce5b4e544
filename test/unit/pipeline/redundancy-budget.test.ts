import { expect, test } from 'vitest';
import { NOTHING_NEW_UNITS, RedundancyBudget, type RedundantKind } from '../../../node/pipeline/redundancy-budget.ts';

function openBudget() {
  let nowMs = 5_000;
  const budget = new RedundancyBudget({ monotonicMs: () => nowMs });
  /** How many of that size there is room for at once. */
  const count = (peer: string, units: number, kind: RedundantKind = 'tx'): number => {
    let taken = 0;
    while (taken < 50_000 && budget.spend(peer, kind, units)) taken += 1;
    return taken;
  };
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { budget, count, pass };
}

test('there is room for a burst; each peer and each kind has its own', () => {
  const { count } = openBudget();
  expect(count('a', 1, 'vote')).toBe(4_000);
  expect(count('b', 1, 'vote')).toBe(4_000);
  expect(count('a', 1)).toBe(20_000);
  expect(count('b', 65)).toBe(307);
});

test('room comes back with time, and no more of it than there was', () => {
  const { count, pass } = openBudget();
  count('a', 1);
  pass(1_000);
  expect(count('a', 1)).toBe(1_000);
  pass(3_600_000);
  expect(count('a', 1)).toBe(20_000);
});

test('a node whose users submit 1,500 of the longest transactions a second everywhere has room for them, however long', () => {
  const { budget, pass } = openBudget();
  for (let at = 0; at < 50 * 600; at++) {
    expect(budget.spend('a', 'tx', NOTHING_NEW_UNITS + (30 * 432) / 1024)).toBe(true);
    pass(20);
  }
});

test('a node that passes on 1,400 transactions a second one by one, which others have had already, has room for them', () => {
  const { budget, pass } = openBudget();
  for (let at = 0; at < 1_400 * 300; at++) {
    expect(budget.spend('a', 'tx', NOTHING_NEW_UNITS + 170 / 1024)).toBe(true);
    pass(1_000 / 1_400);
  }
});
