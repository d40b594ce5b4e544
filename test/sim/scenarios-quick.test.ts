/** A cut through the scenarios for every run of the tests; `npm run test:sim` runs all of them with many seeds. */
import { expect, test } from 'vitest';
import { mineSelfishly, mineWithTimestamps, selfishRevenue } from '../../sim/mining-models.ts';
import { createSeededRng } from '../../sim/seeded-rng.ts';
import { createWorldGenesis } from '../../sim/world.ts';
import { crashingAt, loadScenario, SCENARIO_NAMES, simulate, violationsOf } from './scenario-files.ts';

/** One takes a second or two; a machine that is busy with other things may need much longer. */
const TIMEOUT_MS = 120_000;

const QUICK = [
  'accountable-safety',
  'all-lose-power',
  'asymmetric-with-restart',
  'churn',
  'clock-jumps',
  'disk-full-and-freed',
  'fifty-fifty-with-power-loss',
  'flapping-with-crash',
  'heavier-chain-against-final',
  'liars-with-flapping-withhold',
  'lossy-links',
  'miners-hand-over-needs-both',
  'miners-restart-in-hand-over',
  'miners-third-minus-one-double-vote',
  'partition-70-30',
  'partition-exactly-two-thirds',
  'partition-not-transitive',
  'reorg-deep',
  'rolling-power-loss',
  'selfish-miner',
  'seventy-thirty-with-join',
  'slow-disks-lose-power',
  'spam',
  'sync-from-lying-about-work',
  'third-minus-one-double-vote',
  'third-minus-one-equivocate',
  'third-minus-one-surround',
  'third-silent-stalls',
  'three-ways-with-leave',
];

test('every scenario file is valid, and named for its scenario', () => {
  expect(SCENARIO_NAMES.length).toBeGreaterThanOrEqual(60);
  for (const name of SCENARIO_NAMES) expect(loadScenario(name).name).toBe(name);
  expect(SCENARIO_NAMES).toEqual(expect.arrayContaining(QUICK));
});

test.each(QUICK)(
  '%s',
  async (name) => {
    expect(violationsOf(await simulate(loadScenario(name), 1))).toEqual([]);
  },
  TIMEOUT_MS,
);

test.each([
  ['crash-at-write-block-lost', 5],
  ['crash-at-write-block-power-loss', 7],
  ['crash-at-write-reorg-unheard', 9],
])(
  '%s: every %dth write in turn',
  async (name, step) => {
    const scenario = loadScenario(name);
    let crashes = 0;
    for (let nth = 1; ; nth += step) {
      const report = await simulate(crashingAt(scenario, nth), 1);
      expect(violationsOf(report)).toEqual([]);
      if (report.crashesAtWrites === 0) break;
      crashes += 1;
    }
    expect(crashes).toBeGreaterThan(1);
  },
  TIMEOUT_MS,
);

test.each([
  [0.25, 0],
  [1 / 3, 0.5],
  [0.4, 0],
])('selfish mining with %d of the hash rate, ties %d: revenue on the curve of Eyal and Sirer', (share, ties) => {
  const { revenue } = mineSelfishly(createSeededRng('selfish'), { share, ties, blocks: 12_000 });
  expect(Math.abs(revenue - selfishRevenue(share, ties))).toBeLessThan(0.025);
});

test.each(['earliest', 'latest', 'in-turns'] as const)('a third of the miners plays with timestamps: %s', (game) => {
  const genesis = createWorldGenesis(['a']);
  const { meanIntervalMs } = mineWithTimestamps(createSeededRng(game), genesis, { share: 1 / 3, game, blocks: 2_000 });
  expect(meanIntervalMs / genesis.params.blockTimeMs).toBeGreaterThan(0.9);
  expect(meanIntervalMs / genesis.params.blockTimeMs).toBeLessThan(1.1);
});

test.each([1, 2, 3])('45 miners of 100 with early timestamps do not drive up the difficulty, seed %d', (seed) => {
  const game = { share: 0.45, game: 'earliest', blocks: 2_300 } as const;
  const { difficulty } = mineWithTimestamps(createSeededRng(`${seed}`), createWorldGenesis(['a']), game);
  expect(difficulty.highest).toBeLessThan(8);
});
