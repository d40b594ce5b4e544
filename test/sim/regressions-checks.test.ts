/** Runs in which an expectation failed of a net that did as it should, and what it must still see. */
import { expect, test } from 'vitest';
import { parseScenario } from '../../sim/scenario.ts';
import type { Scenario } from '../../sim/scenario-schema.ts';
import { loadScenario, simulate, violationsOf } from './scenario-files.ts';

test('`sameFinal`: one vote made ten blocks final on one side of an ocean 0.4 s before the end', async () => {
  const report = await simulate(loadScenario('slow-ocean'), 44);
  const { final, lowest } = report.heights.at(-1)!;
  const before = report.heights.findLast(({ atMs }) => atMs <= report.virtualMs - 2_000)!;
  expect(final - before.final).toBe(10); // else this run no longer shows it
  expect(lowest).toBeGreaterThan(final);
  expect(violationsOf(report)).toEqual([]);
});

test('`sameFinal` fails of a node that was cut off seconds before the end', async () => {
  const cutOff = (at: string): Scenario =>
    parseScenario(`
name: cut-off
duration: 40s
nodes: [{group: v, count: 4}]
timeline: [{at: ${at}, partition: [[v1, v2, v3], v4]}]
expect: {sameFinal: true}
`);
  const passed = async (at: string): Promise<boolean> => (await simulate(cutOff(at), 1)).passed;
  expect(await passed('20s')).toBe(false);
  expect(await passed('39.9s')).toBe(true);
});

test('who claims work is asked for it and refused, also where the asker has all there is', async () => {
  const scenario = parseScenario(`
name: boast
duration: 20s
nodes: [{group: v, count: 3}, {group: boaster, role: observer, behaviour: lying-about-work}]
expect: {refused: boaster, sameFinal: true}
`);
  for (const seed of [1, 2, 3]) expect(violationsOf(await simulate(scenario, seed))).toEqual([]);
});
