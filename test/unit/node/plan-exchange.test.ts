import { expect, test } from 'vitest';
import { type ShortTxId, shortTxId } from '../../../chain/pool-digest.ts';
import type { Tx, TxId } from '../../../chain/types.ts';
import { idsToOffer, txsToGive } from '../../../node/exchange/plan-exchange.ts';

const ALL = new Set(Array.from({ length: 256 }, (_, bucket) => bucket));

/** In order of arrival. */
function poolOf(...ids: readonly string[]): { olderThan(): Generator<Tx, void>; txs(): Generator<Tx, void> } {
  const txs = ids.map((id) => ({ id: id as TxId }) as Tx);
  const each = function* (): Generator<Tx, void> {
    yield* txs;
  };
  return { olderThan: each, txs: each };
}

const [older, younger, other] = [
  `${'aa'.repeat(8)}${'01'.repeat(24)}`,
  `${'aa'.repeat(8)}${'02'.repeat(24)}`,
  'bb'.repeat(32),
];

test('two transactions made to share a short id are offered, and given, as one', () => {
  const pool = poolOf(older, other, younger);
  const offered = idsToOffer(pool, ALL, 0, { skip: 0, limit: 9 });
  expect(offered).toEqual([shortTxId(older as TxId), shortTxId(other as TxId)]);
  expect(txsToGive(pool, offered).map(({ id }) => id)).toEqual([older, other]);
});

test('what the asking side has seen is passed over, oldest first, and buckets that are equal are left out', () => {
  const ids = Array.from({ length: 10 }, (_, at) => `0${at}`.repeat(32));
  const odd = new Set([1, 3, 5, 7, 9]);
  const short = (at: number): ShortTxId => shortTxId(ids[at] as TxId);
  expect(idsToOffer(poolOf(...ids), odd, 0, { skip: 0, limit: 2 })).toEqual([short(1), short(3)]);
  expect(idsToOffer(poolOf(...ids), odd, 0, { skip: 2, limit: 2 })).toEqual([short(5), short(7)]);
  expect(idsToOffer(poolOf(...ids), odd, 0, { skip: 4, limit: 2 })).toEqual([short(9)]);
  expect(idsToOffer(poolOf(...ids), odd, 0, { skip: 6, limit: 2 })).toEqual([]);
});
