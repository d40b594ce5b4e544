import { describe, expect, test } from 'vitest';
import { bytesToHex, hexToBytes } from '../../../crypto/bytes.ts';
import { sha256 } from '../../../crypto/hash.ts';
import { generateSecretKey, isPublicKey, isSecretKey, publicKeyOf } from '../../../crypto/keys.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { signDigest } from '../../../crypto/sign.ts';
import vectors from '../../vectors/rfc6979-secp256k1.json' with { type: 'json' };

const utf8 = new TextEncoder();
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const secretKey = sha256(utf8.encode('secret'));
const publicKey = publicKeyOf(secretKey);
const digest = sha256(utf8.encode('message'));
const signature = signDigest(digest, secretKey);

const scalar = (value: bigint) => hexToBytes(value.toString(16).padStart(64, '0'));
const withR = (r: Uint8Array) => Uint8Array.of(...r, ...signature.subarray(32));
const withS = (s: Uint8Array) => Uint8Array.of(...signature.subarray(0, 32), ...s);

describe('signing (RFC 6979, low-S)', () => {
  test.each(vectors.vectors)('$message', ({ secretKey, message, signature }) => {
    const digest = sha256(utf8.encode(message));
    expect(bytesToHex(signDigest(digest, hexToBytes(secretKey)))).toBe(signature);
    const item = { digest, signature: hexToBytes(signature), publicKey: publicKeyOf(hexToBytes(secretKey)) };
    expect(nobleBackend.verify(item)).toBe(true);
  });

  test('refuses a message that is not a digest, and what is no secret key', () => {
    expect(() => signDigest(utf8.encode('message'), secretKey)).toThrow('digest of 7 bytes, expected 32');
    for (const key of [scalar(0n), scalar(ORDER), secretKey.subarray(1), new Uint8Array(33)]) {
      expect(() => signDigest(digest, key)).toThrow('not a secp256k1 secret key');
      expect(() => publicKeyOf(key)).toThrow('not a secp256k1 secret key');
      expect(isSecretKey(key)).toBe(false);
    }
  });
});

describe('verifying (noble backend)', () => {
  test('says which backend it is', () => {
    expect(nobleBackend.name).toBe('noble');
  });

  test('takes the digest as it is, without hashing it again', () => {
    expect(nobleBackend.verify({ digest, signature, publicKey })).toBe(true);
    expect(nobleBackend.verify({ digest: sha256(digest), signature, publicKey })).toBe(false);
  });

  test('the high-S twin is false', () => {
    const s = BigInt(`0x${bytesToHex(signature.subarray(32))}`);
    expect(s <= ORDER / 2n).toBe(true);
    expect(nobleBackend.verify({ digest, signature: withS(scalar(ORDER - s)), publicKey })).toBe(false);
  });

  test.each([
    ['r = 0', withR(scalar(0n))],
    ['r = n', withR(scalar(ORDER))],
    ['s = 0', withS(scalar(0n))],
    ['s = n', withS(scalar(ORDER))],
    ['r and s all ones', new Uint8Array(64).fill(0xff)],
    ['all zero', new Uint8Array(64)],
    ['empty', new Uint8Array(0)],
    ['63 bytes', signature.subarray(1)],
    ['65 bytes, with a recovery bit', Uint8Array.of(0, ...signature)],
  ])('signature with %s is false, never a throw', (_, signature) => {
    expect(nobleBackend.verify({ digest, signature, publicKey })).toBe(false);
  });

  test.each([
    ['uncompressed', uncompressed(publicKey)],
    ['x-only', publicKey.subarray(1)],
    ['hybrid prefix 06', Uint8Array.of(0x06, ...publicKey.subarray(1))],
    ['prefix 00', Uint8Array.of(0x00, ...publicKey.subarray(1))],
    ['prefix 04', Uint8Array.of(0x04, ...publicKey.subarray(1))],
    ['x not on the curve', Uint8Array.of(0x02, ...scalar(5n))],
    ['x = p', Uint8Array.of(0x02, ...scalar(2n ** 256n - 2n ** 32n - 977n))],
    ['all zero', new Uint8Array(33)],
    ['empty', new Uint8Array(0)],
  ])('public key %s is false, never a throw', (_, publicKey) => {
    expect(nobleBackend.verify({ digest, signature, publicKey })).toBe(false);
    expect(isPublicKey(publicKey)).toBe(false);
  });

  test.each([0, 31, 33, 64])('digest of %d bytes is false, never a throw', (length) => {
    expect(nobleBackend.verify({ digest: new Uint8Array(length), signature, publicKey })).toBe(false);
  });

  test('the other parity of the same x is another key', () => {
    const negated = Uint8Array.of(publicKey[0]! ^ 1, ...publicKey.subarray(1));
    expect(isPublicKey(negated)).toBe(true);
    expect(nobleBackend.verify({ digest, signature, publicKey: negated })).toBe(false);
  });
});

describe('keys', () => {
  test('the generator itself: key 1 (SEC 2)', () => {
    expect(bytesToHex(publicKeyOf(scalar(1n)))).toBe(
      '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
    );
    expect(isPublicKey(publicKeyOf(scalar(ORDER - 1n)))).toBe(true);
  });

  test('draws again until a draw is below the order', () => {
    const draws = [scalar(0n), scalar(ORDER), new Uint8Array(32).fill(0xff), scalar(ORDER - 1n)];
    expect(generateSecretKey(() => draws.shift() ?? scalar(7n))).toEqual(scalar(ORDER - 1n));
    expect(draws).toEqual([]);
  });

  test('gives up on a broken random source', () => {
    expect(() => generateSecretKey((length) => new Uint8Array(length))).toThrow('no usable secret key');
    expect(() => generateSecretKey(() => new Uint8Array(31).fill(1))).toThrow('no usable secret key');
  });
});

/** 04 ‖ x ‖ y, with y = (x³ + 7)^((p + 1) / 4) mod p of the right parity. */
function uncompressed(key: Uint8Array): Uint8Array {
  const p = 2n ** 256n - 2n ** 32n - 977n;
  const x = BigInt(`0x${bytesToHex(key.subarray(1))}`);
  let y = 1n;
  let base = (x ** 3n + 7n) % p;
  for (let exponent = (p + 1n) / 4n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) y = (y * base) % p;
    base = (base * base) % p;
  }
  if (y % 2n !== BigInt(key[0]! & 1)) y = p - y;
  return Uint8Array.of(0x04, ...scalar(x), ...scalar(y));
}
