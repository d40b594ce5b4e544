import { Uint8ArrayList } from 'uint8arraylist';
import { describe, expect, it } from 'vitest';
import { frameLength } from '../../../node/net/encryption.ts';
import { fc } from '../../fast-check.ts';

describe('the length of a Noise frame', () => {
  it('is its first two bytes, the higher first, in one piece or in several', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.uint8Array({ maxLength: 4 }), (length, rest) => {
        const head = Uint8Array.of(length >> 8, length & 0xff);
        expect(frameLength(Uint8Array.of(...head, ...rest))).toBe(length);
        expect(frameLength(new Uint8ArrayList(head.subarray(0, 1), head.subarray(1), rest))).toBe(length);
      }),
    );
  });

  it('is missing, which costs no stack trace, while fewer bytes have come', () => {
    const errors = [new Uint8Array(), Uint8Array.of(1), new Uint8ArrayList(), new Uint8ArrayList(Uint8Array.of(1))].map(
      (bytes) => {
        try {
          return frameLength(bytes);
        } catch (error) {
          return error;
        }
      },
    );
    expect(errors[0]).toBeInstanceOf(RangeError); // libp2p's decoder waits for more at that one only
    expect(new Set(errors).size).toBe(1);
  });
});
