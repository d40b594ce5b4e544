import { expect, it } from 'vitest';
import { BlockRate } from '../../../scripts/devnet/block-rate.ts';

it('neither the time before the first block nor a last block after the end of the load changes the rate', () => {
  const rate = new BlockRate();
  expect(rate.perS).toBe(0);
  rate.add('a', 7_000, 900); // whatever had gathered
  rate.add('b', 8_000, 1_400);
  expect(rate.perS).toBe(0);
  rate.add('c', 11_000, 2_900);
  expect(rate.perS).toBe(500);
  rate.add('d', 60_000, 2_950); // what was left over
  expect(rate.perS).toBe(500);
});

it('a block that several nodes tell of is one, with all that any of them shows', () => {
  const rate = new BlockRate();
  rate.add('a', 7_000, 700);
  rate.add('a', 7_050, 900); // answered meanwhile
  rate.add('b', 8_000, 1_300);
  rate.add('b', 8_030, 1_400);
  rate.add('c', 60_000, 1_450);
  rate.add('b', 60_010, 1_300);
  expect(rate.perS).toBe(500);
});
