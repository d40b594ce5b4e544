import { expect, test } from 'vitest';
import { encodeEvidence } from '../../chain/codec.ts';
import type { SimNode } from '../../sim/world.ts';
import { simulationKey } from '../../sim/world.ts';
import { startHostilePeer } from './hostile-peer.ts';
import { doubleVote } from './liars.ts';
import { expectOneFinalChain, openWorld } from './open-world.ts';

const offendersOf = (sim: SimNode) => sim.node.agreement.agreement.evidence.map(({ voter }) => voter);
const countsVotesOf = (sim: SimNode, name: string, fromHeight: number) =>
  sim.node.agreement.agreement.votesFrom(BigInt(fromHeight)).some(({ voter }) => voter === simulationKey(name).address);

test('evidence heard by one node reaches all; the offender counts for nothing within two heights, and n stays', async () => {
  const world = openWorld({ nodes: 5 });
  await world.start();
  await world.untilFinal(5, 60_000);
  const teller = await startHostilePeer(world, { name: 'teller', links: ['a'] });
  await world.until('connected', () => teller.peers().length === 1, 5_000);
  const evidence = doubleVote(world, 'c', 3);
  const height = Math.max(...world.running.map((each) => each.height));
  await teller.publish('evidence', encodeEvidence(evidence));
  await world.until('all know', () => world.running.every((each) => offendersOf(each).length === 1), 4_000);
  for (const each of world.running) {
    expect(offendersOf(each), each.name).toEqual([simulationKey('c').address]);
    expect(each.height, each.name).toBeLessThanOrEqual(height + 2);
  }
  await world.untilFinal(height + 5, 60_000);
  for (const each of world.running) {
    expect(countsVotesOf(each, 'c', height + 2), each.name).toBe(false);
    expect(each.node.agreement.agreement.quorum).toBe(4);
    expect(await each.internalErrors(), each.name).toBe(0);
  }
  expectOneFinalChain(world.running);
  expect(world.trace.lines().filter((line) => line.includes(' penalized '))).toEqual([]);
});

test('evidence is kept over a restart, and told to a node that was away or is new', async () => {
  const world = openWorld({ nodes: [...'abcd'].map((name) => ({ name, late: name === 'd' })) });
  await world.start();
  await world.untilFinal(3, 60_000, ['a', 'b', 'c']);
  world.node('b').kill();
  const teller = await startHostilePeer(world, { name: 'teller', links: ['a'] });
  await world.until('connected', () => teller.peers().length === 1, 5_000);
  await teller.publish('evidence', encodeEvidence(doubleVote(world, 'c', 2)));
  await world.until('a knows', () => offendersOf(world.node('a')).length === 1, 2_000);
  await world.run(500);
  await teller.stop();
  await world.node('a').restart();
  expect(offendersOf(world.node('a'))).toHaveLength(1);
  await world.node('c').restart();
  expect(offendersOf(world.node('c'))).toHaveLength(1);
  for (const name of ['b', 'd']) await world.node(name).start();
  await world.until('told', () => ['b', 'd'].every((name) => offendersOf(world.node(name)).length === 1), 15_000);
});
