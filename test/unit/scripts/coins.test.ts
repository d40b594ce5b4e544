import { describe, expect, it } from 'vitest';
import { MAX_U64 } from '../../../chain/params.ts';
import { formatCoins, parseCoins } from '../../../scripts/coins.ts';
import { fc } from '../../fast-check.ts';

describe('amounts', () => {
  it.each([
    ['0', 0n],
    ['1', 100_000_000n],
    ['1.5', 150_000_000n],
    ['0.00000001', 1n],
    ['1.50000000', 150_000_000n],
    ['007', 700_000_000n],
    ['0.1', 10_000_000n],
    ['90071992.54740993', 9_007_199_254_740_993n], // not a double
    ['184467440737.09551615', MAX_U64],
  ])('reads %s exactly', (text, units) => {
    expect(parseCoins(text)).toBe(units);
  });

  it.each([
    ['', 'not an amount'],
    ['.5', 'not an amount'],
    ['1.', 'not an amount'],
    ['-1', 'not an amount'],
    ['+1', 'not an amount'],
    ['1e3', 'not an amount'],
    ['1,5', 'not an amount'],
    ['1 000', 'not an amount'],
    ['0x10', 'not an amount'],
    ['１', 'not an amount'],
    ['NaN', 'not an amount'],
    ['1.123456789', 'more than 8 decimals'],
    ['184467440737.09551616', 'more than there can be'],
    ['99999999999999999999', 'more than there can be'],
  ])('refuses %j', (text, why) => {
    expect(() => parseCoins(text)).toThrow(RangeError);
    expect(() => parseCoins(text)).toThrow(why);
  });

  it('reads back what it writes, for every amount', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: MAX_U64 }), (units) => {
        expect(parseCoins(formatCoins(units))).toBe(units);
      }),
    );
  });

  it('agrees with whole-number arithmetic on every decimal form', () => {
    const digits = fc.stringMatching(/^[0-9]{1,8}$/);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 184_467_440_736n }), digits, (whole, fraction) => {
        const units = whole * 100_000_000n + BigInt(fraction) * 10n ** BigInt(8 - fraction.length);
        expect(parseCoins(`${whole}.${fraction}`)).toBe(units);
      }),
    );
  });

  it('refuses every text that is not one of its forms', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !/^\d{1,20}(\.\d{1,8})?$/.test(text)),
        (text) => {
          expect(() => parseCoins(text)).toThrow(RangeError);
        },
      ),
    );
  });
});
