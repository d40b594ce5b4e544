import { expect, test } from 'vitest';
import { UsageCounter } from '../../../chain/usage-counter.ts';

test('each has what it took and did not give back; who holds nothing is not kept', () => {
  const usage = new UsageCounter<string>();
  for (const holder of ['a', 'a', 'b']) usage.change(holder, 2);
  expect([usage.of('a'), usage.of('b'), usage.of('c'), usage.holders]).toEqual([4, 2, 0, 2]);
  usage.change('a', -4);
  expect([usage.of('a'), usage.holders]).toEqual([0, 1]);
  expect(() => usage.change('b', -3)).toThrow(RangeError);
  expect(usage.of('b')).toBe(2);
  usage.clear();
  expect(usage.holders).toBe(0);
});
