/** What a node has acknowledged is on disk, and what a crash left half-written is finished at the next start. */
import { expect, test } from 'vitest';
import { signTx } from '../../chain/sign.ts';
import type { Tx } from '../../chain/types.ts';
import { nobleBackend } from '../../crypto/noble-backend.ts';
import { createSystemClock } from '../../node/adapters.ts';
import { KIND, rangeOf } from '../../node/store/keys.ts';
import { type Store, StoreError } from '../../node/store/store.ts';
import { createInlineVerifier } from '../../node/verify/inline-verifier.ts';
import { composeFixture, fixtureGenesis } from '../node-fixture.ts';
import { boundMethods as wholeStore } from '../sim/open-world.ts';
import { alice, bob } from './chain/chain-fixtures.ts';
import { FaultyLevel, makeMemory, openMemoryStore } from './store/open-store.ts';
import { buildRealChain, makeTx, openOffline, RECIPIENT, realGenesis, SENDER } from './store/real-chain.ts';
import { databaseOf, examine, makeSoundRecords } from './store/sound-store.ts';

test('a checkpoint whose votes were stored, but not its certificate, is agreed and stored at the next start', async () => {
  const sound = await makeSoundRecords(8);
  const db = await databaseOf(sound);
  const highest = (await db.keys({ ...rangeOf(KIND.certificate), reverse: true, limit: 1 }).all())[0]!;
  await db.del(highest);
  const store = await openMemoryStore(db);
  expect(await store.certificate(7n)).toBeUndefined();
  const node = await openOffline(store);
  await node.agreement.follow();
  node.agreement.start();
  await node.agreement.settled();
  expect(node.agreement.agreed.height).toBe(7n);
  expect((await store.certificate(7n))?.votes).toHaveLength(3);
  await store.close();
  await db.open();
  expect((await examine(db)).faults).toEqual([]);
});

test('a transaction is journalled when the journal says so, also one that came while another was being written', async () => {
  const { slow, written, release } = await holdMempoolWrites();
  const node = await openOffline(slow);
  node.mempool.follow();
  const [first, second] = [makeTx(3n), makeTx(4n)];
  const told: string[] = [];
  const add = (tx: typeof first): Promise<void> => {
    expect(node.mempool.add(tx, 'api').verdict.kind).toBe('accept');
    return node.mempool.journalled(tx.id).then((isKept) => {
      expect(isKept).toBe(true);
      expect(written).toContain(tx.id);
      told.push(tx.id);
    });
  };
  const firstDone = add(first);
  await turns();
  const secondDone = add(second);
  await turns();
  expect(told).toEqual([]);
  release();
  await firstDone;
  await turns();
  expect(told).toEqual([first.id]);
  release();
  await secondDone;
  expect(told).toEqual([first.id, second.id]);
  expect(await node.mempool.journalled(first.id)).toBe(true); // long since: at once
});

test('a node that stops writes one thing after another, and is done when all is written', async () => {
  const { slow, written, release, underway } = await holdMempoolWrites();
  const node = await openOffline(slow);
  node.mempool.follow();
  const [first, second] = [makeTx(3n), makeTx(4n)];
  node.mempool.add(first, 'api');
  await turns();
  node.mempool.add(second, 'api');
  let isStopped = false;
  const stopping = node.mempool.stop().then(() => {
    isStopped = true;
  });
  await turns();
  expect([underway(), written]).toEqual([1, []]);
  release();
  await turns();
  expect([underway(), written, isStopped]).toEqual([1, [first.id], false]);
  release();
  await stopping;
  expect(written).toEqual([first.id, second.id]);
  expect(await node.mempool.journalled(second.id)).toBe(true);
});

test('what comes while the last write of a stop is under way begins none beside it, and is not called journalled', async () => {
  const { slow, written, release, underway } = await holdMempoolWrites();
  const node = await openOffline(slow);
  node.mempool.follow();
  const [first, second, late] = [makeTx(3n), makeTx(4n), makeTx(5n)];
  node.mempool.add(first, 'api');
  await turns();
  node.mempool.add(second, 'api');
  const stopping = node.mempool.stop();
  release();
  await turns();
  expect([underway(), written]).toEqual([1, [first.id]]);
  node.mempool.add(late, 'api');
  await turns();
  expect(underway()).toBe(1);
  release();
  await stopping;
  expect(written).toEqual([first.id, second.id]);
  expect(await node.mempool.journalled(second.id)).toBe(true);
  expect(await node.mempool.journalled(late.id)).toBe(false);
});

/** A node on a chain whose sender has nothing in the mempool, and transactions of that sender. */
async function openEmptied(given?: Store) {
  const store = given ?? (await openMemoryStore(makeMemory()));
  const { chain } = await buildRealChain(store, 2);
  await chain.idle();
  const stored = await store.load(realGenesis.chainId);
  await store.saveMempool(
    [],
    stored!.mempool.map(({ id }) => id),
  );
  const node = await openOffline(store);
  node.mempool.follow();
  const { nonce, balance } = node.chain.accounts.get(SENDER.address);
  const make = (after: number, amount: bigint, fee = 10n): Tx =>
    signTx(
      {
        chainId: realGenesis.chainId,
        nonce: nonce + BigInt(after),
        to: RECIPIENT.address,
        amount,
        fee,
        memo: new Uint8Array(),
      },
      SENDER.secretKey,
    );
  return { store, node, balance, make };
}

test('an acknowledged transaction is there after a crash with those that it stands on, though nobody waited for them', async () => {
  const { store, node, make } = await openEmptied();
  const [last, ...others] = Array.from({ length: 71 }, (_, at) => make(70 - at, 1n));
  for (const tx of others.reverse()) expect(node.mempool.add(tx, 'peer').verdict.kind).toBe('accept');
  expect(node.mempool.add(last!, 'api').verdict.kind).toBe('accept');
  expect(await node.mempool.journalled(last!.id)).toBe(true);
  const again = await openOffline(store);
  expect(again.mempool.pool.size).toBe(71);
  expect(again.mempool.pool.isParked(last!.id)).toBe(false);
});

test('an acknowledged transaction is there after a crash where another that was replaced would leave it no money', async () => {
  const { store, node, balance, make } = await openEmptied();
  const [dear, cheap, acknowledged] = [make(0, balance - 1_000n), make(0, 1n, 100n), make(1, balance - 5_000n)];
  expect(node.mempool.add(dear, 'peer').verdict.kind).toBe('accept');
  expect(await node.mempool.journalled(dear.id)).toBe(true);
  for (const tx of [cheap, acknowledged]) expect(node.mempool.add(tx, 'api').verdict.kind).toBe('accept');
  expect(await node.mempool.journalled(acknowledged.id)).toBe(true);
  const again = await openOffline(store);
  expect([cheap, acknowledged].map(({ id }) => again.mempool.pool.has(id))).toEqual([true, true]);
});

test('what was replaced before it was written never is; and a write says of it that it is gone', async () => {
  const { store, node, make } = await openEmptied();
  const [cheap, dear] = [make(0, 1n, 100n), make(0, 1n, 1_000n)];
  for (const tx of [cheap, dear]) expect(node.mempool.add(tx, 'api').verdict.kind).toBe('accept');
  expect(await node.mempool.journalled(dear.id)).toBe(true);
  const stored = await store.load(realGenesis.chainId);
  expect(stored!.mempool.map(({ id }) => id)).toEqual([dear.id]);
});

test('a transaction that the store refused is not called journalled, until a later write takes it along', async () => {
  const db = new FaultyLevel();
  const store = await openMemoryStore(db);
  const node = await openOffline(store);
  node.mempool.follow();
  db.batchesLeft = 0;
  expect(node.mempool.add(makeTx(0n), 'api').verdict.kind).toBe('accept');
  expect(await node.mempool.journalled(makeTx(0n).id)).toBe(false);
  db.batchesLeft = Number.POSITIVE_INFINITY;
  expect(node.mempool.add(makeTx(1n), 'api').verdict.kind).toBe('accept');
  expect(await node.mempool.journalled(makeTx(1n).id)).toBe(true);
  expect(await node.mempool.journalled(makeTx(0n).id)).toBe(true);
});

test('what was removed while the store refused is removed by a later write', async () => {
  const db = new FaultyLevel();
  const store = await openMemoryStore(db);
  const { node, make } = await openEmptied(store);
  const [cheap, dear, later] = [make(0, 1n, 100n), make(0, 1n, 1_000n), make(1, 1n)];
  node.mempool.add(cheap, 'api');
  expect(await node.mempool.journalled(cheap.id)).toBe(true);
  db.batchesLeft = 0;
  node.mempool.add(dear, 'api');
  expect(await node.mempool.journalled(dear.id)).toBe(false);
  db.batchesLeft = Number.POSITIVE_INFINITY;
  node.mempool.add(later, 'api');
  expect(await node.mempool.journalled(later.id)).toBe(true);
  const stored = await store.load(realGenesis.chainId);
  expect(stored!.mempool.map(({ id }) => id)).toEqual([dear.id, later.id]);
});

test('a store that refuses is told of once, and again when it refuses after a write that it took', async () => {
  const inner = await openMemoryStore(makeMemory());
  let isFull = true;
  const refusal = new StoreError('full', 'no room');
  const store: Store = {
    ...wholeStore(inner),
    saveMempool: (added, removed) => (isFull ? Promise.reject(refusal) : inner.saveMempool(added, removed)),
  };
  const genesis = fixtureGenesis([alice.address]);
  const verifier = createInlineVerifier(nobleBackend, createSystemClock());
  const { node, metrics } = await composeFixture({ genesis, store, verifier });
  const failuresAfter = async (nonce: bigint): Promise<number> => {
    const body = { chainId: genesis.chainId, nonce, to: bob.address, amount: 1n, fee: 1_000n, memo: new Uint8Array() };
    const tx = signTx(body, alice.secretKey);
    node.mempool.add(tx, 'api');
    expect(await node.mempool.journalled(tx.id)).toBe(!isFull);
    return (await metrics.storeFailures.get()).values[0]!.value;
  };
  expect([await failuresAfter(0n), await failuresAfter(1n)]).toEqual([1, 1]);
  isFull = false;
  expect(await failuresAfter(2n)).toBe(1);
  isFull = true;
  expect(await failuresAfter(3n)).toBe(2);
  await node.stop();
});

test.each([
  ['a store that refuses is a failure of the store', new StoreError('full', 'no room'), { store: 1, internal: 0 }],
  ['a mistake of our own is an internal error', new TypeError('not a function'), { store: 0, internal: 1 }],
])('where the mempool cannot be written, %s', async (_what, error, expected) => {
  const inner = await openMemoryStore(makeMemory());
  const store: Store = { ...wholeStore(inner), saveMempool: () => Promise.reject(error) };
  const genesis = fixtureGenesis([alice.address]);
  const { node, metrics } = await composeFixture({
    genesis,
    store,
    verifier: createInlineVerifier(nobleBackend, createSystemClock()),
  });
  const body = { chainId: genesis.chainId, nonce: 0n, to: bob.address, amount: 1n, fee: 1_000n };
  const tx = signTx({ ...body, memo: new Uint8Array() }, alice.secretKey);
  expect(node.mempool.add(tx, 'api').verdict.kind).toBe('accept');
  expect(await node.mempool.journalled(tx.id)).toBe(false);
  const internal = (await metrics.internalErrors.get()).values.reduce((sum, { value }) => sum + value, 0);
  expect({ store: (await metrics.storeFailures.get()).values[0]!.value, internal }).toEqual(expected);
  await node.stop();
});

/** A store with a short chain that writes to its mempool when it is told to, one write each time. */
async function holdMempoolWrites() {
  const store = await openMemoryStore(makeMemory());
  await (await buildRealChain(store, 2)).chain.idle();
  const held: (() => void)[] = [];
  const written: string[] = [];
  const slow: Store = Object.create(store, {
    saveMempool: {
      value: async (added: Parameters<Store['saveMempool']>[0], removed: Parameters<Store['saveMempool']>[1]) => {
        await new Promise<void>((resolve) => held.push(resolve));
        await store.saveMempool(added, removed);
        written.push(...added.map(({ id }) => id));
      },
    },
    ...boundMethods(store),
  });
  return { slow, written, release: () => held.shift()?.(), underway: () => held.length };
}

/** Methods of the store under its own `this`, as it has private fields. */
function boundMethods(store: Store): PropertyDescriptorMap {
  const names = ['load', 'initialize', 'commit', 'block', 'delta', 'voteGuard', 'saveVotes', 'saveAgreement'] as const;
  return Object.fromEntries(names.map((name) => [name, { value: store[name].bind(store) }]));
}

/** Lets everything that can run now run. */
async function turns(): Promise<void> {
  for (let i = 0; i < 10; i += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}
