import { describe, expect, test } from 'vitest';
import { bytesToHex, compareBytes, concatBytes, equalBytes, hexToBytes, hexToUint } from '../../../crypto/bytes.ts';

describe('hex', () => {
  test('writes two lower-case digits per byte', () => {
    expect(bytesToHex(Uint8Array.of(0x00, 0x0f, 0xa0, 0xff))).toBe('000fa0ff');
    expect(bytesToHex(new Uint8Array(0))).toBe('');
  });

  test('reads either case', () => {
    expect(hexToBytes('000fA0Ff')).toEqual(Uint8Array.of(0x00, 0x0f, 0xa0, 0xff));
    expect(hexToBytes('')).toEqual(new Uint8Array(0));
  });

  test('digits in the middle are a number, up to 32 bits', () => {
    expect(hexToUint('00ff10', 2, 2)).toBe(0xff);
    expect(hexToUint('xx89aBcDeFxx', 2, 8)).toBe(0x89abcdef);
    expect(hexToUint('ffffffff', 0, 8)).toBe(0xffff_ffff);
    expect(hexToUint('ff', 1, 0)).toBe(0);
  });

  test.each([
    ['abc', 'hex of odd length 3'],
    ['0x00', "not a hex digit: 'x' at position 2"],
    ['0g', "not a hex digit: 'g' at position 2"],
    [' 0', "not a hex digit: ' ' at position 1"],
    ['+1', "not a hex digit: '+' at position 1"],
  ])('refuses %j', (hex, message) => {
    expect(() => hexToBytes(hex)).toThrow(new RangeError(message));
  });
});

describe('byte strings', () => {
  test('are joined in order, into a new array', () => {
    const part = Uint8Array.of(1, 2);
    const joined = concatBytes(part, new Uint8Array(0), Uint8Array.of(3));
    expect(joined).toEqual(Uint8Array.of(1, 2, 3));
    part[0] = 9;
    expect(joined[0]).toBe(1);
    expect(concatBytes()).toEqual(new Uint8Array(0));
  });

  test('are equal only with the same length and bytes', () => {
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBe(false);
  });

  test('sort as unsigned bytes, a prefix first', () => {
    const sorted = [Uint8Array.of(0x80), Uint8Array.of(1, 0), Uint8Array.of(1), Uint8Array.of(0x7f)].sort(compareBytes);
    expect(sorted.map(bytesToHex)).toEqual(['01', '0100', '7f', '80']);
  });
});
