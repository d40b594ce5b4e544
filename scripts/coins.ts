/** Amounts as people write them: coins with up to eight decimals, exactly. Never floating point. */
import { MAX_U64, UNITS_PER_COIN } from '../chain/params.ts';

const DECIMALS = 8;
const AMOUNT = /^(\d{1,20})(?:\.(\d{1,8}))?$/;

/**
 * `1.5` → 150000000n.
 *
 * @param text digits, optionally a point and one to eight digits; no sign, exponent, space or separator
 * @returns units of 10^-8 coin, at most 2^64 - 1
 * @throws RangeError that says what is wrong
 */
export function parseCoins(text: string): bigint {
  const match = AMOUNT.exec(text);
  if (match === null) {
    const tooFine = /^\d+\.\d{9,}$/.test(text);
    throw new RangeError(
      tooFine
        ? `'${text.slice(0, 40)}' has more than ${DECIMALS} decimals`
        : `'${text.slice(0, 40)}' is not an amount of coins; write 12, 1.5 or 0.00000001`,
    );
  }
  const [, whole, fraction = ''] = match;
  const units = BigInt(whole!) * UNITS_PER_COIN + BigInt(fraction.padEnd(DECIMALS, '0'));
  if (units > MAX_U64) throw new RangeError(`'${text}' is more than there can be (${formatCoins(MAX_U64)})`);
  return units;
}

/** 150000000n → `1.5`. @param units of 10^-8 coin, not negative */
export function formatCoins(units: bigint): string {
  const fraction = (units % UNITS_PER_COIN).toString().padStart(DECIMALS, '0').replace(/0+$/, '');
  const whole = (units / UNITS_PER_COIN).toString();
  return fraction === '' ? whole : `${whole}.${fraction}`;
}
