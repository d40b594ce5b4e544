import { describe, expect, test } from 'vitest';
import { hexToBytes } from '../../../crypto/bytes.ts';
import { SipHash24 } from '../../../crypto/siphash.ts';
import vectors from '../../vectors/siphash.json' with { type: 'json' };

const countedBytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i);
const hasher = new SipHash24(countedBytes(16));

describe('SipHash-2-4', () => {
  test.each(vectors.outputs)('the reference implementation, $length bytes', ({ length, output }) => {
    const expected = Buffer.from(hexToBytes(output)).readBigUInt64LE();
    expect(hasher.hash(countedBytes(length))).toBe(expected);
    expect(hasher.hash48(countedBytes(length))).toBe(Number(expected & 0xffff_ffff_ffffn));
  });

  test('does not depend on where in its buffer the key or the input stands', () => {
    const shifted = countedBytes(40)
      .subarray(0, 33)
      .map((byte) => byte - 3)
      .subarray(3);
    const inside = new SipHash24(shifted.subarray(0, 16));
    expect(inside.hash(shifted.subarray(0, 15))).toBe(0xa129ca6149be45e5n);
  });

  test.each([0, 15, 17])('a key of %i bytes throws', (length) => {
    expect(() => new SipHash24(new Uint8Array(length))).toThrow(RangeError);
  });
});
