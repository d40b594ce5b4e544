import { expect, test } from 'vitest';
import { shortTxId } from '../../../chain/pool-digest.ts';
import type { Tx, TxId } from '../../../chain/types.ts';
import { MinedIds } from '../../../node/exchange/mined-ids.ts';

const idOf = (number: number): TxId => number.toString(16).padStart(16, '0').padEnd(64, 'f') as TxId;
const block = (...numbers: number[]): Tx[] => numbers.map((number) => ({ id: idOf(number) }) as Tx);
const shortIdsOf = (...numbers: number[]): Set<string> => new Set(numbers.map((number) => shortTxId(idOf(number))));

test('mined ids: the oldest blocks are forgotten whole, the last one never', () => {
  const mined = new MinedIds(4);
  mined.add(block(1, 2));
  mined.add(block());
  mined.add(block(3, 4));
  expect(mined.shortIds()).toEqual(shortIdsOf(1, 2, 3, 4));
  mined.add(block(5));
  expect(mined.shortIds()).toEqual(shortIdsOf(3, 4, 5));
  mined.add(block(6, 7, 8, 9, 10, 11));
  expect(mined.shortIds()).toEqual(shortIdsOf(6, 7, 8, 9, 10, 11));
  mined.clear();
  expect(mined.shortIds()).toEqual(new Set());
});
