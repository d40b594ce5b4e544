import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { describe, expect, test } from 'vitest';
import { makeTx } from '../../../chain/codec.ts';
import { signTx } from '../../../chain/sign.ts';
import type { BlockId, Tx, TxId } from '../../../chain/types.ts';
import { formatAddress } from '../../../crypto/address.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import * as schemas from '../../../node/api/schemas.ts';
import { createApiBackend } from '../../../node/backend/api-backend.ts';
import { StoreError } from '../../../node/store/store.ts';
import { simulationKey } from '../../../sim/world.ts';
import { composeFixture, fixtureGenesis, mineOn, networkOfOnePeer } from '../../node-fixture.ts';
import { branchOn, feed } from '../../sim/chain-builder.ts';
import { startHostilePeer } from '../../sim/hostile-peer.ts';
import { boundMethods, expectHealthy } from '../../sim/open-world.ts';
import { alice, unsigned } from '../chain/chain-fixtures.ts';
import { openMemoryStore } from '../store/open-store.ts';
import { backendOf, openBackend } from './open-backend.ts';

const FOREVER = new AbortController().signal;
const NO_ID = 'ff'.repeat(32);
const account = (index: number): string => formatAddress(simulationKey(`account ${index}`).address);

/** What the backend gives is what the API promises. */
function expectFits<T>(schema: TSchema, value: T): T {
  expect(Value.Errors(schema, value)).toEqual([]);
  return value;
}

const refOf = (header: { readonly height: bigint; readonly id: string }) => ({
  height: header.height.toString(),
  id: header.id,
});

describe('transactions', () => {
  test('are pending, then mined, then final, and each state is told as it is', async () => {
    const { world, a, b, backend, settle, mine } = await openBackend();
    const tx = world.transfer(0, 7n);
    expect(await settle(backend.submitTransaction(tx.bytes))).toEqual({ kind: 'accepted', id: tx.id, parked: false });
    const pending = expectFits(schemas.TransactionStatus, await backend.transaction(tx.id));
    expect(pending).toMatchObject({ id: tx.id, state: 'pending', parked: false, confirmations: 0 });
    expect(pending?.transaction).toMatchObject({ from: account(0), to: account(1), amount: '7', nonce: '0' });
    expect(await settle(backend.submitTransaction(tx.bytes))).toEqual({
      kind: 'known',
      id: tx.id,
      state: 'pending',
      parked: false,
    });
    await world.until('b has it', () => b.node.mempool.pool.has(tx.id), 5_000);

    await mine(1);
    const mined = expectFits(schemas.TransactionStatus, await backend.transaction(tx.id));
    expect(mined).toMatchObject({ state: 'agreed', confirmations: 1, block: { height: '1', id: a.tipId, index: 0 } });
    await mine(2);
    expect(await backend.transaction(tx.id)).toMatchObject({ state: 'final', confirmations: 3 });
    expect(await backend.transaction(NO_ID as TxId)).toBeUndefined();
    await expectHealthy(world);
  });

  test('sent again after it was mined: says so, at once and after a restart', async () => {
    const { world, a, backend, settle, mine } = await openBackend();
    const tx = world.transfer(0);
    await settle(backend.submitTransaction(tx.bytes));
    await mine(1);
    const known = { kind: 'known', id: tx.id, state: 'agreed', parked: false };
    expect(await settle(backend.submitTransaction(tx.bytes))).toEqual(known);
    await mine(1);
    await a.restart();
    const again = backendOf(world, 'a');
    expect(await settle(again.submitTransaction(tx.bytes))).toEqual({ ...known, state: 'final' });
    // Another one with that nonce was never mined.
    const rival = makeTx({ ...tx, amount: tx.amount + 1n }, tx.signature);
    expect(await settle(again.submitTransaction(rival.bytes))).toEqual({
      kind: 'refused',
      reason: 'tx/nonce-used',
      id: rival.id,
    });
    await expectHealthy(world);
  });

  test('a nonce gap parks; the nonce before releases', async () => {
    const { world, backend, settle } = await openBackend();
    const [first, second] = [world.transfer(0), world.transfer(0)];
    expect(await settle(backend.submitTransaction(second.bytes))).toEqual({
      kind: 'accepted',
      id: second.id,
      parked: true,
    });
    expect(await backend.transaction(second.id)).toMatchObject({ state: 'pending', parked: true });
    expect(await settle(backend.submitTransaction(second.bytes))).toMatchObject({ kind: 'known', parked: true });
    expect(await backend.mempool(10)).toMatchObject({ count: 0, parked: 1 });
    await settle(backend.submitTransaction(first.bytes));
    expect(await backend.transaction(second.id)).toMatchObject({ state: 'pending', parked: false });
    const mempool = expectFits(schemas.MempoolInfo, await backend.mempool(1));
    expect(mempool).toMatchObject({ count: 2, parked: 0, bytes: first.bytes.length + second.bytes.length });
    expect(mempool.transactions.map(({ id }) => id)).toEqual([second.id]); // in order of arrival
    await expectHealthy(world);
  });

  test.each<[string, (tx: Tx) => Uint8Array, object]>([
    ['garbage', () => Uint8Array.of(1, 2, 3), { reason: 'tx/malformed', detail: expect.any(String) }],
    ['nothing', () => new Uint8Array(), { reason: 'tx/malformed', detail: expect.any(String) }],
    [
      'no amount',
      (tx) => makeTx({ ...tx, amount: 0n }, tx.signature).bytes,
      { reason: 'tx/zero-amount', id: expect.any(String) },
    ],
    [
      'a bad signature',
      (tx) => makeTx({ ...tx, amount: 2n }, tx.signature).bytes,
      { reason: 'tx/bad-signature', id: expect.any(String) },
    ],
    [
      'more than there is',
      (tx) => makeTx({ ...tx, amount: 10n ** 18n }, tx.signature).bytes,
      { reason: 'tx/balance-low', id: expect.any(String) },
    ],
  ])('refuses %s, and says which rule', async (_what, spoil, expected) => {
    const { world, backend, settle } = await openBackend();
    const answer = await settle(backend.submitTransaction(spoil(world.transfer(0))));
    expect(answer).toEqual({ kind: 'refused', ...expected });
    await expectHealthy(world);
  });

  test('a replaced one is dropped, and the reason is told', async () => {
    const { world, backend, settle } = await openBackend();
    const cheap = world.transfer(0);
    await settle(backend.submitTransaction(cheap.bytes));
    const dear = signTx({ ...cheap, fee: cheap.fee * 2n }, simulationKey('account 0').secretKey);
    expect(await settle(backend.submitTransaction(dear.bytes))).toMatchObject({ kind: 'accepted' });
    const dropped = expectFits(schemas.TransactionStatus, await backend.transaction(cheap.id));
    expect(dropped).toEqual({
      id: cheap.id,
      state: 'dropped',
      parked: false,
      reason: 'tx/replaced',
      confirmations: 0,
    });
  });

  test('a full queue asks to come again', async () => {
    const { world, backend, settle } = await openBackend();
    const tx = world.transfer(0);
    const answers = await settle(Promise.all(Array.from({ length: 5_000 }, () => backend.submitTransaction(tx.bytes))));
    expect(answers.filter(({ kind }) => kind === 'overloaded')[0]).toEqual({ kind: 'overloaded', retryAfterS: 1 });
    expect(answers.filter(({ kind }) => kind === 'accepted')).toHaveLength(1);
  });
});

describe('accounts', () => {
  test('a transfer that waits moves the pending nonce alone; mined, it moves balance and nonce', async () => {
    const { world, a, backend, settle, mine } = await openBackend();
    const { address } = simulationKey('account 0');
    const before = expectFits(schemas.AccountInfo, await backend.account(address));
    expect(before).toEqual({
      address: account(0),
      balance: '1000000000000',
      nonce: '0',
      pendingNonce: '0',
      waiting: { transactions: 0, parked: 0, amount: '0' },
    });
    const tx = world.transfer(0, 5n);
    await settle(backend.submitTransaction(tx.bytes));
    expect(await backend.account(address)).toMatchObject({
      nonce: '0',
      pendingNonce: '1',
      waiting: { transactions: 1, parked: 0, amount: `${5n + tx.fee}` },
    });
    await mine(1);
    const balance = (1_000_000_000_000n - 5n - tx.fee).toString();
    expect(await backend.account(address)).toMatchObject({ balance, nonce: '1', pendingNonce: '1' });
    const miner = await backend.account(simulationKey('a').address);
    expect(miner.balance).toBe((world.genesis.params.blockReward + tx.fee).toString());
    expect(await backend.account(simulationKey('nobody').address)).toMatchObject({ balance: '0', nonce: '0' });
    expect(a.node.chain.accounts.get(address).nonce).toBe(1n);
  });

  test('what waits behind a gap is seen, and why the balance does not cover another', async () => {
    const { world, backend, settle } = await openBackend();
    const { address } = simulationKey('account 0');
    const mistyped = world.transferOnce(0, 30, 900_000_000_000n);
    expect(await settle(backend.submitTransaction(mistyped.bytes))).toMatchObject({ kind: 'accepted', parked: true });
    const second = await settle(backend.submitTransaction(world.transferOnce(0, 0, 200_000_000_000n).bytes));
    expect(second).toMatchObject({ kind: 'refused', reason: 'tx/balance-low' });
    expect(await backend.account(address)).toMatchObject({
      balance: '1000000000000',
      pendingNonce: '0',
      waiting: { transactions: 1, parked: 1, amount: `${900_000_000_000n + mistyped.fee}` },
    });
  });

  test('history: newest first, both sides, in pages that join without a gap', async () => {
    const { world, backend, settle, mine } = await openBackend();
    const sent: Tx[] = [];
    for (let block = 0; block < 3; block++) {
      for (const index of [0, 0, 1]) {
        const tx = world.transfer(index);
        sent.push(tx);
        await settle(backend.submitTransaction(tx.bytes));
      }
      await mine(1);
    }
    const { address } = simulationKey('account 1'); // receives six, sends three
    const all = expectFits(schemas.AccountHistory, await backend.history(address, 100, undefined));
    expect(all.next).toBeUndefined();
    expect(new Set(all.entries.map(({ id }) => id))).toEqual(new Set(sent.map(({ id }) => id)));
    expect(all.entries.map(({ direction }) => direction).sort()).toEqual([
      ...Array.from({ length: 6 }, () => 'in'),
      ...Array.from({ length: 3 }, () => 'out'),
    ]);
    expect(all.entries.map(({ block }) => block.height)).toEqual([...'333222111']);
    expect(all.entries.map(({ state }) => state)).toEqual([
      ...Array.from({ length: 3 }, () => 'agreed'),
      ...Array.from({ length: 6 }, () => 'final'),
    ]);

    const pages: string[] = [];
    let next: string | undefined;
    do {
      const [height, index] = next?.split('.') ?? [];
      const before = height === undefined ? undefined : { height: BigInt(height), index: Number(index) };
      const page = await backend.history(address, 2, before);
      pages.push(...page.entries.map(({ id }) => id));
      next = page.next;
    } while (next !== undefined);
    expect(pages).toEqual(all.entries.map(({ id }) => id));
    expect((await backend.history(address, 100, { height: 2n })).entries.map(({ block }) => block.height)).toEqual([
      ...'111',
    ]);
    expect(await backend.history(simulationKey('nobody').address, 10, undefined)).toMatchObject({ entries: [] });
  });
});

describe('blocks', () => {
  test('by height, by id, in pages, and off the main chain', async () => {
    const { world, a, backend, settle, mine } = await openBackend();
    const tx = world.transfer(0);
    await settle(backend.submitTransaction(tx.bytes));
    await mine(4);
    const side = branchOn(world.genesis, a.node.chain.tree.mainAt(3n)!, 1, { miner: 'side' });
    await feed(a, side);

    const first = expectFits(schemas.BlockInfo, await backend.block({ height: 1n }));
    expect(first).toMatchObject({ height: '1', parent: world.genesis.chainId, txCount: 1, state: 'final' });
    expect(first).toMatchObject({ confirmations: 4, miner: formatAddress(simulationKey('a').address) });
    expect(first?.transactions.map(({ id }) => id)).toEqual([tx.id]);
    expect(await backend.block({ id: first!.id as BlockId })).toEqual(first);
    expect(await backend.block({ height: 4n })).toMatchObject({ id: a.tipId, state: 'agreed', confirmations: 1 });
    expect(await backend.block({ height: 0n })).toMatchObject({ state: 'final', txCount: 0 });
    expect(await backend.block({ id: side[0]!.block.header.id })).toMatchObject({ state: 'side', confirmations: 0 });
    expect(await backend.block({ height: 5n })).toBeUndefined();
    expect(await backend.block({ id: NO_ID as BlockId })).toBeUndefined();

    const page = expectFits(schemas.BlockList, await backend.blocks(undefined, 3));
    expect(page.blocks.map(({ height }) => height)).toEqual([...'432']);
    expect(page.next).toBe('1');
    const rest = await backend.blocks(1n, 3);
    expect(rest.blocks.map(({ height }) => height)).toEqual([...'10']);
    expect(rest.next).toBeUndefined();
    expect((await backend.blocks(99n, 1)).blocks[0]?.id).toBe(a.tipId);
    expect(backend.head()).toEqual(refOf(a.node.chain.tip.header));
  });
});

describe('the node', () => {
  test('tip: what is agreed and final, by whose votes', async () => {
    const { a, backend, mine } = await openBackend();
    await mine(20);
    const tip = expectFits(schemas.TipInfo, await backend.tip());
    expect(tip).toMatchObject({ stalled: false, n: 1, quorum: 1, offenders: [] });
    expect(tip.tip).toEqual(refOf(a.node.chain.tip.header));
    expect([tip.agreed.height, tip.final.height]).toEqual(['20', '19']);
    expect(tip.votes.map(({ height }) => Number(height))).toEqual(Array.from({ length: 16 }, (_, at) => 20 - at));
    for (const { height, links } of tip.votes) {
      const { id } = a.node.chain.tree.mainAt(BigInt(height))!.header;
      expect(links).toMatchObject([
        { target: { height, id }, voters: [formatAddress(simulationKey('a').address)], agreed: true },
      ]);
    }
    expect(new Set(tip.votes.flatMap(({ links }) => links.map(({ source }) => source.height))).size).toBe(16);
  });

  test('tip: stalled when the chain grows and agreement does not', async () => {
    const { world, b } = await openBackend();
    world.node('a').kill();
    const backend = backendOf(world, 'b');
    await world.run(30_000);
    const blocks = branchOn(world.genesis, world.genesis.entry, 6, { miner: 'b' });
    await feed(b, blocks.slice(0, 5));
    expect(await backend.tip()).toMatchObject({ stalled: false, votes: [] });
    await feed(b, blocks.slice(5));
    expect(await backend.tip()).toMatchObject({ stalled: true, votes: [] });
  });

  test('uptime counts the time that has passed, also where the wall clock is set back', async () => {
    const { world } = await openBackend();
    const { clock } = world;
    let setBackMs = 0;
    const backend = backendOf(world, 'a', {
      nowMs: () => clock.nowMs() - setBackMs,
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, fn) => clock.after(delayMs, fn),
      sleep: (delayMs, signal) => clock.sleep(delayMs, signal),
    });
    await world.run(3_000);
    setBackMs = 3_600_000;
    expect(await backend.status()).toMatchObject({ uptimeMs: 3_000, nowMs: clock.nowMs() - setBackMs });
  });

  test('status, identity, genesis and readiness', async () => {
    const { world, a, backend, settle, mine } = await openBackend();
    await mine(2);
    await settle(backend.submitTransaction(world.transfer(0).bytes));
    const status = expectFits(schemas.NodeStatus, await backend.status());
    expect(status).toMatchObject({
      name: 'the node a',
      version: '1.2.3',
      peerId: 'a',
      addresses: ['/memory/a'],
      network: { name: 'simulation', chainId: world.genesis.chainId, voters: 1, blockTimeMs: 2_000 },
      nowMs: world.clock.nowMs(),
      ready: true,
      missing: [],
      tip: { height: '2' },
      agreed: { height: '2' },
      final: { height: '1' },
      totalWork: a.node.chain.tip.totalWork.toString(),
      syncing: false,
      peers: 1,
      mempool: { count: 1, parked: 0 },
      mining: { mode: 'on-demand', address: formatAddress(simulationKey('a').address), blocks: 2 },
      voting: { address: formatAddress(simulationKey('a').address), elector: true },
      gossip: { messages: 3, copies: 5, txs: 7, txCopies: 9 },
      signatures: 'noble',
      internalErrors: 0,
    });
    await world.run(3_000);
    expect((await backend.status()).uptimeMs).toBe(status.uptimeMs + 3_000);
    expect(backend.identity).toEqual({
      peerId: 'a',
      name: 'the node a',
      network: 'simulation',
      chainId: world.genesis.chainId,
    });
    expect(backend.genesis).toBe(world.genesis.doc);
    expect(expectFits(schemas.Readiness, backend.readiness())).toEqual({ ready: true, missing: [] });
    world.node('b').kill();
    expect(backend.readiness().ready).toBe(true); // its mesh may be empty for a moment
    await world.run(2_000);
    expect(backend.readiness().missing).toContain('mesh: no peer on topic tx');
    expect(a.isRunning).toBe(true);
    const follower = await openBackend().then(({ world: other }) => backendOf(other, 'b').status());
    expect(follower.voting).toEqual({ elector: false });
    expect(follower.mining.mode).toBe('off');
  });

  test('peers: listed, added by address, hung up on', async () => {
    const { world, backend, settle } = await openBackend();
    const list = expectFits(schemas.PeerList, await backend.peers());
    expect(list).toMatchObject({
      self: 'a',
      peers: [{ id: 'b', address: '/memory/b', mesh: ['tx', 'block', 'vote', 'evidence'] }],
    });
    await startHostilePeer(world, { name: 'c', links: [] });
    expect(await settle(backend.connectPeer('/memory/c'))).toEqual({ kind: 'added' });
    const ids = async (): Promise<readonly string[]> => (await backend.peers()).peers.map(({ id }) => id);
    await world.run(2_000);
    expect(await ids()).toEqual(['b', 'c']);
    expect(await backend.connectPeer('nonsense')).toEqual({
      kind: 'bad-address',
      detail: 'malformed address nonsense',
    });
    expect(await backend.disconnectPeer('c')).toBe(true);
    expect(await ids()).toEqual(['b']);
    expect(await backend.disconnectPeer('nobody')).toBe(false);
  });

  test('mines on demand, as many as asked for, and not in another mode', async () => {
    const { world, a, backend, settle } = await openBackend();
    const outcome = await settle(backend.mine(3, FOREVER));
    const ids = [1n, 2n, 3n].map((height) => refOf(a.node.chain.tree.mainAt(height)!.header));
    expect(outcome).toEqual({ kind: 'mined', blocks: ids });
    expect(await backendOf(world, 'b').mine(1, FOREVER)).toMatchObject({
      kind: 'refused',
      detail: expect.stringContaining('on-demand'),
    });
    expect(await settle(backend.mine(3, AbortSignal.abort()))).toEqual({ kind: 'mined', blocks: [] });
  });

  test('a full disk: mining stops with a clear error and publishes nothing; with room again it mines', async () => {
    let isFull = false;
    const { world, a, backend, settle } = await openBackend({
      wrapStore: (name, store) => ({
        ...boundMethods(store),
        commit: (change) =>
          isFull && name === 'a' ? Promise.reject(new StoreError('full', 'no space left')) : store.commit(change),
      }),
    });
    const heard: string[] = [];
    const ear = await startHostilePeer(world, {
      name: 'ear',
      links: ['a'],
      onGossip(message) {
        message.settle('ignore');
        heard.push(message.kind);
      },
    });
    await world.until('connected', () => ear.peers().length === 1, 5_000);
    isFull = true;
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(await settle(backend.mine(5, FOREVER))).toEqual({ kind: 'refused', detail: 'no space left' });
    }
    await world.run(10_000);
    expect(heard).toEqual([]);
    expect(a.height).toBe(0);
    expect(backend.readiness().missing).toContain('store: no space left');
    expect(await backend.submitTransaction(world.transfer(0).bytes)).toEqual({
      kind: 'unavailable',
      code: 'disk-full',
      detail: 'no space left',
    });
    expect(await a.internalErrors()).toBe(0);
    isFull = false;
    expect(await settle(backend.mine(2, FOREVER))).toMatchObject({ kind: 'mined', blocks: [{}, {}] });
    await world.run(2_000);
    expect(heard.filter((kind) => kind === 'block')).toHaveLength(2);
    expect(backend.readiness()).toEqual({ ready: true, missing: [] });
  });

  test('tells every event in the API’s own form, until it is disposed of', async () => {
    const { world, a, b, backend, settle, mine } = await openBackend();
    const seen: schemas.ChainEvent[] = [];
    const dispose = backend.subscribe(
      (event) => seen.push(event),
      () => true,
    );
    const tx = world.transfer(0);
    await settle(backend.submitTransaction(tx.bytes));
    await mine(2);
    for (const event of seen) expectFits(schemas.ChainEvent, event);
    expect(seen.map(({ type }) => type)).toEqual(['tx', 'block', 'agreed', 'block', 'agreed', 'final']);
    expect(seen[0]).toMatchObject({ type: 'tx', id: tx.id, state: 'pending', source: 'api', parked: false });
    expect(seen[1]).toMatchObject({ type: 'block', height: '1', source: 'mined', txCount: 1, transactions: [tx.id] });
    expect(seen[2]).toMatchObject({ type: 'agreed', height: '1', votes: 1, n: 1, source: { height: '0' } });
    expect(seen[5]).toMatchObject({ type: 'final', height: '1' });

    // On the follower: blocks come from a peer; a branch is given up for a better one.
    const events: schemas.ChainEvent[] = [];
    world.node('a').kill();
    await world.run(30_000);
    const later = world.transfer(1);
    const tip = b.node.chain.tip;
    backendOf(world, 'b').subscribe(
      (event) => events.push(event),
      () => true,
    );
    const old = branchOn(world.genesis, tip, 1, { miner: 'old', txs: () => [later] });
    const better = branchOn(world.genesis, tip, 2, { miner: 'better' });
    await feed(b, [...old, ...better]);
    for (const event of events) expectFits(schemas.ChainEvent, event);
    expect(events.map(({ type }) => type)).toEqual(['block', 'reorg', 'block', 'block', 'tx']);
    expect(events[1]).toEqual({
      type: 'reorg',
      forkPoint: refOf(tip.header),
      from: refOf(old[0]!.block.header),
      to: refOf(better[1]!.block.header),
      abandonedBlocks: [old[0]!.block.header.id],
      abandonedTransactions: [later.id],
    });
    expect(events[2]).toMatchObject({ type: 'block', source: 'reorg' }); // it was on the side branch before
    expect(events[3]).toMatchObject({ type: 'block', source: 'peer' });
    expect(events[4]).toMatchObject({ type: 'tx', id: later.id, source: 'reorg' });
    const count = seen.length;
    dispose();
    await a.start();
    await world.run(1_000);
    expect(seen).toHaveLength(count);
  });
});

test('what asks for parts of old blocks has none decoded whole: it would be a tenth of a second each', async () => {
  const whole: BlockId[] = [];
  const lab = await openBackend({
    wrapStore: (_name, store) => ({
      ...boundMethods(store),
      block: (id) => {
        whole.push(id);
        return store.block(id);
      },
    }),
  });
  const { world, a, settle, mine, backend } = lab;
  const tx = world.transfer(0);
  await settle(backend.submitTransaction(tx.bytes));
  await mine(4);
  await a.restart(); // nothing but the tip is in memory
  whole.length = 0;
  const again = backendOf(world, 'a');
  expect((await settle(again.blocks(undefined, 100))).blocks.map(({ txCount }) => txCount)).toEqual([0, 0, 0, 1, 0]);
  expect((await settle(again.history(tx.from, 100, undefined))).entries.map(({ id }) => id)).toEqual([tx.id]);
  expect(await settle(again.transaction(tx.id))).toMatchObject({ transaction: { id: tx.id, nonce: '0' } });
  expect(await settle(again.submitTransaction(tx.bytes))).toMatchObject({ kind: 'known' });
  expect(whole).toEqual([]);
});

test('a full block is written out in slices, between which the event loop has its turn', async () => {
  const net = fixtureGenesis([alice.address]);
  const store = await openMemoryStore();
  const verifier = { verify: async (items: readonly unknown[]) => items.map(() => true) };
  const { node } = await composeFixture({ genesis: net, store, verifier });
  const signature = new Uint8Array(64).fill(1);
  const txs = Array.from({ length: 300 }, (_, nonce) =>
    makeTx(unsigned(alice, { chainId: net.chainId, nonce: BigInt(nonce), amount: 1n, fee: 1n }), signature),
  );
  expect(await node.chain.receiveBlock(mineOn(node, alice.address, txs), 'peer')).toMatchObject({ kind: 'accept' });
  let turns = 0;
  const backend = createApiBackend({
    node,
    network: networkOfOnePeer(new Map()),
    store,
    clock: createSystemClock(),
    name: 'fixture',
    version: '1.2.3',
    genesisDoc: net.doc,
    voter: undefined,
    signatureBackend: 'noble',
    gossipCounts: async () => ({ messages: 0, copies: 0, txs: 0, txCopies: 0 }),
    internalErrors: async () => 0,
    giveWay: async () => {
      turns += 1;
    },
  });
  const block = expectFits(schemas.BlockInfo, await backend.block({ height: 1n }));
  expect(block?.transactions.map(({ id }) => id)).toEqual(txs.map(({ id }) => id));
  expect(turns).toBe(2); // 128 and 128 and 44
  await node.stop();
});

test('a page of history reads each of its blocks once', async () => {
  const read: BlockId[] = [];
  const { world, b } = await openBackend({
    wrapStore: (name, store) => ({
      ...boundMethods(store),
      encodedBlock: (id) => {
        if (name === 'b') read.push(id);
        return store.encodedBlock(id);
      },
    }),
  });
  world.node('a').kill();
  const built = branchOn(world.genesis, world.genesis.entry, 4, {
    miner: 'old',
    txs: (at) => (at === 3 ? [] : Array.from({ length: 5 }, () => world.transfer(0))),
  });
  await feed(b, built);
  await b.restart(); // nothing but the tip is in memory
  const ids = built.slice(0, 3).map(({ block }) => block.header.id);
  const backend = backendOf(world, 'b');
  read.length = 0;
  const page = await backend.history(simulationKey('account 0').address, 100, undefined);
  expect(page.entries).toHaveLength(15);
  expect(read).toEqual(ids.toReversed());
  read.length = 0;
  await backend.history(simulationKey('account 0').address, 7, undefined);
  expect(read).toEqual(ids.slice(1).toReversed());
});

test('a page of blocks ends where the bodies were pruned, and names no next one', async () => {
  const pruned = new Set<BlockId>();
  const lab = await openBackend({
    wrapStore: (_name, store) => ({
      ...boundMethods(store),
      encodedBlock: (id) => (pruned.has(id) ? Promise.resolve(undefined) : store.encodedBlock(id)),
    }),
  });
  const { world, a, settle, mine } = lab;
  await mine(6);
  for (const height of [1n, 2n, 3n]) pruned.add(a.node.chain.tree.mainAt(height)!.header.id);
  await a.restart(); // what it has in memory is not pruned
  const backend = backendOf(world, 'a');
  const heights = async (from: bigint, limit: number) => {
    const { blocks, next } = await settle(backend.blocks(from, limit));
    return [blocks.map(({ height }) => height), next];
  };
  expect(await heights(6n, 2)).toEqual([['6', '5'], '4']);
  expect(await heights(5n, 4)).toEqual([['5', '4'], undefined]);
  expect(await heights(3n, 4)).toEqual([[], undefined]);
});
