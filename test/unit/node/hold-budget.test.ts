import { expect, test } from 'vitest';
import { HOLD_MS, HoldBudget } from '../../../node/sync/hold-budget.ts';

const BLOCK_TIME_MS = 2_000;

function setUp() {
  let nowMs = 1_000_000;
  const budget = new HoldBudget({ monotonicMs: () => nowMs }, BLOCK_TIME_MS);
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  /** In which share of the time the node is silent, where fetches of that length follow one another. */
  const silentShare = (fetchMs: number, blocks: number): number => {
    const stepMs = 10;
    let [silentMs, totalMs] = [0, 0];
    while (totalMs < 2_000_000) {
      budget.begin();
      for (let atMs = 0; atMs < fetchMs; atMs += stepMs) {
        if (budget.isLeft) silentMs += stepMs;
        pass(stepMs);
      }
      budget.earn(blocks);
      budget.end();
      pass(1_000); // the next one's headers
      totalMs += fetchMs + 1_000;
    }
    return silentMs / totalMs;
  };
  return { budget, pass, silentShare };
}

test('it is held for its time once, and again when it has had ten times as long without', () => {
  const { budget, pass } = setUp();
  budget.begin();
  pass(HOLD_MS - 1);
  expect(budget.isLeft).toBe(true);
  pass(1);
  expect(budget.isLeft).toBe(false);
  budget.end();
  pass(10 * HOLD_MS);
  budget.begin();
  pass(HOLD_MS - 1);
  expect(budget.isLeft).toBe(true);
  pass(2);
  expect(budget.isLeft).toBe(false);
});

test('who is given blocks faster than the chain grows is held until it has them', () => {
  const { budget, pass } = setUp();
  budget.begin();
  for (let block = 0; block < 5_000; block++) {
    pass(BLOCK_TIME_MS / 1.5);
    budget.earn(1);
    expect(budget.isLeft).toBe(true);
  }
});

test.each([
  [10_000, 0, 0.03],
  [24_000, 1, 0.11],
  [60_000, 0, 0.02],
])(
  'fetches of %i ms one after another that bring %i blocks keep it silent for no more than %f of the time',
  (fetchMs, blocks, share) => {
    expect(setUp().silentShare(fetchMs, blocks)).toBeLessThan(share);
  },
);

test('what blocks earn is not saved up', () => {
  const { budget, pass } = setUp();
  budget.begin();
  budget.earn(10_000);
  pass(HOLD_MS);
  expect(budget.isLeft).toBe(false);
});
