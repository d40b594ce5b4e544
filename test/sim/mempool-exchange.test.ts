/** What gossip loses, the exchange of mempools mends. */
import { expect, test, vi } from 'vitest';
import { makeTx } from '../../chain/codec.ts';
import { decodeShortTxIds, encodeShortTxIds, type ShortTxId, shortTxId } from '../../chain/pool-digest.ts';
import { signTx } from '../../chain/sign.ts';
import type { Tx } from '../../chain/types.ts';
import { MEMPOOL, TXS } from '../../node/exchange/protocols.ts';
import {
  decodeTxsRequest,
  encodeMempoolReply,
  encodeMempoolRequest,
  encodeTxsChunk,
  encodeTxsRequest,
  MAX_TXS_PER_CHUNK,
} from '../../node/net/wire.ts';
import type { StreamProtocol } from '../../node/ports.ts';
import * as messages from '../../node/sync/messages.ts';
import { STATUS } from '../../node/sync/protocols.ts';
import { simulationKey, type World } from '../../sim/world.ts';
import { branchOn, EASY, feed } from './chain-builder.ts';
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

/** A peer of `a` that holds these transactions and says so, in this order. */
async function startHolder(world: World, txs: readonly Tx[]): Promise<{ readonly asked: () => number }> {
  let times = 0;
  const offer: Answer = async (_request, stream) => {
    await stream.send(encodeMempoolReply({ ids: encodeShortTxIds(txs.map(({ id }) => shortTxId(id))) }));
    await stream.close();
  };
  const give: Answer = async (request, stream) => {
    times += 1;
    const asked = new Set(decodeShortTxIds(decodeTxsRequest(request)!.ids)!);
    const found = txs.filter(({ id }) => asked.has(shortTxId(id)));
    for (let at = 0; at < found.length; at += MAX_TXS_PER_CHUNK) {
      await stream.send(encodeTxsChunk({ txs: found.slice(at, at + MAX_TXS_PER_CHUNK).map(({ bytes }) => bytes) }));
    }
    await stream.close();
  };
  const honest = liarAnswers({
    status: () => statusLike(world.node('a'), { mempool: 'ff'.repeat(8) }),
    headers: honestHeaders(world.node('a')),
    bodies: async (_request, stream) => stream.close(),
  });
  await startHostilePeer(world, {
    name: 'holder',
    links: ['a'],
    answers: new Map([...honest, [MEMPOOL, offer], [TXS, give]]),
  });
  return { asked: () => times };
}

test('what can never be good on this branch is pulled once, however many blocks come', async () => {
  const world = openWorld({ nodes: namesOf(2).map((name) => ({ name, mine: 'off', voter: false })), params: EASY });
  await world.start();
  const [spent, rival] = [world.transferOnce(0, 0, 7n), world.transferOnce(0, 0)];
  const built = branchOn(world.genesis, world.genesis.entry, 5, { miner: 'm', txs: (at) => (at === 0 ? [rival] : []) });
  await feed(world.node('a'), built.slice(0, 1));
  const holder = await startHolder(world, [spent]);
  for (const block of built.slice(1)) {
    await world.run(8_000);
    await feed(world.node('a'), [block]);
  }
  expect(holder.asked()).toBe(1);
  await expectHealthy(world);
});

test('a transaction that was refused for its balance is pulled again when a block has brought the money', async () => {
  const world = openWorld({ nodes: namesOf(2).map((name) => ({ name, mine: 'off', voter: false })), params: EASY });
  await world.start();
  const [poor, body] = [
    simulationKey('poor'),
    { chainId: world.genesis.chainId, nonce: 0n, fee: world.genesis.params.minFee + 1_000n, memo: new Uint8Array() },
  ];
  const spends = signTx({ ...body, to: simulationKey('account 0').address, amount: 1n }, poor.secretKey);
  const pays = signTx({ ...body, to: poor.address, amount: 10_000_000n }, simulationKey('account 0').secretKey);
  await startHolder(world, [spends]);
  await world.run(10_000);
  expect(holds(world, 'a', spends)).toBe(false);
  await feed(world.node('a'), branchOn(world.genesis, world.genesis.entry, 1, { miner: 'm', txs: () => [pays] }));
  await world.until('pulled again', () => holds(world, 'a', spends), 60_000);
  await expectHealthy(world);
});

test('transactions that were refused for a gap in front of them are pulled when it is filled, without a block', async () => {
  const world = openWorld({ nodes: namesOf(2).map((name) => ({ name, mine: 'off' })) });
  await world.start();
  const [first, ...rest] = Array.from({ length: 80 }, (_, nonce) => world.transferOnce(0, nonce));
  await startHolder(world, [...rest, first!]); // the first was replaced, so it comes last
  await world.until('all are here', () => [first!, ...rest].every((tx) => holds(world, 'a', tx)), 20_000);
  await expectHealthy(world);
});

test('a transaction whose stay is over is gone everywhere, whoever gives it up first', async () => {
  const world = openWorld({
    nodes: [
      { name: 'a', mine: 'off' },
      { name: 'b', mine: 'off', late: true },
    ],
  });
  await world.start();
  await world.run(13_000); // the nodes look for what has expired at different times
  await world.node('b').start();
  await world.run(5_000);
  const tx = world.transfer(0);
  await submit(world, 'a', tx);
  await world.run(60_000);
  expect(namesOf(2).map((name) => holds(world, name, tx))).toEqual([true, true]);
  await world.run(3 * 60 * 60 * 1_000);
  expect(namesOf(2).map((name) => holds(world, name, tx))).toEqual([false, false]);
  await expectHealthy(world);
});

test('a peer that says all the time that it has others, and gives none, keeps nobody else from giving them', async () => {
  const world = openWorld({ nodes: namesOf(2).map((name) => ({ name, mine: 'off' })) });
  await world.start();
  await world.run(3_000);
  let asked = 0;
  const answers = new Map<StreamProtocol, Answer>([
    ...liarAnswers({
      status: () => statusLike(world.node('a'), { mempool: 'ff'.repeat(8) }),
      headers: honestHeaders(world.node('a')),
      bodies: async (_request, stream) => stream.close(),
    }),
    [
      MEMPOOL,
      async (_request, stream) => {
        asked += 1;
        await stream.send(encodeMempoolReply({ ids: encodeShortTxIds(['ab'.repeat(8) as ShortTxId]) }));
        await stream.close();
      },
    ],
    [TXS, async (_request, stream) => stream.close()],
  ]);
  const liar = await startHostilePeer(world, { name: 'liar', links: ['a'], answers });
  const tx = world.transfer(0);
  const tell = async (): Promise<void> => {
    const stream = await liar.open('a', STATUS, new AbortController().signal);
    await stream.send(messages.encodeStatus(statusLike(world.node('a'), { mempool: 'ff'.repeat(8) })));
    await stream.close();
    for await (const _reply of stream.frames) break;
  };
  await world.until('connected', () => liar.peers().length === 1, 5_000);
  for (let at = 0; at < 800 && !holds(world, 'a', tx); at++) {
    if (at === 100) world.node('b').node.mempool.add(tx, 'api'); // gossip has lost it
    await world.clock.runUntilSettled(tell(), 1_000);
    await world.run(10);
  }
  expect(asked).toBeGreaterThan(0);
  expect(holds(world, 'a', tx)).toBe(true);
  await expectHealthy(world);
});

test('a pool that is longer than one answer reaches who lacks its end', async () => {
  const world = openWorld({ nodes: namesOf(2).map((name) => ({ name, mine: 'off' })) });
  await world.start();
  const [HELD, LACKED] = [4_400, 900];
  const signature = new Uint8Array(64); // nobody looks at those that both have
  const body = world.transferOnce(0, 0);
  const held = Array.from({ length: HELD }, (_, at) => makeTx({ ...body, nonce: BigInt(at) }, signature));
  const txs = [...held, ...Array.from({ length: LACKED }, (_, at) => world.transferOnce(0, HELD + at))];
  for (const [at, tx] of txs.entries()) {
    if (at < HELD) expect(world.node('a').node.mempool.add(tx, 'api').verdict.kind).toBe('accept');
    expect(world.node('b').node.mempool.add(tx, 'api').verdict.kind).toBe('accept');
  }
  await world.until('a has all', () => world.node('a').node.mempool.pool.size === txs.length, 90_000);
  await expectHealthy(world);
});

test('a peer that asks all the time has the pool searched for it every two seconds', async () => {
  const world = openWorld({ nodes: [{ name: 'a', mine: 'off' }] });
  await world.start();
  const { pool } = world.node('a').node.mempool;
  const tx = world.transfer(0);
  await submit(world, 'a', tx);
  const greedy = await startHostilePeer(world, { name: 'greedy', links: ['a'] });
  await world.until('connected', () => greedy.peers().length === 1, 5_000);
  await world.run(5_000);
  const searches = [vi.spyOn(pool, 'olderThan'), vi.spyOn(pool, 'txs')];
  const ask = async (protocol: StreamProtocol, request: Uint8Array): Promise<void> => {
    const stream = await greedy.open('a', protocol, new AbortController().signal);
    await stream.send(request);
    await stream.close();
    for await (const _frame of stream.frames);
  };
  for (let at = 0; at < 100; at++) {
    const ids = encodeShortTxIds([shortTxId(tx.id)]);
    const requests = [ask(MEMPOOL, encodeMempoolRequest({ digest: new Uint8Array(2048), skip: 0 }))];
    requests.push(ask(TXS, encodeTxsRequest({ ids })));
    await world.clock.runUntilSettled(Promise.all(requests), 1_000);
    await world.run(40);
  }
  const seconds = 100 * 0.15; // each round trip takes less than 110 ms
  for (const search of searches) expect(search.mock.calls.length).toBeLessThanOrEqual(1 + seconds / 2);
  await expectHealthy(world);
});
