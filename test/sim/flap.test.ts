/** A flap mends what it cut, and nothing that something else cut. */
import { expect, test } from 'vitest';
import { parseScenario } from '../../sim/scenario.ts';
import { simulate } from './scenario-files.ts';

/** Of three nodes that mine, whether each two are on one chain at the end. */
async function heldApart(timeline: string): Promise<boolean> {
  const scenario = parseScenario(`name: flap
duration: 60s
nodes: [{group: v, count: 3}]
timeline: [${timeline}]
expect: {sameTip: true}
`);
  const { expectations } = await simulate(scenario, 1);
  return !expectations.find(({ name }) => name === 'sameTip')!.passed;
}

const FLAP = (from: string, groups = '[v1, v2]'): string =>
  `{at: ${from}, flap: {groups: ${groups}, down: 1s, up: 1s, until: 20s}}`;
const V3_ALONE = (at: string): string => `{at: ${at}, partition: [[v1, v2], v3]}`;

test.each([
  ['what was cut before, elsewhere', `${V3_ALONE('4s')}, ${FLAP('5s')}`],
  ['what was cut before, of its own pairs', `${V3_ALONE('4s')}, ${FLAP('5s', '[v1, v2, v3]')}`],
  ['what is cut while it has the same pairs down', `${FLAP('5s', '[v1, v2, v3]')}, ${V3_ALONE('5.5s')}`],
  ['what is cut one way', `{at: 4s, cut: {from: v3, to: [v1, v2], oneWay: true}}, ${FLAP('5s', '[v1, v2, v3]')}`],
])('a flap leaves alone %s', async (_what, timeline) => {
  expect(await heldApart(timeline)).toBe(true);
});

test.each([
  ['all it cut', FLAP('5s', '[v1, v2, v3]')],
  ['all that two of them cut, out of step', `${FLAP('5s', '[v1, v2, v3]')}, ${FLAP('5.3s', '[v3, v1]')}`],
])('a flap mends %s', async (_what, timeline) => {
  expect(await heldApart(timeline)).toBe(false);
});

test('`heal: all` mends what a flap holds cut too', async () => {
  const whileDown = `{at: 5s, flap: {groups: [v1, v2, v3], down: 55s, up: 1s, until: 60s}}`;
  expect(await heldApart(whileDown)).toBe(true);
  expect(await heldApart(`${whileDown}, {at: 15s, heal: all}`)).toBe(false);
});
