import { expect, it } from 'vitest';
import { MinedRate } from '../../../scripts/devnet/mined-rate.ts';

it('neither the time before the first block nor a last block after the end of the load changes the rate', () => {
  const rate = new MinedRate();
  expect(rate.perS).toBe(0);
  rate.add(7_000, 900); // whatever had gathered
  rate.add(8_000, 1_400);
  expect(rate.perS).toBe(0);
  rate.add(11_000, 2_900);
  expect(rate.perS).toBe(500);
  rate.add(60_000, 2_950); // what was left over
  expect(rate.perS).toBe(500);
});
