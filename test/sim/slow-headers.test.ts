/** Headers that take longer than a turn. */
import { expect, test, vi } from 'vitest';
import { branchOn, EASY, feed } from './chain-builder.ts';
import { openWorld } from './open-world.ts';

// Few headers an answer, in the place of a long chain.
vi.mock(import('../../node/sync/protocols.ts'), async (original) => ({
  ...(await original()),
  MAX_HEADERS_PER_REQUEST: 10 as never,
}));

test('a node on a deep fork finds the better branch over a slow link', async () => {
  const nodes = ['a', 'b', 'c'].map((name) => ({
    name,
    mine: 'off' as const,
    voter: name === 'c',
    late: name === 'c',
  }));
  const world = openWorld({
    nodes,
    params: EASY,
    chainAgeMs: 2_000_000,
    link: { latencyMs: [600, 600], jitterMs: 0, loss: 0 },
  });
  const [a, b] = [world.node('a'), world.node('b')];
  world.hub.partition([['a'], ['b']]);
  await world.start();
  const common = branchOn(world.genesis, world.genesis.entry, 200, { miner: 'common' });
  const parent = common.at(-1)!.entry;
  const mine = branchOn(world.genesis, parent, 320, { miner: 'mine' });
  const theirs = branchOn(world.genesis, parent, 330, { miner: 'theirs' });
  await feed(a, [...common, ...mine]);
  await feed(b, [...common, ...theirs]);
  world.hub.healAll();
  await world.run(600_000);
  expect(a.tipId).toBe(b.tipId);
});
