import { beforeEach, expect, test } from 'vitest';
import { MAX_TX_BATCH_BYTES, MIN_TX_BYTES } from '../../../chain/params.ts';
import { decodeTxBatch, TX_BATCH_FIXED_BYTES } from '../../../chain/tx-batch.ts';
import type { Tx } from '../../../chain/types.ts';
import { TX_LINGER_MS, TxBatcher } from '../../../node/pipeline/tx-batcher.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { alice, unsigned } from '../chain/chain-fixtures.ts';

let clock: VirtualClock;
let sent: { readonly atMs: number; readonly bytes: number; readonly nonces: readonly number[] }[];
let batcher: TxBatcher;
let confirm: (() => void)[];
beforeEach(() => {
  clock = new VirtualClock(0);
  sent = [];
  confirm = [];
  batcher = new TxBatcher({
    clock,
    publish(batch) {
      const decoded = decodeTxBatch(batch);
      if (!decoded.ok) throw new Error(decoded.detail);
      const nonces = decoded.value.map(({ nonce }) => Number(nonce));
      sent.push({ atMs: clock.monotonicMs(), bytes: batch.length, nonces });
      return new Promise((resolve) => confirm.push(resolve));
    },
  });
});

function tx(nonce: number): Tx {
  return unsigned(alice, { nonce: BigInt(nonce) });
}

test('a lone transaction goes out in the next turn, and what comes in the same turn with it', async () => {
  for (const nonce of [0, 1, 2]) batcher.add(tx(nonce));
  expect(sent).toEqual([]);
  await clock.run(0);
  expect(sent).toMatchObject([{ atMs: 0, nonces: [0, 1, 2] }]);
});

test('under a steady flow a batch goes out every 20 ms, and nothing waits longer', async () => {
  for (let nonce = 0; nonce < 100; nonce++) {
    batcher.add(tx(nonce));
    await clock.run(1);
  }
  await clock.run(TX_LINGER_MS);
  expect(sent.map(({ atMs }) => atMs)).toEqual([0, 20, 40, 60, 80, 100]);
  expect(sent.flatMap(({ nonces }) => nonces)).toEqual(Array.from({ length: 100 }, (_, nonce) => nonce));
  for (const { atMs, nonces } of sent) for (const addedMs of nonces) expect(atMs - addedMs).toBeLessThanOrEqual(20);
});

test('after a pause the next one waits for nothing', async () => {
  batcher.add(tx(0));
  await clock.run(TX_LINGER_MS);
  batcher.add(tx(1));
  await clock.run(0);
  expect(sent.map(({ atMs }) => atMs)).toEqual([0, TX_LINGER_MS]);
});

test('a batch that is full goes out at once', () => {
  const most = Math.floor((MAX_TX_BATCH_BYTES - TX_BATCH_FIXED_BYTES) / MIN_TX_BYTES);
  for (let nonce = 0; nonce <= 2 * most; nonce++) batcher.add(tx(nonce));
  expect(sent.map(({ nonces }) => nonces.length)).toEqual([most, most]);
  for (const { bytes } of sent) expect(bytes).toBeGreaterThan(MAX_TX_BATCH_BYTES - MIN_TX_BYTES);
});

test('what is added twice goes out once', async () => {
  for (const nonce of [5, 5, 6, 5]) batcher.add(tx(nonce));
  await clock.run(0);
  expect(sent).toMatchObject([{ nonces: [5, 6] }]);
});

test('a flush sends what waits, and ends when the network has all of it', async () => {
  batcher.add(tx(0));
  await clock.run(1);
  batcher.add(tx(1));
  let flushed = false;
  const flushing = batcher.flush().then(() => {
    flushed = true;
  });
  expect(sent).toMatchObject([{ nonces: [0] }, { nonces: [1] }]);
  confirm[1]!();
  await clock.run(0);
  expect(flushed).toBe(false);
  confirm[0]!();
  await flushing;
  await clock.run(TX_LINGER_MS);
  expect(sent).toHaveLength(2);
});

test('with no linger each goes out at once, alone', () => {
  const alone: number[] = [];
  const eager = new TxBatcher({
    clock,
    txLingerMs: 0,
    publish(batch) {
      const decoded = decodeTxBatch(batch);
      alone.push(decoded.ok ? decoded.value.length : 0);
      return Promise.resolve();
    },
  });
  for (const nonce of [0, 1, 2]) eager.add(tx(nonce));
  expect(alone).toEqual([1, 1, 1]);
});
