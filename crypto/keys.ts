import { getPublicKey, utils } from '@noble/secp256k1';

export const SECRET_KEY_BYTES = 32;
export const PUBLIC_KEY_BYTES = 33;

/** A fair source is out of range with probability 2^-128: more tries than this mean that it is broken. */
const MAX_TRIES = 16;

/**
 * Draws a secp256k1 secret key by rejection, so that keys are uniform in [1, n).
 *
 * @param randomBytes cryptographically strong source
 * @returns 32 bytes
 * @throws Error when the source keeps returning unusable bytes
 */
export function generateSecretKey(randomBytes: (length: number) => Uint8Array): Uint8Array {
  for (let i = 0; i < MAX_TRIES; i++) {
    const candidate = randomBytes(SECRET_KEY_BYTES);
    if (isSecretKey(candidate)) return candidate;
  }
  throw new Error(`the random source gave no usable secret key in ${MAX_TRIES} draws`);
}

/** @returns whether `bytes` is a big-endian integer in [1, n), 32 bytes */
export function isSecretKey(bytes: Uint8Array): boolean {
  return bytes.length === SECRET_KEY_BYTES && utils.isValidSecretKey(bytes);
}

/**
 * @param secretKey 32 bytes, in [1, n)
 * @returns the compressed public key, 33 bytes (SEC 1)
 * @throws RangeError when `secretKey` is not a secret key; the message never contains it
 */
export function publicKeyOf(secretKey: Uint8Array): Uint8Array {
  if (!isSecretKey(secretKey)) throw new RangeError('not a secp256k1 secret key');
  return getPublicKey(secretKey, true);
}

/** @returns whether `bytes` is a compressed point on secp256k1: 33 bytes, first 02 or 03 (SEC 1) */
export function isPublicKey(bytes: Uint8Array): boolean {
  return bytes.length === PUBLIC_KEY_BYTES && utils.isValidPublicKey(bytes, true);
}
