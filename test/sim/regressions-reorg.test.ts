/** Branches of hundreds and thousands of blocks: whichever way they come, the node moves, and loses nothing. */
import { expect, test } from 'vitest';
import { HEADERS } from '../../node/sync/protocols.ts';
import type { SimNode, World } from '../../sim/world.ts';
import { blockMessage } from '../node-fixture.ts';
import { type BuiltBlock, branchOn, EASY, feed } from './chain-builder.ts';
import { startHostilePeer } from './hostile-peer.ts';
import { expectHealthy, openWorld } from './open-world.ts';

/** Nodes that neither mine nor vote; the electorate is away. */
function openStill(names: readonly string[]): World {
  return openWorld({
    nodes: [
      ...names.map((name) => ({ name, voter: false, mine: 'off' as const })),
      { name: 'elector', late: true, mine: 'off' as const },
    ],
    params: EASY,
  });
}

/** Time enough for blocks of `height` at the net's pace to lie in the past. */
async function passTime(world: World, height: number): Promise<void> {
  await world.run((height + 10) * world.genesis.params.blockTimeMs);
}

function expectSupply(world: World, sim: SimNode): void {
  const { accounts, tip } = sim.node.chain;
  const allocated = [...world.genesis.accounts.values()].reduce((sum, { balance }) => sum + balance, 0n);
  expect(accounts.totalSupply()).toBe(allocated + tip.header.height * world.genesis.params.blockReward);
}

function stateOf(sim: SimNode): readonly unknown[] {
  return [...sim.node.chain.accounts.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The same after a restart: what is on disk is what was in memory. */
async function expectStored(sim: SimNode): Promise<void> {
  const before = { tip: sim.tipId, accounts: stateOf(sim) };
  await sim.restart();
  expect({ tip: sim.tipId, accounts: stateOf(sim) }).toEqual(before);
}

/** Transfers in the first, a middle and the last block of a branch: among them some deeper than any cache. */
function branches(world: World, depth: number): { readonly old: BuiltBlock[]; readonly better: BuiltBlock[] } {
  const genesis = world.genesis;
  const places = new Map([0, depth >> 1, depth - 1].map((at, account) => [at, [world.transfer(account)]]));
  const old = branchOn(genesis, genesis.entry, depth, { miner: 'old', txs: (at) => places.get(at) ?? [] });
  return { old, better: branchOn(genesis, genesis.entry, depth + 3, { miner: 'better' }) };
}

function expectMoved(world: World, sim: SimNode, old: readonly BuiltBlock[], better: readonly BuiltBlock[]): void {
  expect(sim.tipId).toBe(better.at(-1)!.block.header.id);
  for (const { block } of old) {
    expect(sim.node.chain.tree.get(block.header.id)).toBeDefined();
    for (const tx of block.txs) {
      expect(sim.node.mempool.pool.has(tx.id), `transaction of height ${block.header.height}`).toBe(true);
      expect(sim.node.chain.accounts.get(tx.from).nonce).toBe(0n);
    }
  }
  expectSupply(world, sim);
}

// Deeper ones are left to sync (CMPCT-8).
test.each([127, 128])('a branch that out-works %i blocks, by gossip', async (depth) => {
  const world = openStill(['a']);
  await passTime(world, depth + 3);
  await world.start();
  const a = world.node('a');
  const { old, better } = branches(world, depth);
  await feed(a, old);
  const gossip = await startHostilePeer(world, { name: 'gossip', links: ['a'] });
  await world.until('connected', () => gossip.peers().length === 1, 5_000);
  for (const { block } of better) {
    await gossip.publish('block', blockMessage(block));
    const { id, height } = block.header;
    await world.until(`${height} taken`, () => a.node.chain.tree.get(id) !== undefined, 1_000);
  }
  await world.run(1_000);
  expectMoved(world, a, old, better);
  expect(world.trace.lines().filter((line) => line.includes(' a reorg '))).toHaveLength(1);
  await expectStored(a);
  await expectHealthy(world);
});

test.each([127, 128, 500])('a branch that out-works %i blocks, by sync', async (depth) => {
  const world = openStill(['a', 'b']);
  world.hub.partition([['a'], ['b']]);
  await passTime(world, depth + 3);
  await world.start();
  const [a, b] = [world.node('a'), world.node('b')];
  const { old, better } = branches(world, depth);
  await feed(a, old);
  await feed(b, better);
  world.hub.healAll();
  await world.until('one tip', () => a.tipId === b.tipId, 60_000);
  expectMoved(world, a, old, better);
  expect(stateOf(a)).toEqual(stateOf(b));
  await expectStored(a);
  await expectHealthy(world);
});

test('a fork of 2,100 against 2,400 blocks heals: the headers come in several windows', async () => {
  const [short, long] = [2_100, 2_400];
  const world = openStill(['a', 'b']);
  world.hub.partition([['a'], ['b']]);
  await passTime(world, long);
  await world.start();
  const [a, b] = [world.node('a'), world.node('b')];
  await feed(a, branchOn(world.genesis, world.genesis.entry, short, { miner: 'a' }));
  await feed(b, branchOn(world.genesis, world.genesis.entry, long, { miner: 'b' }));
  const winner = b.tipId;
  world.hub.healAll();
  await world.until('one tip', () => a.tipId === winner && b.tipId === winner, 120_000);
  const asked = world.trace.lines().filter((line) => line.includes(` a open b ${HEADERS.name}`));
  expect(asked.length).toBeGreaterThanOrEqual(2);
  expect(stateOf(a)).toEqual(stateOf(b));
  expectSupply(world, a);
  await expectHealthy(world);
});

test('the transactions of an abandoned branch are published again', async () => {
  const world = openStill(['a', 'b']);
  world.hub.partition([['a'], ['b']]);
  await passTime(world, 5);
  await world.start();
  const [a, b] = [world.node('a'), world.node('b')];
  const tx = world.transfer(0);
  await feed(a, branchOn(world.genesis, world.genesis.entry, 2, { miner: 'a', txs: (at) => (at === 0 ? [tx] : []) }));
  await feed(b, branchOn(world.genesis, world.genesis.entry, 3, { miner: 'b' }));
  expect(b.node.mempool.pool.size).toBe(0);
  world.hub.healAll();
  await world.until('b has heard of it', () => b.node.mempool.pool.has(tx.id), 20_000);
  expect(a.node.mempool.pool.has(tx.id)).toBe(true);
  await expectHealthy(world);
});
