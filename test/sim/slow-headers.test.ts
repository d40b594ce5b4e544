/** Headers that take longer than a turn. */
import { expect, test, vi } from 'vitest';
import type * as messages from '../../node/sync/messages.ts';
import { branchOn, EASY, feed } from './chain-builder.ts';
import { liarAnswers, slowBodies, startHostilePeer, statusLike } from './hostile-peer.ts';
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

test('beside a slow download others are asked ever more rarely for the headers that are known from it', async () => {
  const world = openWorld({
    nodes: [{ name: 'm', mine: 'off' as const }],
    params: EASY,
    chainAgeMs: 2_000_000,
  });
  const m = world.node('m');
  const chain = branchOn(world.genesis, world.genesis.entry, 60, { miner: 'net', stepMs: 2_200 });
  const bodies = slowBodies(
    world,
    chain.map(({ block }) => block),
    2_500,
  );
  let given = 0;
  const headers = ({ locator, max }: messages.HeadersRequest) => {
    const at = chain.findLastIndex(({ block }) => locator.includes(block.header.id));
    const after = chain.slice(at + 1, at + 1 + Math.min(max, 10)).map(({ block }) => block.header);
    given += after.length;
    return after;
  };
  const last = chain.at(-1)!.entry;
  const tip = { height: last.header.height, id: last.header.id };
  const answers = liarAnswers({ status: () => statusLike(m, { tip, totalWork: last.totalWork }), headers, bodies });
  for (const name of ['x', 'y', 'z']) await startHostilePeer(world, { name, links: ['m'], answers });
  await m.start();
  await world.until('it has all', () => m.node.chain.tree.has(last.header.id), 600_000);
  expect(given).toBeLessThan(5 * chain.length);
});
