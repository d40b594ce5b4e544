import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { hashes, sign } from '@noble/secp256k1';
import { isSecretKey, publicKeyOf } from './keys.ts';
import { DIGEST_BYTES } from './signature.ts';

// noble-secp256k1 brings no hash functions of its own; RFC 6979 needs HMAC-SHA-256.
hashes.sha256 = sha256;
hashes.hmacSha256 = (key, message) => hmac(sha256, key, message);

/**
 * Signs with ECDSA over secp256k1, deterministic (RFC 6979 with SHA-256) and low-S.
 *
 * @param digest 32 bytes, signed as they are
 * @param secretKey 32 bytes, in [1, n)
 * @returns r‖s, 64 bytes
 * @throws RangeError on a wrong digest length or key; the message never contains the key
 */
export function signDigest(digest: Uint8Array, secretKey: Uint8Array): Uint8Array {
  assertSignable(digest, secretKey);
  return sign(digest, secretKey, { prehash: false, lowS: true, format: 'compact', extraEntropy: false });
}

/** @throws RangeError on a wrong digest length or key; the message never contains the key */
export function assertSignable(digest: Uint8Array, secretKey: Uint8Array): void {
  if (digest.length !== DIGEST_BYTES)
    throw new RangeError(`digest of ${digest.length} bytes, expected ${DIGEST_BYTES}`);
  if (!isSecretKey(secretKey)) throw new RangeError('not a secp256k1 secret key');
}

/** A key ready to sign: whoever signs much derives the public key once, and chooses how fast. */
export interface Signer {
  /** 33 bytes, compressed. */
  readonly publicKey: Uint8Array;
  /** As {@link signDigest} with this key. */
  sign(digest: Uint8Array): Uint8Array;
}

/**
 * @param publicKey the secret key's; derived where it is not given, the first time in some tens of milliseconds
 * @throws RangeError when the key is no secret key
 */
export function createSigner(
  secretKey: Uint8Array,
  sign: (digest: Uint8Array, secretKey: Uint8Array) => Uint8Array = signDigest,
  publicKey: Uint8Array = publicKeyOf(secretKey),
): Signer {
  if (!isSecretKey(secretKey)) throw new RangeError('not a secp256k1 secret key');
  return { publicKey, sign: (digest) => sign(digest, secretKey) };
}
