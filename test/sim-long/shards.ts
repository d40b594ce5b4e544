/** The scenario files, shared out over several test files so that they run beside each other. */
import { expect, test } from 'vitest';
import { loadScenario, SCENARIO_NAMES, simulate, violationsOf } from '../sim/scenario-files.ts';
import { addTally, FIRST_SEED, SEEDS } from './tally.ts';

export function testShard(shard: number, shards: number): void {
  const names = SCENARIO_NAMES.filter((_, at) => at % shards === shard);
  test.each(names)(`%s with ${SEEDS} seeds`, async (name) => {
    const scenario = loadScenario(name);
    const violations: string[] = [];
    let [virtualMs, faults] = [0, 0];
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const report = await simulate(scenario, seed);
      violations.push(...violationsOf(report));
      virtualMs += report.virtualMs;
      faults += report.faults;
    }
    addTally({ scenario: name, seeds: SEEDS, runs: SEEDS, virtualMs, faults, violations });
    expect(violations).toEqual([]);
  });
}
