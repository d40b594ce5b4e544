import { describe, expect, test } from 'vitest';
import { addressFromBytes, addressToBytes, formatAddress, parseAddress } from '../../crypto/address.ts';
import { fc } from '../fast-check.ts';

const CHARSET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const addresses = fc.uint8Array({ minLength: 20, maxLength: 20 }).map(addressFromBytes);

describe('addresses', () => {
  test('read back as they were written', () => {
    fc.assert(
      fc.property(addresses, (address) => {
        expect(parseAddress(formatAddress(address))).toEqual({ ok: true, address });
        expect(addressFromBytes(addressToBytes(address))).toBe(address);
      }),
    );
  });

  test('any single substituted character is detected, and located where it is one of bech32’s', () => {
    const substitutes = fc.oneof(
      fc.constantFrom(...CHARSET),
      fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }),
    );
    fc.assert(
      fc.property(addresses, fc.nat(41), substitutes, (address, index, substitute) => {
        const text = formatAddress(address);
        fc.pre(text[index] !== substitute);
        const parsed = parseAddress(text.slice(0, index) + substitute + text.slice(index + 1));
        expect(parsed.ok).toBe(false);
        if (index >= 3 && CHARSET.includes(substitute)) {
          const error = `checksum does not match: probably only the character at position ${index + 1} is wrong`;
          expect(parsed).toEqual({ ok: false, error });
        }
      }),
      { numRuns: 300 },
    );
  });

  test('up to four substituted characters are detected (BIP173’s guarantee)', () => {
    const changes = fc.uniqueArray(fc.tuple(fc.integer({ min: 3, max: 41 }), fc.integer({ min: 1, max: 31 })), {
      minLength: 1,
      maxLength: 4,
      selector: ([index]) => index,
    });
    fc.assert(
      fc.property(addresses, changes, (address, list) => {
        const characters = [...formatAddress(address)];
        for (const [index, shift] of list) {
          characters[index] = CHARSET[(CHARSET.indexOf(characters[index]!) + shift) % 32]!;
        }
        expect(parseAddress(characters.join('')).ok).toBe(false);
      }),
    );
  });

  test('arbitrary text is never a throw, and what reads writes back the same', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 100 }),
      fc.string({ maxLength: 39 }).map((s) => `gv1${s}`),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = parseAddress(text);
        if (parsed.ok) expect(formatAddress(parsed.address)).toBe(text.toLowerCase());
        else expect(parsed.error).not.toBe('');
      }),
      { numRuns: 500 },
    );
  });
});
