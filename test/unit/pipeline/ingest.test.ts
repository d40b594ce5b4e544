import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeCompactBlock } from '../../../chain/compact-block.ts';
import { signTx } from '../../../chain/sign.ts';
import { decodeTxBatch, encodeTxBatch } from '../../../chain/tx-batch.ts';
import type { Block, Tx } from '../../../chain/types.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import type { OutcomeVerdict } from '../../../node/pipeline/outcome.ts';
import { LANE_LIMITS } from '../../../node/pipeline/priority-queue.ts';
import type { GossipOutcome, Network } from '../../../node/ports.ts';
import { STATUS } from '../../../node/sync/protocols.ts';
import { createInlineVerifier } from '../../../node/verify/inline-verifier.ts';
import {
  blockMessage,
  composeFixture,
  fixtureGenesis,
  mineOn,
  type NodeFixture,
  networkOfOnePeer,
} from '../../node-fixture.ts';
import { alice, bob, miner } from '../chain/chain-fixtures.ts';
import { openMemoryStore, unclosed } from '../store/open-store.ts';
import { HeldVerifier } from './held-verifier.ts';

const genesis = fixtureGenesis([alice.address, bob.address]);

function transfer(nonce: bigint, from = alice): Tx {
  const body = { chainId: genesis.chainId, nonce, to: bob.address, amount: 1n, fee: 1000n, memo: new Uint8Array(0) };
  return signTx(body, from.secretKey);
}

/** Of another sender than the blocks': one that is mined would be refused for its nonce. The signature is another's. */
function forged(nonce: bigint): Uint8Array {
  const bytes = encodeTxBatch([transfer(nonce, bob)]);
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
}

const mine = ({ node }: NodeFixture, txs: readonly Tx[]): Block => mineOn(node, miner.address, txs);

let verifier: HeldVerifier;
let fixture: NodeFixture;
beforeEach(async () => {
  verifier = new HeldVerifier();
  fixture = await composeFixture({ genesis, store: await openMemoryStore(), verifier });
});
afterEach(() => fixture.node.stop());

describe('the spine', () => {
  test('a flood of bad transactions with the verifier delays no block', async () => {
    const bad = forged(1n); // not the nonce that the block uses up
    const flood = Array.from({ length: 900 }, (_, i) => {
      const bytes = bad.slice();
      new DataView(bytes.buffer).setUint32(bytes.length - 40, i); // r: other bytes, the same badness
      return fixture.gossip('tx', bytes);
    });
    await verifier.waitFor(6);
    const block = mine(fixture, [transfer(0n)]);
    const verdict = fixture.gossipBlock(block);
    await verifier.waitFor(7);
    expect(verifier.calls.map(({ priority }) => priority)).toEqual([...Array(6).fill('bulk'), 'urgent']);
    verifier.calls[6]!.answer();
    expect(await verdict).toBe('accept');
    await expect.poll(() => fixture.node.chain.tip.header.id, { timeout: 20_000 }).toBe(block.header.id);

    let answered = 0;
    for (let settled = false; !settled; ) {
      for (; answered < verifier.calls.length; answered++) verifier.calls[answered]!.answer();
      settled = await Promise.race([
        Promise.all(flood).then(() => true),
        verifier.waitFor(answered + 1).then(() => false),
      ]);
    }
    expect(new Set(await Promise.all(flood))).toEqual(new Set(['reject']));
    const { values } = await fixture.metrics.verdicts.get();
    const rejected = values.find(({ labels }) => labels.reason === 'tx/bad-signature');
    expect(rejected).toMatchObject({ value: 900, labels: { kind: 'tx', verdict: 'reject' } });
  });

  test('batches take effect in order of arrival, whichever was checked first', async () => {
    const txs = Array.from({ length: 130 }, (_, i) => transfer(BigInt(i)));
    const verdicts = Promise.all(txs.map((tx) => fixture.gossip('tx', encodeTxBatch([tx]))));
    await verifier.waitFor(2);
    expect(verifier.calls.map(({ items }) => items.length)).toEqual([128, 2]);
    verifier.calls[1]!.answer();
    await Promise.resolve();
    expect(fixture.node.mempool.pool.size).toBe(0);
    verifier.calls[0]!.answer();
    expect(new Set(await verdicts)).toEqual(new Set(['accept']));
    expect(fixture.node.mempool.pool.parkedSize).toBe(0);
  });

  test('a block that is known takes no room of one that is news, however many messages name it', async () => {
    const known = Array.from({ length: 10 }, (_, salt) => {
      const { header } = genesis.block;
      return encodeCompactBlock({ header, coinbase: 0n, salt: BigInt(salt), shortIds: [] });
    });
    const verdicts = known.map((message) => fixture.gossip('block', message));
    const block = fixture.gossipBlock(mine(fixture, []));
    expect(await Promise.all(verdicts)).toEqual(Array(10).fill('ignore'));
    expect(await block).toBe('accept');
    const cut = known[0]!.subarray(0, -1);
    expect(await fixture.gossip('block', cut)).toBe('reject');
  });

  test('who sends a block that the lane has no room for is asked what it has', async () => {
    const asked: string[] = [];
    const network = networkOfOnePeer(new Map());
    const open: Network['open'] = (peer, protocol, signal) => {
      asked.push(`${protocol.name} ${peer}`);
      return network.open(peer, protocol, signal);
    };
    const full = await composeFixture({
      genesis,
      store: await openMemoryStore(),
      verifier,
      network: { ...network, open },
    });
    try {
      const gossip = (from: string, data: Uint8Array): Promise<GossipOutcome> =>
        new Promise((settle) => full.node.ingest.receiveGossip({ kind: 'block', from, data, settle }));
      const noise = Array.from({ length: LANE_LIMITS.block }, (_, at) => gossip(`liar ${at % 4}`, Uint8Array.of(at)));
      expect(await gossip('honest', blockMessage(mine(full, [])))).toBe('unread');
      expect(asked).toEqual([`${STATUS.name} honest`]);
      expect(new Set(await Promise.all(noise))).toEqual(new Set(['reject']));
    } finally {
      await full.node.stop();
    }
  });

  test('a block that waits is looked at though its sender is refused meanwhile; its votes and transactions are not', async () => {
    let isRefused = false;
    const network = { ...networkOfOnePeer(new Map()), isRefused: () => isRefused };
    const refusing = await composeFixture({ genesis, store: await openMemoryStore(), verifier, network });
    try {
      const block = refusing.gossip('block', blockMessage(mine(refusing, [])));
      const vote = refusing.gossip('vote', new Uint8Array(210));
      const batch = refusing.gossip('tx', new Uint8Array(9));
      isRefused = true;
      expect(await Promise.all([block, vote, batch])).toEqual(['accept', 'unread', 'ignore']);
    } finally {
      await refusing.node.stop();
    }
  });

  test('what there is no room for is not read, so that it may come from another peer; but for transactions', async () => {
    const voteOf = (at: number): Uint8Array => {
      const bytes = new Uint8Array(210);
      new DataView(bytes.buffer).setUint32(0, at);
      return bytes;
    };
    const outcomes = Array.from({ length: LANE_LIMITS.vote + 1 }, (_, at) => fixture.gossip('vote', voteOf(at)));
    expect(await outcomes.at(-1)).toBe('unread');
    const batches = Array.from({ length: LANE_LIMITS.tx + 1 }, (_, at) =>
      fixture.gossip('tx', voteOf(at).subarray(0, 9)),
    );
    expect(await batches.at(-1)).toBe('ignore');
    expect(new Set(await Promise.all(outcomes.slice(0, -1)))).toEqual(new Set(['reject']));
    expect(new Set(await Promise.all(batches.slice(0, -1)))).toEqual(new Set(['reject']));
  });

  test('what waits when the node stops is answered, so that nobody waits for ever', async () => {
    const bad = forged(1n);
    for (let i = 0; i < 1_100; i++) {
      const bytes = bad.slice();
      new DataView(bytes.buffer).setUint32(bytes.length - 40, i);
      void fixture.gossip('tx', bytes);
    }
    await verifier.waitFor(8); // as many batches as may be checked at once
    let pulled: OutcomeVerdict | undefined;
    void fixture.node.ingest.receiveTxs([transfer(0n)], 'other').then((verdict) => {
      pulled = verdict;
    });
    const stopped = fixture.node.ingest.stop();
    for (const call of verifier.calls) call.refuse();
    await stopped;
    expect(pulled).toEqual({ kind: 'ignore', reason: 'overloaded' });
  });

  test('what was pulled from a mempool is taken and not published, also beside what is refused', async () => {
    const published: Uint8Array[] = [];
    const quiet = await composeFixture({
      genesis,
      store: await openMemoryStore(),
      verifier: createInlineVerifier(nobleBackend, createSystemClock()),
      publish: async (_kind, data) => {
        published.push(data);
        return { kind: 'queued' };
      },
    });
    const body = { chainId: genesis.chainId, nonce: 0n, to: bob.address, fee: 1000n, memo: new Uint8Array(0) };
    const poor = signTx({ ...body, amount: 2n ** 62n }, bob.secretKey);
    expect(await quiet.node.ingest.receiveTxs([poor, transfer(0n)], 'peer')).toEqual({ kind: 'accept' });
    expect(quiet.node.mempool.pool.size).toBe(1);
    await quiet.node.stop(); // publishes what waits
    expect(published).toEqual([]);
  });

  test('who submits what waits already, under a bad signature, is told that it is bad', async () => {
    const node = await composeFixture({
      genesis,
      store: await openMemoryStore(),
      verifier: createInlineVerifier(nobleBackend, createSystemClock()),
    });
    const { bytes } = transfer(0n);
    expect((await node.node.ingest.submitTx(bytes)).verdict.kind).toBe('accept');
    expect((await node.node.ingest.submitTx(bytes)).verdict).toEqual({ kind: 'ignore', reason: 'tx/known' });
    const spoilt = bytes.slice();
    spoilt[spoilt.length - 1]! ^= 1;
    expect((await node.node.ingest.submitTx(spoilt)).verdict).toEqual({ kind: 'reject', reason: 'tx/bad-signature' });
    await node.node.stop();
  });

  test('what the verifier refuses is ignored as overloaded, counted, and may come again', async () => {
    verifier.isBusy = true;
    const tx = transfer(0n);
    expect(await fixture.node.ingest.submitTx(tx.bytes)).toMatchObject({
      verdict: { kind: 'ignore', reason: 'overloaded' },
    });
    expect(await fixture.gossip('tx', encodeTxBatch([tx]))).toBe('ignore');
    const { values } = await fixture.metrics.queueDropped.get();
    expect(values).toEqual(['api', 'tx'].map((kind) => ({ value: 1, labels: { kind } })));
    verifier.isBusy = false;
    const again = fixture.gossip('tx', encodeTxBatch([tx]));
    await verifier.waitFor(1);
    verifier.calls[0]!.answer();
    expect(await again).toBe('accept');
  });
});

describe('a signature is checked once', () => {
  test('from the mempool into a block', async () => {
    const tx = transfer(0n);
    const first = fixture.gossip('tx', encodeTxBatch([tx]));
    await verifier.waitFor(1);
    verifier.calls[0]!.answer();
    expect(await first).toBe('accept');
    expect(await fixture.gossipBlock(mine(fixture, [tx]))).toBe('accept');
    expect(verifier.calls.flatMap(({ items }) => items).length).toBe(1);
  });

  test('in two competing blocks, when the mempool has let go of it', async () => {
    const tx = transfer(0n);
    const [a, b] = [mine(fixture, [tx]), mine(fixture, [tx, transfer(0n, bob)])];
    const first = fixture.gossipBlock(a);
    await verifier.waitFor(1);
    verifier.calls[0]!.answer();
    expect(await first).toBe('accept');
    const second = fixture.gossipBlock(b);
    await verifier.waitFor(2);
    verifier.calls[1]!.answer();
    expect(await second).toBe('accept');
    expect(verifier.calls.map(({ items }) => items.length)).toEqual([1, 1]);
  });

  test('in a block that was parked until its parent came', async () => {
    const parent = mine(fixture, []);
    const other = await composeFixture({ genesis, store: await openMemoryStore(), verifier: new HeldVerifier() });
    await other.gossipBlock(parent);
    await other.node.chain.idle(); // the verdict comes before the block takes effect
    const tx = transfer(0n);
    const child = mine(other, [tx]);
    await other.node.stop();
    const first = fixture.gossip('tx', encodeTxBatch([tx]));
    await verifier.waitFor(1);
    verifier.calls[0]!.answer();
    expect(await first).toBe('accept');
    expect(await fixture.gossipBlock(child)).toBe('ignore');
    expect(await fixture.gossipBlock(parent)).toBe('accept');
    await expect.poll(() => fixture.node.chain.tip.header.id, { timeout: 5000 }).toBe(child.header.id);
    expect(verifier.calls.flatMap(({ items }) => items).length).toBe(1);
  });
});

test('a node that stops publishes what it has taken from the API, though its batch was still to wait', async () => {
  const published: string[][] = [];
  const node = await composeFixture({
    genesis,
    store: await openMemoryStore(),
    verifier: { verify: (items) => Promise.resolve(items.map((item) => nobleBackend.verify(item))) },
    async publish(_kind, data) {
      const batch = decodeTxBatch(data);
      published.push(batch.ok ? batch.value.map(({ id }) => id) : []);
      return { kind: 'sent', recipients: 1 };
    },
  });
  const txs = Array.from({ length: 5 }, (_, nonce) => transfer(BigInt(nonce)));
  for (const tx of txs) {
    expect((await node.node.ingest.submitTx(tx.bytes)).verdict.kind).toBe('accept');
  }
  await node.node.stop();
  expect(published.flat()).toEqual(txs.map(({ id }) => id));
});

test('a block that the first peer gives while the node still starts is heard by the mempool', async () => {
  const tx = transfer(0n);
  const block = mine(fixture, [tx]);
  const store = await openMemoryStore();
  const inline = createInlineVerifier(nobleBackend, createSystemClock());
  const before = await composeFixture({ genesis, store, verifier: inline });
  expect(before.node.mempool.add(tx, 'api').verdict.kind).toBe('accept');
  expect(await before.node.mempool.journalled(tx.id)).toBe(true);
  // As a network that has listened for a while before its start is over.
  const stored = async () => (await store.load(genesis.chainId))?.tip;
  const start: Network['start'] = async ({ onGossip }) => {
    onGossip({ kind: 'block', from: 'peer', data: blockMessage(block), settle: () => {} });
    await expect.poll(stored, { interval: 1, timeout: 5_000 }).toBe(block.header.id);
  };
  const network = { ...networkOfOnePeer(new Map()), start };
  const { node } = await composeFixture({ genesis, store: unclosed(store), verifier: inline, network });
  await node.chain.idle();
  expect(node.chain.tip.header.id).toBe(block.header.id);
  expect(node.mempool.pool.has(tx.id)).toBe(false);
  await node.stop();
  await before.node.stop();
});
