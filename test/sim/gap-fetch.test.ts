/** What a node misses of a sender holds up none of what the sender sends after it (TX-10). */
import { expect, test } from 'vitest';
import type { Tx } from '../../chain/types.ts';
import { ignore } from '../../chain/verdict.ts';
import { addressToBytes } from '../../crypto/address.ts';
import { SENDER_TXS } from '../../node/exchange/protocols.ts';
import { decodeTxsChunk, encodeSenderTxsRequest } from '../../node/net/wire.ts';
import type { SimNode, World } from '../../sim/world.ts';
import { startHostilePeer } from './hostile-peer.ts';
import { expectHealthy, namesOf, openWorld } from './open-world.ts';

const PER_SECOND = 150;

/** A world in which `a` is sent transactions of so many accounts, in turn, and nobody mines. */
async function setUp(
  accounts = 1,
): Promise<{ world: World; e: SimNode; send: (seconds: number, perSecond?: number) => Promise<Tx[]> }> {
  const world = openWorld({ nodes: namesOf(5).map((name) => ({ name, mine: 'off' })) });
  await world.start();
  await world.run(5_000);
  let sent = 0;
  const send = async (seconds: number, perSecond = PER_SECOND): Promise<Tx[]> => {
    const txs: Tx[] = [];
    for (let slice = 0; slice < 50 * seconds; slice++) {
      for (let at = 0; at < perSecond / 50; at++) {
        const tx = world.transfer(sent++ % accounts);
        txs.push(tx);
        void world.node('a').node.ingest.submitTx(tx.bytes);
      }
      await world.run(20);
    }
    return txs;
  };
  return { world, e: world.node('e'), send };
}

/** Everything that comes to the node is lost there until the function is called. */
function loseAll({ node }: SimNode): () => void {
  const add = node.mempool.add;
  node.mempool.add = () => ({ verdict: ignore('tx/known'), parked: false });
  return () => {
    node.mempool.add = add;
  };
}

async function verdictsOf({ metrics }: SimNode, reason: string): Promise<number> {
  const { values } = await metrics.verdicts.get();
  return values.filter(({ labels }) => labels.reason === reason).reduce((sum, { value }) => sum + value, 0);
}

test('one transaction that is missed has come before any that follows is ignored', async () => {
  const { world, e, send } = await setUp();
  await send(1);
  const restore = loseAll(e);
  const [lost] = await send(0.02);
  await world.run(100);
  restore();
  const after = await send(3);
  expect(e.node.mempool.pool.has(lost!.id)).toBe(true);
  await world.run(200);
  expect(after.filter(({ id }) => !e.node.mempool.pool.has(id))).toEqual([]);
  expect(e.node.mempool.pool.parkedSize).toBe(0);
  expect(await verdictsOf(e, 'tx/nonce-gap')).toBe(0);
  await expectHealthy(world);
});

test('more than can be parked is missed, and comes in pieces while its sender goes on', async () => {
  const { world, e, send } = await setUp();
  const restore = loseAll(e);
  const lost = await send(4);
  restore();
  const after = await send(2);
  await world.run(500);
  expect([...lost, ...after].filter(({ id }) => !e.node.mempool.pool.has(id))).toEqual([]);
  expect(await verdictsOf(e, 'tx/nonce-gap')).toBeGreaterThan(0);
  await expectHealthy(world);
});

test('one batch of ten accounts that is missed has come before any that follows is ignored', async () => {
  const { world, e, send } = await setUp(10);
  const restore = loseAll(e);
  const lost = await send(0.02, 750);
  await world.run(80);
  restore();
  const after = await send(1, 750);
  await world.run(100);
  expect([...lost, ...after].filter(({ id }) => !e.node.mempool.pool.has(id))).toEqual([]);
  expect(e.node.mempool.pool.parkedSize).toBe(0);
  expect(await verdictsOf(e, 'tx/nonce-gap')).toBe(0);
  await expectHealthy(world);
});

test('what was parked when a node stopped, and what came by its own API, is asked for too', async () => {
  const { world, e, send } = await setUp();
  const restore = loseAll(e);
  const [lost] = await send(0.02, 50);
  await world.run(80);
  restore();
  const parked = world.transfer(0);
  await world.clock.runUntilSettled(e.node.ingest.submitTx(parked.bytes), 10_000);
  expect(e.node.mempool.pool.isParked(parked.id)).toBe(true);
  await e.restart();
  expect(e.node.mempool.pool.isParked(parked.id)).toBe(true);
  await world.until('it is there', () => e.node.mempool.pool.has(lost!.id), 2_000);
  await expectHealthy(world);
});

test('the answering side gives what follows one another and no more, and where there is nothing no frame', async () => {
  const { world, send } = await setUp();
  const txs = await send(0.1, 150);
  const port = await startHostilePeer(world, { name: 'asker', links: ['a'] });
  const ask = async (request: Uint8Array): Promise<readonly (readonly Uint8Array[])[]> => {
    const stream = await port.open('a', SENDER_TXS, new AbortController().signal);
    await stream.send(request);
    await stream.close();
    const chunks: (readonly Uint8Array[])[] = [];
    for await (const frame of stream.frames) chunks.push(decodeTxsChunk(frame)!.txs);
    return chunks;
  };
  const from = (fromNonce: bigint, max: number) =>
    world.clock.runUntilSettled(
      ask(encodeSenderTxsRequest({ sender: addressToBytes(txs[0]!.from), fromNonce, max })),
      10_000,
    );
  await world.run(1_000);
  expect(await from(2n, 3)).toEqual([txs.slice(2, 5).map(({ bytes }) => bytes)]);
  expect(await from(10n, 256)).toEqual([txs.slice(10).map(({ bytes }) => bytes)]);
  expect(await from(BigInt(txs.length), 256)).toEqual([]);
  await expect(world.clock.runUntilSettled(ask(Uint8Array.of(1, 2, 3)), 10_000)).rejects.toThrow();
  expect(world.trace.lines().filter((line) => line.includes('penalized asker'))).toHaveLength(1);
});
