/** What is no news costs its sender nothing to make: no peer may send it without end, and none is blamed for it. */
import { expect, test } from 'vitest';
import { encodeCompactBlock } from '../../chain/compact-block.ts';
import { signVote } from '../../chain/sign.ts';
import { encodeTxBatch } from '../../chain/tx-batch.ts';
import type { Tx } from '../../chain/types.ts';
import type { Network } from '../../node/ports.ts';
import { type SimNode, simulationKey, type World } from '../../sim/world.ts';
import { startHostilePeer } from './hostile-peer.ts';
import { expectHealthy, namesOf, openWorld } from './open-world.ts';

async function openFlood(): Promise<{ readonly world: World; readonly a: SimNode; readonly peer: Network }> {
  const world = openWorld({ nodes: namesOf(4).map((name) => ({ name })) });
  await world.start();
  await world.untilFinal(3, 120_000);
  const peer = await startHostilePeer(world, { name: 'peer', links: ['a'] });
  await world.until('linked', () => peer.peers().length === 1, 5_000);
  await world.run(2_000);
  return { world, a: world.node('a'), peer };
}

async function expectNobodyBlamed(world: World): Promise<void> {
  expect(world.trace.lines().filter((line) => line.includes(' penalized '))).toEqual([]);
  await world.run(20_000);
  await expectHealthy(world);
}

test.each([
  ['nothing else', (_: World): Tx[] => []],
  ['one that is well signed and never taken', (world: World): Tx[] => [world.transferOnce(1, 9_999)]],
])('who goes on with mined transactions in ever new batches, and %s, is hung up on', async (_, riders) => {
  const { world, a, peer } = await openFlood();
  const txs = Array.from({ length: 300 }, () => world.transfer(0));
  await world.clock.runUntilSettled(Promise.all(txs.map(({ bytes }) => a.node.ingest.submitTx(bytes))), 10_000);
  await world.until('mined', () => a.node.mempool.pool.size === 0, 120_000);
  const rest = riders(world);
  const order = txs.map((_tx, at) => at);
  let sent = 0;
  for (; sent < 1_000 && peer.peers().length > 0; sent++) {
    const place = sent % (txs.length - 1);
    [order[place], order[place + 1]] = [order[place + 1]!, order[place]!]; // another order, another message
    await peer.publish('tx', encodeTxBatch([...order.map((each) => txs[each]!), ...rest]));
    if (sent % 10 === 9) await world.run(20);
  }
  expect(peer.peers()).toEqual([]);
  expect(sent).toBeGreaterThan(300);
  expect(sent).toBeLessThan(500);
  await expectNobodyBlamed(world);
});

test('who goes on with a known vote under ever new signatures is hung up on, may come back, and silences nobody', async () => {
  const { world, a, peer } = await openFlood();
  const known = a.node.agreement.rules.votesFrom(a.node.agreement.final.height)[0]!;
  const begin = a.finalHeight;
  let [sent, times] = [0, 0];
  for (; times < 20; sent++) {
    const bytes = known.bytes.slice();
    new DataView(bytes.buffer).setUint32(bytes.length - 8, sent);
    await peer.publish('vote', bytes);
    if (sent % 50 === 49) await world.run(10);
    if (peer.peers().length > 0) continue;
    times += 1;
    world.hub.link('peer', 'a');
    await world.until('it is back', () => peer.peers().length === 1, 10_000);
    await world.run(2_000);
  }
  // The first time a burst, then what has become due since.
  expect(sent).toBeLessThan(4_000 + 20 * 1_200);
  expect(a.finalHeight).toBeGreaterThan(begin + 10);
  await expectNobodyBlamed(world);
});

test('who goes on with a known header under ever new salts is hung up on, and keeps nobody from the blocks of others', async () => {
  const { world, a, peer } = await openFlood();
  const begin = a.finalHeight;
  const { header } = world.genesis.block;
  let sent = 0;
  for (; sent < 5_000 && peer.peers().length > 0; sent++) {
    await peer.publish('block', encodeCompactBlock({ header, coinbase: 0n, salt: BigInt(sent), shortIds: [] }));
    if (sent % 10 === 9) await world.run(50);
  }
  expect(peer.peers()).toEqual([]);
  expect(sent).toBeGreaterThan(2_000); // the burst, and what became due
  expect(sent).toBeLessThan(4_500);
  expect(a.finalHeight).toBeGreaterThan(begin);
  await expectNobodyBlamed(world);
});

test.each([
  ['is hung up on', false],
  ['is not where the node may lack the blocks that make electors of them', true],
])('who goes on with the votes of strangers %s', async (_, isCatchingUp) => {
  const world = openWorld({
    nodes: namesOf(4).map((name) => ({ name })),
    miners: { window: 8, founders: ['a', 'b'] },
  });
  await world.start();
  await world.untilFinal(2, 120_000);
  const peer = await startHostilePeer(world, { name: 'peer', links: ['a'] });
  await world.until('linked', () => peer.peers().length === 1, 5_000);
  const a = world.node('a');
  Object.defineProperty(a.node.sync, 'isCatchingUp', { get: () => isCatchingUp });
  const known = a.node.agreement.rules.votesFrom(a.node.agreement.final.height)[0]!;
  const { chainId } = world.genesis;
  const { bytes } = signVote({ ...known, chainId }, simulationKey('stranger').secretKey);
  for (let sent = 0; sent < 4_500 && peer.peers().length > 0; sent++) {
    const other = bytes.slice();
    new DataView(other.buffer).setUint32(other.length - 8, sent);
    await peer.publish('vote', other);
    if (sent % 50 === 49) await world.run(10);
  }
  expect(peer.peers()).toHaveLength(isCatchingUp ? 1 : 0);
  expect(world.trace.lines().filter((line) => line.includes(' penalized '))).toEqual([]);
});
