import { expect, test } from 'vitest';
import { parseU64, U64_PATTERN } from '../../../chain/decimal.ts';
import { MAX_U64 } from '../../../chain/params.ts';
import { fc } from '../../fast-check.ts';

test.each([
  ['0', 0n],
  ['7', 7n],
  ['1000', 1_000n],
  ['18446744073709551615', MAX_U64],
])('%s is read', (text, value) => {
  expect(parseU64(text)).toBe(value);
});

test.each([
  '',
  ' 1',
  '1\n',
  '+1',
  '-1',
  '-0',
  '00',
  '01',
  '1.0',
  '1e3',
  '0x10',
  '1_000',
  '٣',
  '18446744073709551616',
  '99999999999999999999',
  '100000000000000000000',
  '1'.repeat(1_000_000),
])('%j is none', (text) => {
  expect(parseU64(text)).toBeUndefined();
});

test('every u64 has one spelling, and it is read', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: MAX_U64 }), (value) => {
      expect(parseU64(value.toString())).toBe(value);
      expect(parseU64(`0${value}`)).toBeUndefined();
      expect(value.toString()).toMatch(new RegExp(`^${U64_PATTERN}$`));
    }),
  );
});

test('what is read is a number below 2^64 that is written like that', () => {
  const digits = fc.string({ unit: fc.constantFrom(...'0123456789 +-.en'), maxLength: 22 });
  const above = fc.bigInt({ min: MAX_U64 - 100n, max: 10n * MAX_U64 }).map(String);
  fc.assert(
    fc.property(fc.oneof(digits, above, fc.string()), (text) => {
      const isSpelling = /^\d+$/.test(text) && BigInt(text).toString() === text && BigInt(text) <= MAX_U64;
      expect(parseU64(text)).toBe(isSpelling ? BigInt(text) : undefined);
    }),
  );
});
