import { expect, test } from 'vitest';
import { Shares } from '../../../chain/shares.ts';

test('each has what it took and did not give back; who holds nothing is not kept', () => {
  const shares = new Shares<string>();
  for (const holder of ['a', 'a', 'b']) shares.change(holder, 2);
  expect([shares.of('a'), shares.of('b'), shares.of('c'), shares.holders]).toEqual([4, 2, 0, 2]);
  shares.change('a', -4);
  expect([shares.of('a'), shares.holders]).toEqual([0, 1]);
  expect(() => shares.change('b', -3)).toThrow(RangeError);
  expect(shares.of('b')).toBe(2);
  shares.clear();
  expect(shares.holders).toBe(0);
});
