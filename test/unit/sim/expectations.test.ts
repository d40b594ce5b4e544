/** Expectations that would hold of nobody, and those that are switched off. */
import { expect, test } from 'vitest';
import type { ExpectationResult } from '../../../sim/expectations.ts';
import { runScenario } from '../../../sim/run-scenario.ts';
import { parseScenario } from '../../../sim/scenario.ts';

async function resultsOf(timeline: string, expectations: string): Promise<ReadonlyMap<string, ExpectationResult>> {
  const scenario = parseScenario(`name: few
duration: 12s
nodes: [{group: v, count: 3}]
timeline: [${timeline}]
expect: {${expectations}}
`);
  const { expectations: results } = await runScenario(scenario, { seed: '1' });
  return new Map(results.map((each) => [each.name, each]));
}

test('where no honest node is running at the end, nothing holds of the honest nodes', async () => {
  const results = await resultsOf(
    '{at: 10s, crash: all}',
    `sameFinal: true, sameTip: true, finalHeightAtLeast: 0, evidenceAtLeast: 0, electorateShare: [{of: v}],
     resumesWithin: {after: 2s, heights: 100}, blockInterval: {within: 100000, after: 1s}`,
  );
  for (const name of [
    'sameFinal',
    'sameTip',
    'finalHeightAtLeast',
    'evidenceAtLeast',
    'electorateShare',
    'resumesWithin',
    'blockInterval',
    'supplyConserved',
  ]) {
    expect(results.get(name)).toEqual({ name, passed: false, detail: 'no honest node is running' });
  }
  expect(results.get('noConflictingFinal')).toMatchObject({ passed: true });
});

test('`false` switches a check off', async () => {
  const apart = '{at: 2s, partition: [v1, v2, v3]}';
  const on = await resultsOf(apart, 'sameTip: true, sameFinal: true, invalidStaysAtFirstHop: true');
  const off = await resultsOf(
    apart,
    'sameTip: false, sameFinal: false, invalidStaysAtFirstHop: false, supplyConserved: false',
  );
  for (const name of ['sameTip', 'sameFinal', 'invalidStaysAtFirstHop', 'supplyConserved']) {
    expect(on.has(name)).toBe(true);
    expect(off.has(name)).toBe(false);
  }
});
