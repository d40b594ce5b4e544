/** Runs in which an expectation failed of a net that did as it should, and what it must still see. */
import { expect, test } from 'vitest';
import { checkExpectations, type RunFacts } from '../../sim/expectations.ts';
import { parseScenario } from '../../sim/scenario.ts';
import type { Scenario } from '../../sim/scenario-schema.ts';
import { simulate, violationsOf } from './scenario-files.ts';

const OTHERS_OFF = {
  sameFinal: true,
  noConflictingFinal: false,
  noInternalErrors: false,
  honestNotAccused: false,
  honestNotPenalized: false,
  supplyConserved: false,
  nothingForgotten: false,
};

test('`sameFinal` allows for what became final at once a moment ago, and not for what was final two seconds before', () => {
  const endMs = 10_000;
  const passed = (behind: number, samples: readonly (readonly [atMs: number, ahead: number])[]): boolean => {
    const tree = { ancestorAt: (_id: string, height: bigint) => ({ header: { id: `b${height}` } }) };
    const nodeOf = (name: string, height: number) => ({
      name,
      finalHeight: height,
      node: { chain: { tree }, agreement: { final: { id: `b${height}`, height: BigInt(height) } } },
    });
    const facts = {
      scenario: { expect: OTHERS_OFF },
      world: { running: [nodeOf('ahead', 45), nodeOf('behind', behind)], clock: { monotonicMs: () => endMs } },
      nodes: { honest: [{ name: 'ahead' }, { name: 'behind' }] },
      log: { samples: samples.map(([atMs, ahead]) => ({ atMs, final: new Map([['ahead', ahead]]) })) },
      mining: { orders: 0, unmined: [] },
    } as unknown as RunFacts;
    return checkExpectations(facts).find(({ name }) => name === 'sameFinal')!.passed;
  };
  expect(
    passed(35, [
      [8_000, 35],
      [8_500, 45],
    ]),
  ).toBe(true);
  expect(
    passed(35, [
      [8_000, 39],
      [8_500, 45],
    ]),
  ).toBe(true);
  expect(
    passed(35, [
      [8_000, 40],
      [8_500, 45],
    ]),
  ).toBe(false);
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
