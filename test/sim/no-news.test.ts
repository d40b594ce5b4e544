/** What is no news costs its sender nothing to make: no peer may send without end of it. */
import { expect, test } from 'vitest';
import { encodeTxBatch } from '../../chain/tx-batch.ts';
import { startHostilePeer } from './hostile-peer.ts';
import { expectHealthy, namesOf, openWorld } from './open-world.ts';

/** Messages that are no two the same, `perS` a second, until the peer is hung up on or so many have gone. */
async function flood(world: ReturnType<typeof openWorld>, kind: 'tx' | 'vote', make: (at: number) => Uint8Array) {
  const peer = await startHostilePeer(world, { name: 'peer', links: ['a'] });
  await world.until('linked', () => peer.peers().length === 1, 5_000);
  await world.run(2_000);
  let sent = 0;
  for (; sent < 12_000 && peer.peers().length > 0; sent++) {
    await peer.publish(kind, make(sent));
    if (sent % 20 === 19) await world.run(20);
  }
  return { peer, sent };
}

test('a peer that repeats mined transactions in ever new batches is refused, and nobody else', async () => {
  const world = openWorld({ nodes: namesOf(4).map((name) => ({ name })) });
  await world.start();
  const txs = Array.from({ length: 300 }, () => world.transfer(0));
  const a = world.node('a');
  await world.clock.runUntilSettled(Promise.all(txs.map(({ bytes }) => a.node.ingest.submitTx(bytes))), 10_000);
  await world.until('mined', () => a.node.mempool.pool.size === 0, 120_000);
  const order = txs.map((_, at) => at);
  const { peer, sent } = await flood(world, 'tx', (at) => {
    const place = at % (txs.length - 1);
    [order[place], order[place + 1]] = [order[place + 1]!, order[place]!]; // another order, another message
    return encodeTxBatch(order.map((each) => txs[each]!));
  });
  expect(peer.peers()).toEqual([]);
  expect(sent).toBeLessThan(300);
  await world.run(20_000);
  expect(a.network.peers()).toHaveLength(3);
  await expectHealthy(world);
});

test('a peer that sends a known vote with ever new signatures is refused, and nobody else', async () => {
  const world = openWorld({ nodes: namesOf(4).map((name) => ({ name })) });
  await world.start();
  await world.untilFinal(3, 120_000);
  const a = world.node('a');
  const known = a.node.agreement.agreement.votesFrom(a.node.agreement.final.height)[0]!;
  const { peer, sent } = await flood(world, 'vote', (at) => {
    const bytes = known.bytes.slice();
    new DataView(bytes.buffer).setUint32(bytes.length - 8, at);
    return bytes;
  });
  expect(peer.peers()).toEqual([]);
  expect(sent).toBeLessThan(2_000);
  await world.run(20_000);
  expect(a.network.peers()).toHaveLength(3);
  await expectHealthy(world);
});
