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
  verify(item: {
    readonly digest: Uint8Array;
    readonly signature: Uint8Array;
    readonly publicKey: Uint8Array;
  }): boolean;
}
