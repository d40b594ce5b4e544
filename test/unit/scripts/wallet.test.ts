import { expect, test } from 'vitest';
import { waitingText } from '../../../scripts/wallet.ts';

test.each([
  [{ transactions: 0, parked: 0, amount: '0' }, '0'],
  [{ transactions: 3, parked: 0, amount: '150000' }, '0.0015 in 3'],
  [{ transactions: 3, parked: 2, amount: '2000000' }, '0.02 in 3, 2 behind a gap'],
])('what waits of an account: %j', (waiting, text) => {
  expect(waitingText(waiting)).toBe(text);
});
