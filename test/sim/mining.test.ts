import { expect, test } from 'vitest';
import type { World } from '../../sim/world.ts';
import { expectHealthy, openWorld } from './open-world.ts';

function mine(world: World, name: string, count: number): Promise<readonly unknown[]> {
  const mined = world.node(name).node.mining.mine(count, new AbortController().signal);
  return world.clock.runUntilSettled(mined, 120_000);
}

test('on demand: nothing is mined until asked, then as many as asked for, one on top of the other', async () => {
  const world = openWorld({ nodes: ['a', 'b'].map((name) => ({ name, mine: 'on-demand' as const })) });
  await world.start();
  await world.run(20_000);
  expect(world.node('a').height).toBe(0);
  const mined = await mine(world, 'a', 4);
  expect(mined).toMatchObject([1n, 2n, 3n, 4n].map((height) => ({ height })));
  await world.until('b follows', () => world.node('b').height === 4, 5_000);
  await world.run(20_000);
  expect(world.node('a').height).toBe(4);
  await expectHealthy(world);
});

test('interval: a pause between blocks', async () => {
  const world = openWorld({
    nodes: [{ name: 'a', mine: 'interval', mineIntervalMs: 5_000 }],
    params: { blockTimeMs: 1_000 },
  });
  const times: number[] = [];
  await world.start();
  world.node('a').node.events.on('block', () => times.push(world.clock.monotonicMs()));
  await world.until('8 blocks', () => times.length >= 8, 300_000);
  for (const [index, time] of times.entries()) {
    if (index > 0) expect(time - times[index - 1]!).toBeGreaterThanOrEqual(5_000);
  }
  await expectHealthy(world);
});

test('a reorganisation: events in order, accounts moved, transactions back in the mempool and mined again', async () => {
  const world = openWorld({ nodes: ['a', 'b'].map((name) => ({ name, mine: 'on-demand' as const })) });
  await world.start();
  await world.run(2_000);
  world.hub.partition([['a'], ['b']]);
  const tx = world.transfer(0);
  const a = world.node('a').node;
  await world.clock.runUntilSettled(a.ingest.submitTx(tx.bytes), 5_000);
  await mine(world, 'a', 2);
  expect(a.mempool.pool.has(tx.id)).toBe(false);
  expect(a.chain.accounts.get(tx.from).nonce).toBe(1n);
  const oldTip = a.chain.tip.header.id;
  await mine(world, 'b', 5);

  const seen: string[] = [];
  a.events.on('reorg', ({ forkPoint, from, to, abandoned }) => {
    expect(from).toEqual({ height: 2n, id: oldTip });
    expect(to.id).toBe(a.chain.tip.header.id);
    expect(abandoned).toHaveLength(2);
    seen.push(`reorg from ${forkPoint.height}`);
  });
  a.events.on('block', ({ entry }) => seen.push(`block ${entry.header.height}`));
  a.events.on('tx', ({ from }) => seen.push(`tx ${from}`));
  a.events.on('tip', ({ entry }) => seen.push(`tip ${entry.header.height}`));
  world.hub.healAll();
  await world.until('a is on the heavier branch', () => world.node('a').tipId === world.node('b').tipId, 20_000);
  expect(seen[0]).toBe('reorg from 0');
  const move = seen.slice(0, seen.findIndex((line) => line.startsWith('tip ')) + 1);
  expect(move.filter((line) => line.startsWith('block')).length).toBe(Number(move.at(-1)!.split(' ')[1]));
  expect(seen).toContain('tx reorg');
  expect(a.chain.accounts.get(tx.from).nonce).toBe(0n);
  expect(a.mempool.pool.has(tx.id)).toBe(true);
  expect(world.node('a').node.chain.accounts.totalSupply()).toBe(world.node('b').node.chain.accounts.totalSupply());

  await mine(world, 'a', 1);
  expect(a.chain.accounts.get(tx.from).nonce).toBe(1n);
  expect(a.mempool.pool.size).toBe(0);
  await world.until('b too', () => world.node('b').height === 6, 10_000);
  await mine(world, 'b', 2);
  await world.untilFinal(6, 20_000);
  await expectHealthy(world);
});
