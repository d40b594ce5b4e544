import { expect, test } from 'vitest';
import { HashBudget } from '../../../node/mining/hash-budget.ts';
import { fc } from '../../fast-check.ts';

/** Runs bursts and rests; `late` adds to each rest, `stolen` is wall time of a burst that went to others. */
function share(budget: number, bursts: number, late: () => number, stolen: () => number): number {
  let nowMs = 1000;
  let usedMs = 300;
  const account = new HashBudget(budget, nowMs, usedMs);
  for (let i = 0; i < bursts; i++) {
    nowMs += 5 + stolen();
    usedMs += 5;
    nowMs += account.rest(nowMs, usedMs) + late();
  }
  return (usedMs - 300) / (nowMs - 1000);
}

test('the share of processor time is the budget, with late timers and on a shared core', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 0.8, noNaN: true }), fc.infiniteStream(fc.nat(100)), (budget, noise) => {
      const next = (max: number): number => ((noise.next().value as number) / 100) * max;
      const measured = share(
        budget,
        500,
        () => next(1.2),
        () => next(budget < 0.5 ? 1 : 0.1),
      );
      expect(measured / budget).toBeGreaterThan(0.9);
      expect(measured / budget).toBeLessThan(1.1);
    }),
    { numRuns: 100 },
  );
});

test('after a long idle time it may catch up a few bursts, no more', () => {
  const account = new HashBudget(0.1, 0, 0);
  expect(account.rest(3_600_000, 0)).toBe(0);
  expect(account.rest(3_600_005, 20)).toBe(0);
  expect(account.rest(3_600_010, 40)).toBeCloseTo(190, 0);
});
