import { describe, expect, it } from 'vitest';
import { makeTx } from '../../../chain/codec.ts';
import { MAX_MEMO_BYTES, MAX_TX_BATCH_BYTES, MAX_TX_BYTES, MIN_TX_BYTES } from '../../../chain/params.ts';
import {
  claimedTxCount,
  decodeTxBatch,
  encodeTxBatch,
  encodeTxBatches,
  TX_BATCH_FIXED_BYTES,
} from '../../../chain/tx-batch.ts';
import type { Tx } from '../../../chain/types.ts';
import { concatBytes } from '../../../crypto/bytes.ts';
import { alice, unsigned } from './chain-fixtures.ts';

function txs(count: number, memoBytes = 0): Tx[] {
  const memo = new Uint8Array(memoBytes);
  return Array.from({ length: count }, (_, index) => unsigned(alice, { nonce: BigInt(index), memo }));
}

/** As `encodeTxBatch` writes it, but of anything. */
function encode(count: number, parts: readonly Uint8Array[], version = 1): Uint8Array {
  return concatBytes(Uint8Array.of(version, count >> 8, count & 255), ...parts);
}

describe('a batch of transactions', () => {
  it('is version, count, and the transactions', () => {
    const [a, b] = txs(2);
    expect(encodeTxBatch([b!, a!])).toEqual(encode(2, [b!.bytes, a!.bytes]));
    expect(decodeTxBatch(encode(2, [b!.bytes, a!.bytes]))).toEqual({ ok: true, value: [b, a] });
  });

  it('keeps no view of the message it came in', () => {
    const bytes = encodeTxBatch(txs(3));
    const decoded = decodeTxBatch(bytes);
    for (const tx of decoded.ok ? decoded.value : []) {
      for (const part of [tx.bytes, tx.signature, tx.publicKey, tx.memo]) expect(part.buffer).not.toBe(bytes.buffer);
    }
  });

  it('is cut where the next would be over 64 KiB', () => {
    const all = [...txs(400), ...txs(200, MAX_MEMO_BYTES)];
    const batches = encodeTxBatches(all);
    expect(batches).toHaveLength(3);
    const decoded = batches.map((bytes) => decodeTxBatch(bytes));
    expect(decoded.flatMap((batch) => (batch.ok ? batch.value : []))).toEqual(all);
    expect(encodeTxBatches([])).toEqual([]);
  });

  it('BATCH-1: has 65,536 bytes, and not one more', () => {
    const filling = txs(371).map(({ bytes }) => bytes);
    const filledBy = (memoBytes: number): Uint8Array =>
      encode(372, [...filling, unsigned(alice, { nonce: 371n, memo: new Uint8Array(memoBytes) }).bytes]);
    expect(filledBy(61)).toHaveLength(MAX_TX_BATCH_BYTES);
    expect(decodeTxBatch(filledBy(61))).toMatchObject({ ok: true });
    expect(decodeTxBatch(filledBy(62))).toEqual({ ok: false, detail: 'batch too long' });
  });

  it('BATCH-1: has 372 of the smallest transactions and 151 of the largest, and none beyond 64 KiB', () => {
    for (const [count, memoBytes, bytes] of [
      [372, 0, MIN_TX_BYTES],
      [151, MAX_MEMO_BYTES, MAX_TX_BYTES],
    ] as const) {
      const over = txs(count + 1, memoBytes);
      expect(TX_BATCH_FIXED_BYTES + over.length * bytes).toBeGreaterThan(MAX_TX_BATCH_BYTES);
      const most = over.slice(0, count);
      expect(decodeTxBatch(encodeTxBatch(most))).toEqual({ ok: true, value: most });
      expect(() => encodeTxBatch(over)).toThrow(RangeError);
      const tooLong = encode(
        over.length,
        over.map((tx) => tx.bytes),
      );
      expect(decodeTxBatch(tooLong)).toEqual({ ok: false, detail: 'batch too long' });
      expect(claimedTxCount(tooLong)).toBe(0);
    }
  });

  const [a, b] = txs(2);
  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['a count alone', encode(1, [])],
    ['no transaction', encode(0, [])],
    ['no transaction, and one after it', encode(0, [a!.bytes])],
    ['another version', encode(1, [a!.bytes], 2)],
    ['a transaction, not a batch', a!.bytes],
    ['fewer transactions than it says', encode(2, [a!.bytes])],
    ['many fewer', encode(65_535, [a!.bytes, b!.bytes])],
    ['more than it says', encode(1, [a!.bytes, b!.bytes])],
    ['one cut short', encode(2, [a!.bytes, b!.bytes.subarray(1)])],
    ['something after them', encode(1, [a!.bytes, Uint8Array.of(0)])],
  ])('BATCH-1: does not decode with %s', (_, bytes) => {
    expect(decodeTxBatch(bytes)).toMatchObject({ ok: false });
    expect(claimedTxCount(bytes)).toBeLessThanOrEqual(bytes.length / MIN_TX_BYTES);
  });

  it('BATCH-2: has no transaction twice, nor a twin with another signature', () => {
    const twin = makeTx(a!, new Uint8Array(64).fill(9));
    for (const second of [a!, twin]) {
      expect(decodeTxBatch(encode(3, [a!.bytes, b!.bytes, second.bytes]))).toMatchObject({ ok: false });
      expect(() => encodeTxBatch([a!, b!, second])).toThrow(RangeError);
    }
    expect(() => encodeTxBatch([])).toThrow(RangeError);
  });
});
