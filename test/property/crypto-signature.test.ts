import { describe, expect, test } from 'vitest';
import { bytesToHex, hexToBytes } from '../../crypto/bytes.ts';
import { isSecretKey, publicKeyOf } from '../../crypto/keys.ts';
import { nobleBackend } from '../../crypto/noble-backend.ts';
import { signDigest } from '../../crypto/sign.ts';
import { fc } from '../fast-check.ts';

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const secretKeys = bytes(32).filter(isSecretKey);

function flipped(data: Uint8Array, bit: number): Uint8Array {
  const copy = data.slice();
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

describe('signatures', () => {
  test('what is signed verifies, is low-S and deterministic', () => {
    fc.assert(
      fc.property(bytes(32), secretKeys, (digest, secretKey) => {
        const signature = signDigest(digest, secretKey);
        expect(nobleBackend.verify({ digest, signature, publicKey: publicKeyOf(secretKey) })).toBe(true);
        expect(BigInt(`0x${bytesToHex(signature.subarray(32))}`) <= ORDER / 2n).toBe(true);
        expect(signDigest(digest, secretKey)).toEqual(signature);
      }),
      { numRuns: 50 },
    );
  });

  test('any flipped bit in digest, signature or key is false, never a throw', () => {
    fc.assert(
      fc.property(bytes(32), secretKeys, fc.nat(255), fc.nat(511), fc.nat(263), (digest, secretKey, d, s, k) => {
        const item = { digest, signature: signDigest(digest, secretKey), publicKey: publicKeyOf(secretKey) };
        expect(nobleBackend.verify({ ...item, digest: flipped(item.digest, d) })).toBe(false);
        expect(nobleBackend.verify({ ...item, signature: flipped(item.signature, s) })).toBe(false);
        expect(nobleBackend.verify({ ...item, publicKey: flipped(item.publicKey, k) })).toBe(false);
      }),
      { numRuns: 100 },
    );
  });

  test('the high-S twin is false', () => {
    fc.assert(
      fc.property(bytes(32), secretKeys, (digest, secretKey) => {
        const signature = signDigest(digest, secretKey);
        const s = BigInt(`0x${bytesToHex(signature.subarray(32))}`);
        const twin = signature.slice();
        twin.set(hexToBytes((ORDER - s).toString(16).padStart(64, '0')), 32);
        expect(nobleBackend.verify({ digest, signature: twin, publicKey: publicKeyOf(secretKey) })).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  test('arbitrary bytes of arbitrary lengths are false, never a throw', () => {
    const near = (length: number) => fc.oneof(bytes(length), fc.uint8Array({ maxLength: 2 * length }));
    const keys = fc.oneof(near(33), secretKeys.map(publicKeyOf));
    fc.assert(
      fc.property(near(32), near(64), keys, (digest, signature, publicKey) => {
        expect(nobleBackend.verify({ digest, signature, publicKey })).toBe(false);
      }),
      { numRuns: 200 },
    );
  });
});
