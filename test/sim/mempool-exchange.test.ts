/** What gossip loses, the exchange of mempools mends. */
import { expect, test } from 'vitest';
import { encodeShortTxIds, type ShortTxId, shortTxId } from '../../chain/pool-digest.ts';
import type { Tx } from '../../chain/types.ts';
import { MEMPOOL, TXS } from '../../node/exchange/protocols.ts';
import { decodeTxsRequest, encodeMempoolReply, encodeTxsChunk } from '../../node/net/wire.ts';
import type { StreamProtocol } from '../../node/ports.ts';
import type { World } from '../../sim/world.ts';
import { type Answer, honestHeaders, liarAnswers, startHostilePeer, statusLike } from './hostile-peer.ts';
import { expectHealthy, namesOf, openWorld } from './open-world.ts';

async function submit(world: World, at: string, tx: Tx): Promise<void> {
  const { verdict } = await world.clock.runUntilSettled(world.node(at).node.ingest.submitTx(tx.bytes), 10_000);
  expect(verdict.kind).toBe('accept');
}

const holds = (world: World, name: string, tx: Tx): boolean => world.node(name).node.mempool.pool.has(tx.id);

test('what was sent on the side of a partition that does not mine reaches all after the heal', async () => {
  const world = openWorld({ nodes: namesOf(5).map((name) => ({ name, mine: 'off' })) });
  await world.start();
  await world.run(5_000);
  world.hub.partition([
    ['a', 'b'],
    ['c', 'd', 'e'],
  ]);
  const txs = [world.transfer(0), world.transfer(0), world.transfer(1)];
  for (const tx of txs) await submit(world, 'a', tx);
  await world.run(30_000); // gossip has forgotten them
  expect(holds(world, 'c', txs[0]!)).toBe(false);
  world.hub.healAll();
  await world.until(
    'all have all',
    () => namesOf(5).every((name) => txs.every((tx) => holds(world, name, tx))),
    30_000,
  );
  await expectHealthy(world);
});

test('with one message in three lost, every node has every transaction', async () => {
  const world = openWorld({
    nodes: namesOf(8).map((name) => ({ name, mine: 'off' })),
    link: { latencyMs: [5, 60], jitterMs: 5, loss: 0.33 },
  });
  await world.start();
  await world.run(5_000);
  const txs = Array.from({ length: 60 }, (_, index) => world.transfer(index % 5));
  for (const [index, tx] of txs.entries()) {
    await submit(world, namesOf(8)[index % 5]!, tx);
    await world.run(50);
  }
  await world.until(
    'all have all',
    () => namesOf(8).every((name) => txs.every((tx) => holds(world, name, tx))),
    60_000,
  );
  await expectHealthy(world);
});

test('equal mempools are not exchanged, and nothing is pulled that is on its way', async () => {
  const world = openWorld({ nodes: namesOf(3).map((name) => ({ name, mine: 'off' })) });
  await world.start();
  await world.run(5_000);
  for (let at = 0; at < 20; at++) {
    await submit(world, 'a', world.transfer(0));
    await world.run(300);
  }
  await world.run(10_000);
  for (const { metrics } of world.nodes) {
    const { values } = await metrics.syncRequests.get();
    expect(values.filter(({ labels }) => labels.protocol === 'txs')).toEqual([]);
  }
});

/** A peer beside `a` and `b` that says its mempool is another, offers these ids, and answers with these bytes. */
async function lieAboutMempool(
  ids: readonly ShortTxId[],
  answer: (asked: number) => readonly Uint8Array[],
): Promise<{ world: World; asked: () => number }> {
  const world = openWorld({ nodes: namesOf(2).map((name) => ({ name, mine: 'off' })) });
  await world.start();
  await world.run(3_000);
  let asked = 0;
  const offer: Answer = async (_request, stream) => {
    await stream.send(encodeMempoolReply({ ids: encodeShortTxIds(ids) }));
    await stream.close();
  };
  const give: Answer = async (request, stream) => {
    asked += 1;
    expect(decodeTxsRequest(request)).toBeDefined();
    await stream.send(encodeTxsChunk({ txs: answer(asked) }));
    await stream.close();
  };
  const honest = liarAnswers({
    status: () => statusLike(world.node('a'), { mempool: 'ff'.repeat(8) }),
    headers: honestHeaders(world.node('a')),
    bodies: async (_request, stream) => stream.close(),
  });
  const answers = new Map<StreamProtocol, Answer>([...honest, [MEMPOOL, offer], [TXS, give]]);
  await startHostilePeer(world, { name: 'liar', links: ['a'], answers });
  await world.run(30_000);
  return { world, asked: () => asked };
}

const penaltiesOf = (world: World): string[] =>
  world.trace.lines().flatMap((line) => line.split(' a penalized liar ').slice(1));

test('a peer that sends a transaction with a bad signature is scored off', async () => {
  const { tx } = goodAndBad();
  const { world } = await lieAboutMempool([shortTxId(tx.id)], () => [tx.bytes]);
  expect(penaltiesOf(world)).toEqual(['100 mempool: batch/bad-tx']);
  expect(holds(world, 'a', tx)).toBe(false);
});

test('a peer that sends what was not asked for is scored off', async () => {
  const { tx, other } = goodAndBad();
  const { world } = await lieAboutMempool([shortTxId(tx.id)], () => [other.bytes]);
  expect(penaltiesOf(world)).toEqual(['100 a transaction that was not asked for']);
  expect(holds(world, 'a', other)).toBe(false);
});

test('a transaction that is refused here is not pulled again and again', async () => {
  const { poor } = goodAndBad();
  const { world, asked } = await lieAboutMempool([shortTxId(poor.id)], () => [poor.bytes]);
  expect(asked()).toBe(1);
  expect(penaltiesOf(world)).toEqual([]);
});

function goodAndBad(): { readonly tx: Tx; readonly other: Tx; readonly poor: Tx } {
  const world = openWorld({ nodes: 2 }); // the same genesis
  const good = world.transferOnce(3, 0);
  const bytes = good.bytes.slice();
  bytes[bytes.length - 1]! ^= 1;
  return { tx: { ...good, bytes }, other: world.transferOnce(4, 0), poor: world.transferOnce(5, 0, 2n ** 62n) };
}
