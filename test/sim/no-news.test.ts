/** What is no news costs its sender nothing to make: of no peer is it looked at without end, and no peer is blamed. */
import { expect, test } from 'vitest';
import { encodeTxBatch } from '../../chain/tx-batch.ts';
import type { Tx } from '../../chain/types.ts';
import type { Network } from '../../node/ports.ts';
import type { SimNode, World } from '../../sim/world.ts';
import { startHostilePeer } from './hostile-peer.ts';
import { expectHealthy, namesOf, openWorld } from './open-world.ts';

/** Full batches that a peer may send in one piece: 8,000 units of a KiB, and one more each. */
const BATCHES = 170;

async function openFlood(): Promise<{ readonly world: World; readonly a: SimNode; readonly peer: Network }> {
  const world = openWorld({ nodes: namesOf(4).map((name) => ({ name })) });
  await world.start();
  await world.untilFinal(3, 120_000);
  const peer = await startHostilePeer(world, { name: 'peer', links: ['a'] });
  await world.until('linked', () => peer.peers().length === 1, 5_000);
  await world.run(2_000);
  return { world, a: world.node('a'), peer };
}

/** How many transactions had a verdict. */
async function looked({ metrics }: SimNode): Promise<number> {
  const { values } = await metrics.verdicts.get();
  return values.filter(({ labels }) => labels.kind === 'tx').reduce((sum, { value }) => sum + value, 0);
}

async function expectNobodyBlamed(world: World): Promise<void> {
  expect(world.trace.lines().filter((line) => line.includes(' penalized '))).toEqual([]);
  await world.run(20_000);
  await expectHealthy(world);
}

test.each([
  ['nothing else', (_: World): Tx[] => []],
  ['one that is well signed and never taken', (world: World): Tx[] => [world.transferOnce(1, 9_999)]],
])('mined transactions in ever new batches, and %s: no more are looked at than a burst', async (_, riders) => {
  const { world, a, peer } = await openFlood();
  const txs = Array.from({ length: 300 }, () => world.transfer(0));
  await world.clock.runUntilSettled(Promise.all(txs.map(({ bytes }) => a.node.ingest.submitTx(bytes))), 10_000);
  await world.until('mined', () => a.node.mempool.pool.size === 0, 120_000);
  const rest = riders(world);
  const before = await looked(a);
  const order = txs.map((_tx, at) => at);
  for (let at = 0; at < 400; at++) {
    const place = at % (txs.length - 1);
    [order[place], order[place + 1]] = [order[place + 1]!, order[place]!]; // another order, another message
    await peer.publish('tx', encodeTxBatch([...order.map((each) => txs[each]!), ...rest]));
    if (at % 10 === 9) await world.run(20);
  }
  const seen = ((await looked(a)) - before) / (txs.length + rest.length);
  expect(seen).toBeGreaterThan(100);
  expect(seen).toBeLessThan(BATCHES);
  expect(peer.peers()).toHaveLength(1);
  await expectNobodyBlamed(world);
});

test('who goes on with a known vote under ever new signatures is hung up on, and may come back', async () => {
  const { world, a, peer } = await openFlood();
  const known = a.node.agreement.agreement.votesFrom(a.node.agreement.final.height)[0]!;
  let sent = 0;
  for (; sent < 60_000 && peer.peers().length > 0; sent++) {
    const bytes = known.bytes.slice();
    new DataView(bytes.buffer).setUint32(bytes.length - 8, sent);
    await peer.publish('vote', bytes);
    if (sent % 100 === 99) await world.run(10);
  }
  expect(peer.peers()).toEqual([]);
  expect(sent).toBeLessThan(30_000);
  await world.run(1_000);
  world.hub.link('peer', 'a');
  await world.until('it is back', () => peer.peers().length === 1, 10_000);
  await expectNobodyBlamed(world);
});
