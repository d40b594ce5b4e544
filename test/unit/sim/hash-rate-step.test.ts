/** What docs/TESTING.md says of a tenfold step of the hash rate, of the difficulty rule itself. */
import { expect, test } from 'vitest';
import { asertTarget } from '../../../chain/asert.ts';

const BLOCK_TIME_MS = 2_000n;
const HALF_LIFE_MS = 600_000n;
const ANCHOR = 1n << 200n;

/** Intervals, in block times, by half-lives after the hash rate became `factor` times as much; each solve takes its mean. */
function intervalsAfter(factor: number): readonly { readonly halfLives: number; readonly interval: number }[] {
  const found = [];
  for (let timeMs = 0, blocks = 0; timeMs < 8 * Number(HALF_LIFE_MS); blocks++) {
    const target = asertTarget({
      anchorTarget: ANCHOR,
      timeDiff: BigInt(Math.round(timeMs)),
      heightDiff: BigInt(blocks),
      idealBlockTime: BLOCK_TIME_MS,
      halfLife: HALF_LIFE_MS,
      powLimit: 1n << 240n,
    });
    const interval = Number(ANCHOR) / Number(target) / factor;
    found.push({ halfLives: timeMs / Number(HALF_LIFE_MS), interval });
    timeMs += interval * Number(BLOCK_TIME_MS);
  }
  return found;
}

test.each([
  [10, 0.55, 2.58],
  [0.1, 5.5, 5.91],
  [1.4, 0.86, 0.93],
  [1 / 1.3, 1.15, 1],
])(
  'hash rate times %d: the interval is %d of the target after a half-life, within 15 % after %d',
  (factor, then, after) => {
    const intervals = intervalsAfter(factor);
    for (const { halfLives, interval } of intervals) {
      expect(interval).toBeCloseTo(1 + (1 / factor - 1) * 2 ** -halfLives, 1);
    }
    expect(intervals.find(({ halfLives }) => halfLives >= 1)!.interval).toBeCloseTo(then, 1);
    const within = intervals.find(({ interval }) => Math.abs(interval - 1) <= 0.15)!;
    expect(Math.abs(within.halfLives - after)).toBeLessThan(0.05);
  },
);
