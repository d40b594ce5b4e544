/** A crash at every write in turn: what no scenario file can say. */
import { expect, test } from 'vitest';
import { crashingAt, loadScenario, SCENARIO_NAMES, simulate, violationsOf } from '../sim/scenario-files.ts';
import { addTally, FIRST_SEED, SEEDS } from './tally.ts';

/** Those around one block, or around one reorganisation; each seed is some sixteen or thirty-five runs. */
export function testEveryWrite(around: 'block' | 'reorg'): void {
  const names = SCENARIO_NAMES.filter((name) => name.startsWith(`crash-at-write-${around}-`));
  test.each(names)(`%s: every write in turn, with ${SEEDS} seeds`, async (name) => {
    const scenario = loadScenario(name);
    const violations: string[] = [];
    let [runs, virtualMs, faults, crashes] = [0, 0, 0, 0];
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      for (let nth = 1; ; nth++) {
        const report = await simulate(crashingAt(scenario, nth), seed);
        violations.push(...violationsOf(report).map((each) => `write ${nth}: ${each}`));
        runs += 1;
        virtualMs += report.virtualMs;
        faults += report.faults;
        crashes += report.crashesAtWrites;
        if (report.crashesAtWrites === 0) break;
      }
    }
    const note = `${crashes} writes crashed at`;
    addTally({ scenario: `${name} (every write)`, seeds: SEEDS, runs, virtualMs, faults, violations, note });
    expect(violations).toEqual([]);
    expect(crashes).toBeGreaterThan(5 * SEEDS);
  });
}
