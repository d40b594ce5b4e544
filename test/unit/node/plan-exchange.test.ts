import { expect, test } from 'vitest';
import { type ShortTxId, shortTxId } from '../../../chain/pool-digest.ts';
import type { Tx, TxId } from '../../../chain/types.ts';
import { idsToOffer, idsToWant } from '../../../node/exchange/plan-exchange.ts';

const ALL = new Set(Array.from({ length: 256 }, (_, bucket) => bucket));

/** In order of arrival. */
function poolOf(...ids: readonly string[]): { olderThan(): Generator<Tx, void> } {
  const txs = ids.map((id) => ({ id: id as TxId }) as Tx);
  const each = function* (): Generator<Tx, void> {
    yield* txs;
  };
  return { olderThan: each };
}

const [older, younger, other] = [
  `${'aa'.repeat(8)}${'01'.repeat(24)}`,
  `${'aa'.repeat(8)}${'02'.repeat(24)}`,
  'bb'.repeat(32),
];

test('two transactions made to share a short id are offered as one', () => {
  const pool = poolOf(older, other, younger);
  const offered = idsToOffer(pool, ALL, 0, { skip: 0, limit: 9 });
  expect(offered).toEqual([shortTxId(older as TxId), shortTxId(other as TxId)]);
});

test('what is lacking is wanted in the order of the offer, each once, up to the limit', () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(16) as ShortTxId) as [
    ShortTxId,
    ShortTxId,
    ShortTxId,
    ShortTxId,
  ];
  const asked: ShortTxId[] = [];
  const isUnwanted = (id: ShortTxId): boolean => {
    asked.push(id);
    return id === c;
  };
  const pool = { hasShortId: (id: ShortTxId) => id === b };
  expect(idsToWant([d, b, c, d, a], pool, isUnwanted, 9)).toEqual([d, a]);
  expect(asked).not.toContain(b);
  expect(idsToWant([d, b, c, a], pool, isUnwanted, 1)).toEqual([d]);
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
