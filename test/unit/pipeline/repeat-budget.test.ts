import { expect, test } from 'vitest';
import { type NoNewsKind, RepeatBudget } from '../../../node/pipeline/repeat-budget.ts';

function openBudget() {
  let nowMs = 5_000;
  const budget = new RepeatBudget({ monotonicMs: () => nowMs });
  /** Messages that are no news and read, out of so many at once. */
  const count = (peer: string, units: number, kind: NoNewsKind = 'tx', of = 9_000): number => {
    let read = 0;
    for (let at = 0; at < of; at++) {
      if (budget.admit(peer, kind) !== 'read') continue;
      budget.spend(peer, kind, units);
      read += 1;
    }
    return read;
  };
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { budget, count, pass };
}

test('a burst is read, and what comes above it is not; each peer and each kind has its own', () => {
  const { count } = openBudget();
  expect(count('a', 1, 'vote')).toBe(1_000);
  expect(count('b', 1, 'vote')).toBe(1_000);
  expect(count('a', 1)).toBe(8_000);
  expect(count('b', 65)).toBe(124);
});

test('who was not read is read again as soon as there is room, and has its burst again in time', () => {
  const { count, pass } = openBudget();
  count('a', 1);
  pass(1_000);
  expect(count('a', 1)).toBe(400);
  pass(3_600_000);
  expect(count('a', 1)).toBe(8_000);
});

test('what is news costs nothing, however much of it comes', () => {
  const { budget, pass } = openBudget();
  for (let at = 0; at < 50_000; at++) {
    expect(budget.admit('a', 'tx')).toBe('read');
    pass(1);
  }
});

test('more than a thousand unread messages a second for twenty seconds are a flood; fewer are not, however long', () => {
  const sendAll = (perMs: number, count: number): Set<string> => {
    const { budget, pass } = openBudget();
    const outcomes = new Set<string>();
    for (let at = 0; at < count; at++) {
      const outcome = budget.admit('a', 'vote');
      outcomes.add(outcome);
      if (outcome === 'read') budget.spend('a', 'vote', 1);
      pass(1 / perMs);
    }
    return outcomes;
  };
  expect([...sendAll(1, 100_000)]).toEqual(['read', 'unread']);
  expect([...sendAll(4, 20_000)]).toEqual(['read', 'unread']);
  expect([...sendAll(4, 40_000)]).toEqual(['read', 'unread', 'flood']);
});
