import { expect, test } from 'vitest';
import { runScenario } from '../../../sim/run-scenario.ts';
import { parseScenario } from '../../../sim/scenario.ts';
import { type Scenario, ScenarioError } from '../../../sim/scenario-schema.ts';
import { shrinkTimeline } from '../../../sim/shrink.ts';
import { fc } from '../../fast-check.ts';

const withCrashes = (count: number): Scenario =>
  parseScenario(`name: many
duration: 100s
nodes: [{group: v, count: 20}]
timeline:
${Array.from({ length: count }, (_, at) => `  - {at: ${at + 1}s, crash: v${at + 1}}`).join('\n')}
  - {at: 60s, restart: all}
expect: {}
`);

const crashed = (scenario: Scenario): unknown[] => (scenario.timeline ?? []).flatMap(({ crash }) => crash ?? []);

test('what is left fails, and without any one of its faults it does not', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 }),
      async (guilty) => {
        const names = guilty.map((at) => `v${at}`);
        const fails = async (scenario: Scenario): Promise<boolean> =>
          names.every((name) => crashed(scenario).includes(name));
        const shrunk = await shrinkTimeline(withCrashes(20), { fails });
        expect([...crashed(shrunk)].sort()).toEqual([...names].sort());
        expect(shrunk.timeline).toContainEqual({ at: '60s', restart: 'all' });
      },
    ),
    { numRuns: 50 },
  );
});

test('what fails without any fault shrinks to none, and its repairs go too', async () => {
  expect((await shrinkTimeline(withCrashes(6), { fails: async () => true })).timeline).toEqual([]);
});

const NODES = '[{group: a, count: 4}, {group: l, late: true, role: observer}]';
const withTimeline = (timeline: string): Scenario =>
  parseScenario(`name: some\nduration: 30s\nnodes: ${NODES}\ntimeline: [${timeline}]\nexpect: {}`);

/** Shrinks by what `fails` says of the timeline as JSON, and checks that what comes out was run and failed. */
async function shrink(timeline: string, fails: (json: string) => boolean): Promise<unknown> {
  const original = withTimeline(timeline);
  const failed = new Set([JSON.stringify(original.timeline)]);
  const shrunk = await shrinkTimeline(original, {
    fails: async (smaller) => {
      const json = JSON.stringify(smaller.timeline);
      if (fails(json)) failed.add(json);
      return fails(json);
    },
  });
  expect(failed).toContain(JSON.stringify(shrunk.timeline));
  return shrunk.timeline;
}

test('a restart that mends nothing is a fault itself: it starts a late node', async () => {
  const scenario = parseScenario(`name: late
duration: 30s
nodes: [{group: a, count: 4}, {group: l, late: true, role: observer}]
timeline: [{at: 29.99s, restart: l}]
expect: {finalHeightAtLeast: 5}
`);
  const fails = async (smaller: Scenario): Promise<boolean> => !(await runScenario(smaller, { seed: '1' })).passed;
  expect(await fails(scenario)).toBe(true);
  expect(await fails({ ...scenario, timeline: [] })).toBe(false);
  expect((await shrinkTimeline(scenario, { fails })).timeline).toEqual(scenario.timeline);
});

test('a timeline of repairs only is dropped where the run fails without it, and only there', async () => {
  const timeline = '{at: 1s, heal: all}, {at: 2s, restart: a1}, {at: 3s, diskFreed: a}';
  expect(await shrink(timeline, () => true)).toEqual([]);
  expect(await shrink(timeline, (json) => json.includes('restart'))).toEqual([{ at: '2s', restart: 'a1' }]);
});

test('a repair stays for a fault that came before it, at a node it is about', async () => {
  const timeline =
    '{at: 5s, crash: a1}, {at: 8s, restart: a1}, {at: 10s, crash: [a2, a3]}, {at: 12s, restart: a4}, {at: 20s, restart: a:3}';
  const crash = { at: '10s', crash: ['a2', 'a3'] };
  const last = { at: '20s', restart: 'a:3' };
  expect(await shrink(timeline, (json) => json.includes('"a2","a3"'))).toEqual([crash, last]);
  expect(await shrink(timeline, (json) => json.includes('"a2","a3"') && json.includes('"a4"'))).toEqual([
    crash,
    { at: '12s', restart: 'a4' },
    last,
  ]);
});

test('a restart stays without the crash before it where it is the restart that fails', async () => {
  const timeline = '{at: 5s, crash: a1}, {at: 8s, restart: a1}, {at: 9s, hashRate: {nodes: a, factor: 2}}';
  expect(await shrink(timeline, (json) => json.includes('restart'))).toEqual([{ at: '8s', restart: 'a1' }]);
});

test('a heal after the last turn of a flap mends nothing', async () => {
  const timeline = (heal: string): string =>
    `{at: 5s, flap: {groups: [a, l], down: 1s, up: 1s, until: 15s}}, {at: ${heal}, heal: all}`;
  const fails = (json: string): boolean => json.includes('flap');
  expect(await shrink(timeline('16s'), fails)).toHaveLength(1);
  expect(await shrink(timeline('10s'), fails)).toHaveLength(2);
});

test('a timeline that cannot run without one of its events keeps that', async () => {
  const shrunk = await shrink('{at: 1s, join: l}, {at: 2s, clock: {nodes: l, offset: 1s}}', (json) => {
    if (!json.includes('join')) throw new ScenarioError('timeline[0]', 'l is not running');
    return true;
  });
  expect(shrunk).toEqual([{ at: '1s', join: 'l' }]);
});
