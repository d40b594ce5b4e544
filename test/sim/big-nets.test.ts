/** Nets in which not every node has a disk. */
import { expect, test } from 'vitest';
import { runScenario } from '../../sim/run-scenario.ts';
import { parseScenario } from '../../sim/scenario.ts';
import { ScenarioNodes } from '../../sim/scenario-nodes.ts';
import type { Scenario } from '../../sim/scenario-schema.ts';
import { ScenarioStores } from '../../sim/scenario-stores.ts';
import { createSeededRng } from '../../sim/seeded-rng.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';

const netOf = (observers: number): Scenario =>
  parseScenario(`
name: many
duration: 30s
history: {blocks: 20, at: [v, o6]}
nodes:
  - {group: v, count: 4}
  - {group: o, count: ${observers}, role: observer}
topology: {regular: 6}
load: {txPerSecond: 2, until: 20s}
timeline:
  - {at: 8s, crash: o:2}
  - {at: 9s, losePower: [v1, o3]}
  - {at: 10s, diskFull: o4}
  - {at: 10s, crashAtWrite: {node: o5, nth: 1, fate: lost, within: 4s}}
  - {at: 12s, restart: [v1, o:3]}
  - {at: 14s, diskFreed: o4}
  - {at: 15s, restart: o5}
expect: {sameFinal: true, finalHeightAtLeast: 25, txsFinal: 1, nothingForgotten: true, supplyConserved: true}
`);

const storesOf = (scenario: Scenario): ScenarioStores =>
  new ScenarioStores({
    scenario,
    nodes: new ScenarioNodes(scenario),
    clock: new VirtualClock(0),
    rng: createSeededRng('stores'),
  });

test('of more than a hundred nodes those have a disk whose disk something happens to, and the others keep their store too', async () => {
  const scenario = netOf(97);
  const stores = storesOf(scenario);
  for (const name of ['v1', 'v2', 'o3', 'o4', 'o5', 'o6']) expect(stores.disk(name).isFull).toBe(false);
  for (const name of ['o1', 'o7', 'o97']) expect(() => stores.disk(name)).toThrow(`${name} has no disk`);
  const report = await runScenario(scenario, { seed: '1' });
  expect(report.expectations.filter(({ passed }) => !passed)).toEqual([]);
  expect(report.txs.final).toBeGreaterThan(10);
  expect(report.crashesAtWrites).toBe(1);
});

test('up to a hundred nodes, and where the scenario speaks of disks, all have one', () => {
  const few = storesOf(netOf(96));
  const slow = storesOf({ ...netOf(97), disk: { syncLatency: '5ms' } });
  for (const stores of [few, slow]) for (const name of ['v2', 'o1', 'o96']) expect(stores.disk(name).writes).toBe(0);
});

test('a node without a disk finds what it stored again, and none of what others stored', async () => {
  const stores = storesOf(netOf(97));
  const [first, again, other] = await Promise.all(['o1', 'o1', 'o2'].map((name) => stores.open(name)));
  await first!.savePeers(new Map([['peer', 1]]));
  expect(await again!.loadPeers()).toEqual(new Map([['peer', 1]]));
  expect(await other!.loadPeers()).toEqual(new Map());
});
