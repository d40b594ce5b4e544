import { PUBLIC_KEY_BYTES } from './keys.ts';

export const DIGEST_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/**
 * Checks ECDSA signatures over secp256k1. Every backend gives the same answer for every input; `noble-backend.ts`
 * is the reference. A signature with s > n/2 is false: each signature has one valid form, so that nobody can
 * alter a block's bytes without invalidating it (as BIP146, LOW_S).
 */
export interface SignatureBackend {
  /** Shown to the operator: which backend runs decides how fast a node verifies. */
  readonly name: string;
  /**
   * @param item `digest` 32 bytes, `signature` 64 bytes (r‖s, big-endian), `publicKey` 33 bytes, compressed
   * @returns false for whatever is not a valid signature, malformed input included; never throws
   */
  verify(item: SignatureParts): boolean;
}

/** Signs as well: for those who send many transactions. */
export interface SigningBackend extends SignatureBackend {
  /**
   * ECDSA, deterministic (RFC 6979 with SHA-256) and low-S: every backend gives the same bytes.
   *
   * @param digest 32 bytes, signed as they are
   * @param secretKey 32 bytes, in [1, n)
   * @returns r‖s, 64 bytes
   * @throws RangeError on a wrong digest length or key; the message never contains the key
   */
  sign(digest: Uint8Array, secretKey: Uint8Array): Uint8Array;
}

/** One ECDSA check: 32-byte digest, 64-byte compact signature, 33-byte compressed key. */
export interface SignatureParts {
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Lengths alone. The libraries take other forms as well, 65-byte and hybrid keys, which no backend may accept. */
export function hasItemLengths({ digest, signature, publicKey }: SignatureParts): boolean {
  return (
    digest.length === DIGEST_BYTES && signature.length === SIGNATURE_BYTES && publicKey.length === PUBLIC_KEY_BYTES
  );
}
