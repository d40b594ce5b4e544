import { expect, test } from 'vitest';
import { DEFAULT_MEMPOOL_BYTES, Mempool, mempoolLimits } from '../../../chain/mempool.ts';
import type { Tx } from '../../../chain/types.ts';
import { bytesToHex } from '../../../crypto/bytes.ts';
import type { ChainService } from '../../../node/chain-service.ts';
import { GapFetch } from '../../../node/exchange/gap-fetch.ts';
import { createMetrics } from '../../../node/metrics.ts';
import {
  decodeSenderTxsRequest,
  encodeTxsChunk,
  MAX_TXS_PER_CHUNK,
  type SenderTxsRequestMessage,
} from '../../../node/net/wire.ts';
import type { FrameStream, PeerKey } from '../../../node/ports.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { silentLogger } from '../../loggers.ts';
import { everybody, senderAt, txOf } from '../../tree-fixtures.ts';

const RICH = everybody({ balance: 10_000_000n, nonce: 0n });
const SENDER = 0;

interface Asked extends SenderTxsRequestMessage {
  readonly peer: PeerKey;
  readonly atMs: number;
}

/** A fetch, and peers that answer with what `answers` has for them: transactions, none by default, or never. */
function setUp() {
  const clock = new VirtualClock(0);
  const pool = new Mempool(mempoolLimits(DEFAULT_MEMPOOL_BYTES));
  const answers = new Map<PeerKey, (asked: Asked) => readonly Tx[] | 'stall'>();
  const asked: Asked[] = [];
  const penalties: string[] = [];
  const add = (tx: Tx): void => void pool.add(tx, RICH, clock.nowMs());
  const state = { mayAsk: true };
  const open = async (peer: PeerKey, _protocol: unknown, signal: AbortSignal): Promise<FrameStream> => {
    let request: Asked | undefined;
    return {
      peer,
      frames: (async function* () {
        const txs = answers.get(peer)?.(request!) ?? [];
        if (txs === 'stall') {
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
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
  const fetch = new GapFetch({
    network: { open, penalize: (peer, points, why) => void penalties.push(`${points} ${peer}: ${why}`) },
    clock,
    chain: { accounts: RICH } as unknown as Pick<ChainService, 'accounts'>,
    mempool: { pool },
    metrics: createMetrics({ processMetrics: false }),
    logger: silentLogger,
    receiveTxs: async (txs) => {
      txs.forEach(add);
      return { kind: 'accept' };
    },
    mayAsk: () => state.mayAsk,
    onFailure: (error) => {
      throw error;
    },
  });
  /** As the lane does it. */
  const hear = (tx: Tx, from: PeerKey): void => {
    add(tx);
    fetch.onGap(tx, from);
  };
  return { clock, pool, answers, asked, penalties, state, fetch, add, hear };
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
});

test('where the one that sent it has not got it, the others that did are asked in turn', async () => {
  const { clock, pool, answers, asked, hear } = setUp();
  answers.set('q', () => [txAt(0)]);
  hear(txAt(1), 'p');
  hear(txAt(2), 'q');
  await clock.run(2_000);
  expect(asked.map(({ peer }) => peer)).toEqual(['p', 'q']);
  expect(pool.parkedSize).toBe(0);
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
  expect(waits.slice(0, 6)).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000]);
  expect(Math.min(...waits.slice(6))).toBeGreaterThanOrEqual(8_000);
  await clock.run(600_000);
  expect(asked.length).toBeLessThan(15);
});

test.each([
  ['of another sender', (): Tx[] => [txAt(0, 1)]],
  ['of another nonce', (): Tx[] => [txAt(1)]],
  ['more than was asked for', (): Tx[] => range(0, 3)],
  ['one twice', (): Tx[] => [txAt(0), txAt(0)]],
])('a peer that gives what was not asked for is scored off: %s', async (_, give) => {
  const { clock, pool, answers, asked, penalties, hear } = setUp();
  answers.set('liar', give);
  hear(txAt(2), 'liar');
  await clock.run(60_000);
  expect(penalties).toEqual(['100 liar: a transaction that was not asked for']);
  expect(asked).toHaveLength(1);
  expect(pool.size).toBe(1);
});

test('a peer that stalls holds up what others are asked for no longer than its own', async () => {
  const { clock, pool, answers, penalties, hear } = setUp();
  answers.set('slow', () => 'stall');
  answers.set('p', ({ fromNonce }) => [txAt(Number(fromNonce), 1)]);
  hear(txAt(1, 0), 'slow');
  hear(txAt(1, 1), 'p');
  await clock.run(500);
  expect(pool.isParked(txAt(1, 1).id)).toBe(false);
  await clock.run(10_000);
  expect(penalties).toEqual(['5 slow: /grapevine/sender-txs/1: no answer in time']);
});

test('of many senders’ gaps the one seen first is given up', async () => {
  const { clock, asked, hear } = setUp();
  for (let sender = 0; sender <= 256; sender++) hear(txAt(1, sender), `p${sender}`);
  await clock.run(300);
  expect(asked).toHaveLength(256);
  expect(asked.some(({ peer }) => peer === 'p0')).toBe(false);
});

test('a stop ends what is being asked for, and nobody is asked after it', async () => {
  const { clock, asked, answers, fetch, hear } = setUp();
  answers.set('slow', () => 'stall');
  hear(txAt(1, 0), 'slow');
  await clock.run(300);
  hear(txAt(1, 1), 'p');
  await fetch.stop();
  hear(txAt(1, 2), 'p');
  await clock.run(60_000);
  expect(asked.map(({ peer }) => peer)).toEqual(['slow']);
});
