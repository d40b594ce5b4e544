import { expect, test } from 'vitest';
import { DEFAULT_MEMPOOL_BYTES, Mempool, mempoolLimits } from '../../../chain/mempool.ts';
import type { Tx, TxId } from '../../../chain/types.ts';
import type { Address } from '../../../crypto/address.ts';
import { bytesToHex } from '../../../crypto/bytes.ts';
import type { ChainService } from '../../../node/chain-service.ts';
import { EventBus } from '../../../node/events.ts';
import { GapFetch } from '../../../node/exchange/gap-fetch.ts';
import { createMetrics } from '../../../node/metrics.ts';
import {
  decodeSenderTxsRequest,
  encodeTxsChunk,
  MAX_TXS_PER_CHUNK,
  type SenderTxsRequestMessage,
} from '../../../node/net/wire.ts';
import type { OutcomeVerdict } from '../../../node/pipeline/outcome.ts';
import type { FrameStream, PeerKey } from '../../../node/ports.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { silentLogger } from '../../loggers.ts';
import { blockOf, everybody, genesisEntry, senderAt, txOf } from '../../tree-fixtures.ts';

const RICH = everybody({ balance: 10_000_000n, nonce: 0n });
const SENDER = 0;

interface Asked extends SenderTxsRequestMessage {
  readonly peer: PeerKey;
  readonly atMs: number;
}

/** A fetch, and connected peers that answer with what `answers` has for them: transactions, none by default, or never. */
function setUp({ peers = ['p'], maxBytes = DEFAULT_MEMPOOL_BYTES }: { peers?: string[]; maxBytes?: number } = {}) {
  const clock = new VirtualClock(0);
  const pool = new Mempool(mempoolLimits(maxBytes));
  const expired = new Set<TxId>();
  const answers = new Map<PeerKey, (asked: Asked) => readonly Tx[] | 'slow' | 'stall'>();
  const asked: Asked[] = [];
  const penalties: string[] = [];
  const add = (tx: Tx): void => void pool.add(tx, RICH, clock.nowMs());
  const state = { mayAsk: true, verdict: { kind: 'accept' } as OutcomeVerdict };
  const open = async (peer: PeerKey, _protocol: unknown, signal: AbortSignal): Promise<FrameStream> => {
    let request: Asked | undefined;
    return {
      peer,
      frames: (async function* () {
        const txs = answers.get(peer)?.(request!) ?? [];
        if (txs === 'stall') {
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        } else if (txs === 'slow') {
          await new Promise<void>((resolve) => clock.after(2_500, resolve)); // and nothing
        } else if (txs.length > 0) yield encodeTxsChunk({ txs: txs.map(({ bytes }) => bytes) });
      })(),
      async send(frame) {
        request = { ...decodeSenderTxsRequest(frame)!, peer, atMs: clock.monotonicMs() };
        asked.push(request);
      },
      close: async () => {},
      abort() {},
    };
  };
  const onFailure = (error: unknown): void => {
    throw error;
  };
  const events = new EventBus(onFailure);
  const fetch = new GapFetch({
    events,
    hasExpired: (id) => expired.has(id),
    onFailure,
    network: { open, penalize: (peer, points, why) => void penalties.push(`${points} ${peer}: ${why}`) },
    clock,
    chain: { accounts: RICH } as unknown as Pick<ChainService, 'accounts'>,
    mempool: { pool },
    metrics: createMetrics({ processMetrics: false }),
    logger: silentLogger,
    receiveTxs: async (txs) => {
      if (state.verdict.kind === 'accept') txs.forEach(add);
      return state.verdict;
    },
    mayAsk: () => state.mayAsk,
  });
  fetch.follow();
  for (const peer of peers) fetch.onPeerConnected(peer);
  /** As the lane does it. */
  const hear = (tx: Tx, from: PeerKey | undefined): void => {
    add(tx);
    fetch.onGap(tx, from);
  };
  /** A block that these senders had transactions in. */
  const block = (...senders: readonly number[]): void => {
    const txs = senders.map((sender) => txOf({ sender, nonce: 99n }));
    events.emit('tip', { entry: genesisEntry(), disconnected: [], connected: [blockOf(txs)] });
  };
  const drop = (tx: Tx): void => {
    pool.drop(tx.id, 'tx/expired');
    events.emit('tx-dropped', { tx, reason: 'tx/expired' });
  };
  return { clock, pool, answers, asked, penalties, state, expired, fetch, add, hear, block, drop };
}

const txAt = (nonce: number, sender = SENDER): Tx => txOf({ nonce: BigInt(nonce), sender });
const range = (from: number, to: number): Tx[] => Array.from({ length: to - from }, (_, at) => txAt(from + at));

test('whoever sent one from behind a gap is asked for what is in front of it, and for no more', async () => {
  const { clock, pool, answers, asked, add, hear } = setUp();
  add(txAt(0));
  answers.set('p', ({ fromNonce, max }) => range(Number(fromNonce), Number(fromNonce) + max));
  hear(txAt(4), 'p');
  hear(txAt(5), 'p');
  await clock.run(1_000);
  expect(asked.map(({ fromNonce, max }) => [fromNonce, max])).toEqual([[1n, 3]]);
  expect(bytesToHex(asked[0]!.sender)).toBe(senderAt(SENDER));
  expect(pool.pendingNonce(senderAt(SENDER), RICH.get(senderAt(SENDER)))).toBe(6n);
  await clock.run(60_000);
  expect(asked).toHaveLength(1);
});

test('nobody is asked for what comes by itself, nor while the node is behind', async () => {
  const { clock, asked, state, add, hear } = setUp();
  hear(txAt(1), 'p');
  await clock.run(200);
  add(txAt(0));
  await clock.run(10_000);
  state.mayAsk = false;
  hear(txAt(9), 'p');
  await clock.run(10_000);
  expect(asked).toEqual([]);
  state.mayAsk = true;
  await clock.run(1_000);
  expect(asked).not.toEqual([]);
});

test('where the one that sent it has not got it, others are asked at once, those first that sent some', async () => {
  const { clock, pool, answers, asked, hear } = setUp({ peers: ['x', 'y', 'p', 'q'] });
  answers.set('x', () => [txAt(0)]);
  hear(txAt(1), 'p');
  hear(txAt(2), 'q');
  await clock.run(251);
  expect(asked.map(({ peer }) => peer)).toEqual(['p', 'q', 'x']);
  expect(pool.parkedSize).toBe(0);
});

test('of many gaps of one sender each is asked of who filled the one before', async () => {
  const { clock, pool, answers, asked, hear } = setUp({ peers: ['p', 'q'] });
  answers.set('q', ({ fromNonce }) => [txAt(Number(fromNonce))]);
  for (let nonce = 1; nonce < 40; nonce += 2) hear(txAt(nonce), nonce === 1 ? 'p' : 'q');
  await clock.run(251);
  expect(pool.parkedSize).toBe(0);
  expect(asked.map(({ peer }) => peer)).toEqual(['p', ...Array(20).fill('q')]);
});

test('what one lost message held of many senders is asked for one after the other, without a wait', async () => {
  const { clock, pool, answers, asked, hear } = setUp();
  answers.set('p', ({ sender, fromNonce }) =>
    Array.from({ length: 10 }, (_, at) => txAt(Number(fromNonce), at)).filter(
      ({ from }) => from === bytesToHex(sender),
    ),
  );
  for (let sender = 0; sender < 10; sender++) hear(txAt(1, sender), 'p');
  await clock.run(251);
  expect(asked).toHaveLength(10);
  expect(pool.parkedSize).toBe(0);
});

test('a gap that has been asked for in vain has its turn after new ones', async () => {
  const { clock, answers, asked, hear } = setUp();
  hear(txAt(1, 0), 'p');
  await clock.run(500);
  answers.set('p', ({ sender }) => (bytesToHex(sender) === senderAt(1) ? 'slow' : []));
  hear(txAt(1, 1), 'p'); // asked at 750, as the first one would be again; the peer is held up until 3,250
  await clock.run(260);
  for (const sender of [2, 3]) hear(txAt(1, sender), 'p');
  await clock.run(5_000);
  const senders = [0, 1, 2, 3].map(senderAt);
  const order = asked
    .filter(({ atMs }) => atMs >= 3_250)
    .map(({ sender }) => senders.indexOf(bytesToHex(sender) as Address));
  expect(order.slice(0, 2)).toEqual([2, 3]);
  expect(order.indexOf(0)).toBeGreaterThan(1);
});

test('where the later ones came from nobody, or were parked when the node began, connected peers are asked', async () => {
  const { clock, pool, answers, asked, fetch, add, hear } = setUp({ peers: ['p', 'q'] });
  answers.set('q', ({ sender }) => [txAt(0, bytesToHex(sender) === senderAt(0) ? 0 : 1)]);
  hear(txAt(1, 0), undefined);
  add(txAt(1, 1));
  fetch.start();
  await clock.run(251);
  expect(pool.parkedSize).toBe(0);
  expect(asked).toHaveLength(4);
});

test('four that sent what follows and lack the same do not keep others from being asked', async () => {
  const { clock, pool, answers, hear } = setUp({ peers: ['a', 'b', 'c', 'd', 'x'] });
  answers.set('x', () => [txAt(0)]);
  for (const [at, peer] of ['a', 'b', 'c', 'd'].entries()) hear(txAt(at + 1), peer);
  await clock.run(1_000);
  expect(pool.parkedSize).toBe(0);
});

test('round after round all are asked, who has left makes room for who sends now', async () => {
  const peers = Array.from({ length: 20 }, (_, at) => `p${at}`);
  const { clock, asked, fetch, hear } = setUp({ peers });
  for (const nonce of [1, 2, 3, 4]) hear(txAt(nonce), `p${nonce}`);
  for (let nonce = 5; nonce < 30; nonce++) {
    await clock.run(10_000);
    hear(txAt(nonce), 'p1');
  }
  expect(new Set(asked.map(({ peer }) => peer)).size).toBe(20);
  for (const peer of ['p1', 'p2', 'p3', 'p4']) fetch.onPeerDisconnected(peer);
  await clock.run(60_000);
  const before = asked.length;
  hear(txAt(40), 'p19');
  await clock.run(10_000);
  expect(asked[before]?.peer).toBe('p19');
});

test('one that was refused does not keep another peer’s from being taken', async () => {
  const { clock, pool, answers, asked, expired, hear } = setUp({ peers: ['p', 'q'] });
  expired.add(txAt(0).id);
  answers.set('p', () => [txAt(0)]);
  answers.set('q', () => [txOf({ nonce: 0n, fee: 5_000n })]);
  hear(txAt(1), 'p');
  await clock.run(300);
  expect(asked.map(({ peer }) => peer)).toEqual(['p', 'q']);
  expect(pool.parkedSize).toBe(0);
});

test('what was refused for money that another held up is asked for again once that is gone', async () => {
  const { clock, pool, answers, asked, hear, drop } = setUp();
  const dear = txOf({ nonce: 5n, amount: 9_500_000n });
  answers.set('p', () => [txOf({ nonce: 0n, amount: 900_000n })]);
  hear(dear, 'p');
  await clock.run(1_000);
  expect(asked).toHaveLength(1);
  drop(dear);
  hear(txAt(1), 'p');
  await clock.run(1_000);
  expect(pool.parkedSize).toBe(0);
});

test('the last of all is asked for too, where there was no room to park it', async () => {
  const { clock, pool, answers, add, fetch } = setUp();
  answers.set('p', ({ fromNonce }) => [txAt(Number(fromNonce))]);
  fetch.onGap(txAt(1), 'p');
  await clock.run(100);
  add(txAt(0));
  await clock.run(300);
  expect(pool.has(txAt(1).id)).toBe(true);
});

test('gaps that nobody could fill keep no new one out, whoever told of them', async () => {
  const { clock, pool, answers, hear } = setUp({ peers: ['a', 'b', 'c', 'd'] });
  for (let sender = 0; sender < 256; sender++) hear(txAt(1, sender), 'abcd'[sender % 4]!);
  await clock.run(60_000);
  for (const peer of 'abcd') answers.set(peer, () => [txAt(0, 999)]);
  for (const [at, peer] of [...'abcd'].entries()) hear(txAt(at + 1, 999), peer);
  await clock.run(300);
  expect(pool.isParked(txAt(1, 999).id)).toBe(false);
});

test('nor do those of peers that have left', async () => {
  const { clock, pool, answers, fetch, hear } = setUp();
  for (let name = 0; name < 32; name++) {
    fetch.onPeerConnected(`x${name}`);
    for (let at = 0; at < 8; at++) hear(txAt(1, 8 * name + at), `x${name}`);
    fetch.onPeerDisconnected(`x${name}`);
  }
  const senders = Array.from({ length: 20 }, (_, at) => 2_000 + at);
  answers.set('p', ({ sender }) =>
    senders.filter((each) => senderAt(each) === bytesToHex(sender)).map((each) => txAt(0, each)),
  );
  for (const sender of senders) hear(txAt(1, sender), 'p');
  await clock.run(1_000);
  expect(senders.filter((sender) => pool.isParked(txAt(1, sender).id))).toEqual([]);
});

test('a peer that stalls once is asked for nothing for a minute: it may be honest, and slow', async () => {
  const { clock, answers, penalties, hear } = setUp({ peers: ['slow', 'p'] });
  answers.set('slow', () => 'stall');
  for (let sender = 0; sender < 40; sender++) hear(txAt(1, sender), 'slow');
  await clock.run(60_000);
  expect(penalties).toHaveLength(1);
});

test('who has left is not asked, and others are', async () => {
  const { clock, asked, fetch, hear } = setUp({ peers: ['p', 'q'] });
  hear(txAt(1), 'p');
  fetch.onPeerDisconnected('p');
  await clock.run(251);
  expect(asked.map(({ peer }) => peer)).toEqual(['q']);
});

test('what was refused for what its sender has is not asked for again before a block changes that', async () => {
  const { clock, pool, answers, asked, hear, block } = setUp();
  const greedy = txOf({ nonce: 0n, amount: 20_000_000n }); // more than there is
  answers.set('p', () => [greedy]);
  for (let at = 1; at < 30; at++) {
    hear(txAt(at), 'p');
    block(5);
    await clock.run(1_000);
  }
  expect(asked).toHaveLength(1);
  block(0);
  hear(txAt(30), 'p');
  await clock.run(1_000);
  expect(asked).toHaveLength(2);
  expect(pool.parkedSize).toBe(30);
});

test('a node that has no room asks once in each block’s time', async () => {
  const { clock, pool, answers, asked, add, hear, block } = setUp({ maxBytes: 4_000 });
  for (let nonce = 0; nonce < 22; nonce++) add(txOf({ sender: 1, nonce: BigInt(nonce), fee: 1_000n }));
  answers.set('p', ({ fromNonce }) => [txAt(Number(fromNonce))]);
  for (let at = 1; at < 20; at++) {
    hear(txAt(at), 'p');
    await clock.run(1_000);
  }
  expect(asked).toHaveLength(1);
  block();
  hear(txAt(20), 'p');
  await clock.run(1_000);
  expect(asked).toHaveLength(2);
  expect(pool.has(txAt(0).id)).toBe(false);
});

test('what has had its stay here is not taken back', async () => {
  const { clock, pool, answers, asked, expired, hear } = setUp();
  expired.add(txAt(0).id);
  answers.set('p', () => range(0, 3));
  for (let at = 3; at < 20; at++) {
    hear(txAt(at), 'p');
    await clock.run(1_000);
  }
  expect(asked).toHaveLength(1);
  expect([0, 1, 2].some((nonce) => pool.has(txAt(nonce).id))).toBe(false);
});

test('what came and could not be looked at is asked for later', async () => {
  const { clock, pool, answers, asked, state, hear } = setUp({ peers: ['p', 'q'] });
  answers.set('p', () => [txAt(0)]);
  state.verdict = { kind: 'ignore', reason: 'overloaded' };
  hear(txAt(1), 'p');
  await clock.run(700);
  expect(asked.map(({ peer }) => peer)).toEqual(['p']);
  state.verdict = { kind: 'accept' };
  await clock.run(100);
  expect(pool.parkedSize).toBe(0);
});

test('a peer whose transactions break a rule is scored off', async () => {
  const { clock, answers, penalties, state, hear } = setUp();
  answers.set('p', () => [txAt(0)]);
  state.verdict = { kind: 'reject', reason: 'batch/bad-tx' };
  hear(txAt(1), 'p');
  await clock.run(300);
  expect(penalties).toEqual(['100 p: /grapevine/sender-txs/1: batch/bad-tx']);
});

test('what is too far ahead to be parked is asked for too, a frame at a time', async () => {
  const { clock, pool, answers, asked, hear } = setUp();
  answers.set('p', ({ fromNonce, max }) => range(Number(fromNonce), Math.min(700, Number(fromNonce) + max)));
  hear(txAt(599), 'p');
  expect(pool.size).toBe(0);
  await clock.run(1_000);
  expect(asked.map(({ fromNonce, max }) => [fromNonce, max])).toEqual([
    [0n, MAX_TXS_PER_CHUNK],
    [256n, MAX_TXS_PER_CHUNK],
    [512n, 88],
  ]);
  expect(pool.size).toBe(600);
});

test('a gap that nobody fills is asked for ever more seldom, however much comes from behind it', async () => {
  const { clock, asked, hear } = setUp();
  for (let nonce = 1; nonce <= 60; nonce++) {
    hear(txAt(nonce), 'p');
    await clock.run(1_000);
  }
  const waits = asked.map(({ atMs }, at) => atMs - (asked[at - 1]?.atMs ?? 0));
  expect(waits.slice(0, 5)).toEqual([250, 500, 1_000, 2_000, 4_000]);
  expect(Math.min(...waits.slice(5))).toBeGreaterThanOrEqual(8_000);
  await clock.run(600_000);
  expect(asked.length).toBeLessThan(15);
});

test('what was asked for in vain says nothing of the next that is missing', async () => {
  const { clock, asked, add, hear } = setUp();
  hear(txAt(1), 'p');
  await clock.run(20_000);
  expect(asked).toHaveLength(5);
  add(txAt(0));
  hear(txAt(3), 'p');
  await clock.run(251);
  expect(asked).toHaveLength(6);
});

test.each([
  ['of another sender', (): Tx[] => [txAt(0, 1)]],
  ['of another nonce', (): Tx[] => [txAt(1)]],
  ['more than was asked for', (): Tx[] => range(0, 3)],
  ['one twice', (): Tx[] => [txAt(0), txAt(0)]],
])('a peer that gives what was not asked for is scored off: %s', async (_, give) => {
  const { clock, pool, answers, asked, penalties, hear } = setUp({ peers: ['liar'] });
  answers.set('liar', give);
  hear(txAt(2), 'liar');
  await clock.run(300);
  expect(penalties).toEqual(['100 liar: a transaction that was not asked for']);
  expect(asked).toHaveLength(1);
  expect(pool.size).toBe(1);
});

test('a peer that stalls holds up what others are asked for no longer than its own', async () => {
  const { clock, pool, answers, penalties, hear } = setUp({ peers: ['slow', 'p'] });
  answers.set('slow', () => 'stall');
  answers.set('p', ({ sender }) => (bytesToHex(sender) === senderAt(1) ? [txAt(0, 1)] : []));
  hear(txAt(1, 0), 'slow');
  hear(txAt(1, 1), 'p');
  await clock.run(500);
  expect(pool.isParked(txAt(1, 1).id)).toBe(false);
  await clock.run(3_000);
  expect(penalties).toEqual(['5 slow: /grapevine/sender-txs/1: no answer in time']);
});

test('who tells of ever more gaps gives up its own, not those that others tell of', async () => {
  const { clock, pool, answers, hear } = setUp({ peers: ['flood', 'p'] });
  answers.set('p', ({ sender, fromNonce }) =>
    [1_000, 1_001, 1_002].map((at) => txAt(Number(fromNonce), at)).filter(({ from }) => from === bytesToHex(sender)),
  );
  hear(txAt(1, 1_000), 'p');
  for (let round = 0; round < 3; round++) {
    for (let sender = 0; sender < 300; sender++) hear(txOf({ sender, nonce: 70n }), 'flood');
    hear(txAt(1, 1_001 + round), 'p');
  }
  await clock.run(1_000);
  expect([1_000, 1_001, 1_002].filter((sender) => pool.isParked(txAt(1, sender).id))).toEqual([]);
});

test('gaps that others have filled make room', async () => {
  const { clock, asked, add, hear } = setUp();
  for (let sender = 0; sender < 256; sender++) hear(txAt(1, sender), 'p');
  await clock.run(60_000); // all in vain
  for (let sender = 0; sender < 256; sender++) add(txAt(0, sender));
  const before = asked.length;
  for (let sender = 256; sender < 300; sender++) hear(txAt(1, sender), 'p');
  await clock.run(300);
  expect(asked.length - before).toBe(44);
});

test('a stop ends what is being asked for, and leaves no timer', async () => {
  const { clock, asked, answers, fetch, hear } = setUp({ peers: ['slow', 'p'] });
  answers.set('slow', () => 'stall');
  hear(txAt(1, 0), 'slow');
  await clock.run(300);
  hear(txAt(1, 1), 'p');
  await fetch.stop();
  const { fired } = clock;
  await clock.run(60_000);
  expect(clock.fired).toBe(fired);
  expect(asked.map(({ peer }) => peer)).toEqual(['slow']);
});
