import { expect, test } from 'vitest';
import { parseScenario, type Scenario } from '../../../sim/scenario.ts';
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
        const shrunk = await shrinkTimeline(withCrashes(20), fails);
        expect([...crashed(shrunk)].sort()).toEqual([...names].sort());
        expect(shrunk.timeline).toContainEqual({ at: '60s', restart: 'all' });
      },
    ),
    { numRuns: 50 },
  );
});

test('what fails without any fault shrinks to none, and its repairs go too', async () => {
  expect((await shrinkTimeline(withCrashes(6), async () => true)).timeline).toEqual([]);
});
