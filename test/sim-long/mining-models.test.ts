/** What no scenario file can say: miners alone against the rules. */
import { expect, test } from 'vitest';
import { mineSelfishly, mineWithTimestamps, selfishRevenue, type TimestampGame } from '../../sim/mining-models.ts';
import { createSeededRng } from '../../sim/seeded-rng.ts';
import { createWorldGenesis } from '../../sim/world.ts';
import { addTally, FIRST_SEED, SEEDS } from './tally.ts';

test.each([
  [0.25, 0],
  [1 / 3, 0],
  [0.4, 0],
  [0.25, 0.5],
  [1 / 3, 0.5],
  [0.4, 0.5],
])('selfish mining with %d of the hash rate, ties %d', (share, ties) => {
  const revenues: number[] = [];
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    revenues.push(mineSelfishly(createSeededRng(`${seed}`), { share, ties, blocks: 10_000 }).revenue);
  }
  const mean = revenues.reduce((sum, each) => sum + each, 0) / revenues.length;
  const curve = selfishRevenue(share, ties);
  const violations = Math.abs(mean - curve) < 0.02 ? [] : [`revenue ${mean}, the curve says ${curve}`];
  addTally({
    scenario: `selfish mining, share ${share.toFixed(3)}, ties ${ties}`,
    seeds: SEEDS,
    runs: SEEDS,
    virtualMs: 0,
    faults: 0,
    violations,
    note: `revenue ${mean.toFixed(4)}, Eyal and Sirer ${curve.toFixed(4)}`,
  });
  expect(violations).toEqual([]);
});

test.each(
  (['honest', 'earliest', 'latest', 'in-turns'] as const).flatMap((game) =>
    [0.1, 0.25, 1 / 3, 0.45].map((share): [TimestampGame, number] => [game, share]),
  ),
)('timestamps %s by %d of the hash rate', (game, share) => {
  const genesis = createWorldGenesis(['a']);
  const violations: string[] = [];
  let [sum, highest] = [0, 0];
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    const result = mineWithTimestamps(createSeededRng(`${game} ${seed}`), genesis, { share, game, blocks: 2_300 });
    const ratio = result.meanIntervalMs / genesis.params.blockTimeMs;
    sum += ratio;
    highest = Math.max(highest, result.difficulty.highest);
    if (ratio < 0.9 || ratio > 1.1) violations.push(`seed ${seed}: block interval ${ratio.toFixed(3)} of the target`);
  }
  addTally({
    scenario: `timestamps ${game}, share ${share.toFixed(3)}`,
    seeds: SEEDS,
    runs: SEEDS,
    virtualMs: SEEDS * 2_300 * genesis.params.blockTimeMs,
    faults: 0,
    violations,
    note: `interval ${(sum / SEEDS).toFixed(4)} of the target, difficulty at most ${highest.toFixed(2)} of what is due`,
  });
  expect(violations).toEqual([]);
});
