/** Runs in which an expectation failed of a net that did as it should, and what it must still see. */
import { expect, test } from 'vitest';
import { checkExpectations, type ExpectationResult, type RunFacts } from '../../sim/expectations.ts';
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

type Sample = readonly [atMs: number, final: Readonly<Record<string, number>>];

/** At 10 s: a node that has 45 final, one that is behind, and one that is down. */
function sameFinalOf(behind: number, samples: readonly Sample[], behindId = `b${behind}`): ExpectationResult {
  const tree = { ancestorAt: (_id: string, height: bigint) => ({ header: { id: `b${height}` } }) };
  const nodeOf = (name: string, height: number, id: string) => ({
    name,
    finalHeight: height,
    node: { chain: { tree }, agreement: { final: { id, height: BigInt(height) } } },
  });
  const facts = {
    scenario: { expect: OTHERS_OFF },
    world: {
      running: [nodeOf('ahead', 45, 'b45'), nodeOf('behind', behind, behindId)],
      clock: { monotonicMs: () => 10_000 },
    },
    nodes: { honest: [{ name: 'ahead' }, { name: 'behind' }, { name: 'down' }] },
    log: { samples: samples.map(([atMs, final]) => ({ atMs, final: new Map(Object.entries(final)) })) },
    mining: { orders: 0, unmined: [] },
  } as unknown as RunFacts;
  return checkExpectations(facts).find(({ name }) => name === 'sameFinal')!;
}

test('`sameFinal` allows for what became final at once a moment ago, and not for what was final two seconds before', () => {
  const passed = (ahead: number): boolean =>
    sameFinalOf(35, [
      [8_000, { ahead, behind: 35 }],
      [8_500, { ahead: 45, behind: 35 }],
    ]).passed;
  expect(passed(35)).toBe(true);
  expect(passed(39)).toBe(true);
  expect(passed(40)).toBe(false);
});

test('`sameFinal` counts who is down with what it had final before, and no liar', () => {
  const passed = (before: Readonly<Record<string, number>>): boolean =>
    sameFinalOf(35, [
      [7_000, before],
      [8_000, { behind: 35 }],
      [8_500, { ahead: 45, behind: 35 }],
    ]).passed;
  for (const name of ['ahead', 'down']) {
    expect(passed({ [name]: 39 })).toBe(true);
    expect(passed({ [name]: 40 })).toBe(false);
  }
  expect(passed({ liar: 40 })).toBe(true);
});

test('`sameFinal` of a run in which nobody ran two seconds before the end compares with the end', () => {
  const samples: readonly Sample[] = [
    [8_000, {}],
    [8_500, { ahead: 36, behind: 36 }],
  ];
  expect(sameFinalOf(41, samples)).toMatchObject({ passed: true, detail: 'final heights 45, 41' });
  expect(sameFinalOf(40, samples).passed).toBe(false);
});

test('`sameFinal` fails of who has another block final, however close its height is', () => {
  const samples: readonly Sample[] = [[8_000, { ahead: 44, behind: 44 }]];
  for (const height of [44, 45]) {
    expect(sameFinalOf(height, samples).passed).toBe(true);
    expect(sameFinalOf(height, samples, `other${height}`).passed).toBe(false);
  }
});

test('`sameFinal` fails of who is behind also where those who are ahead have just started again', async () => {
  const scenario = parseScenario(`
name: away-before-the-end
duration: 60s
nodes: [{group: v, count: 4}]
timeline:
  - {at: 10s, partition: [[v1, v2, v3], v4]}
  - {at: 57.7s, crash: [v1, v2, v3]}
  - {at: 58.2s, restart: [v1, v2, v3]}
expect: {sameFinal: true}
`);
  const { expectations } = await simulate(scenario, 1);
  expect(expectations.find(({ name }) => name === 'sameFinal')).toMatchObject({
    passed: false,
    detail: expect.stringMatching(/^final heights \d+, \d; \d\d two seconds before$/),
  });
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
