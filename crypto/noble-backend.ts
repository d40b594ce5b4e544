import { verify } from '@noble/secp256k1';
import { PUBLIC_KEY_BYTES } from './keys.ts';
import { DIGEST_BYTES, SIGNATURE_BYTES, type SignatureBackend } from './signature.ts';

/** Without `prehash: false` noble would hash the digest once more. */
const OPTIONS = { prehash: false, lowS: true, format: 'compact' } as const;

/** The reference backend: pure JavaScript, slow (about 300/s per thread), there on every platform. */
export const nobleBackend: SignatureBackend = {
  name: 'noble',
  verify({ digest, signature, publicKey }) {
    if (digest.length !== DIGEST_BYTES) return false;
    if (signature.length !== SIGNATURE_BYTES) return false;
    if (publicKey.length !== PUBLIC_KEY_BYTES) return false; // noble would take 65-byte keys as well
    try {
      return verify(signature, digest, publicKey, OPTIONS);
    } catch {
      return false; // a point off the curve, r or s out of range: the peer's fault, hence a value
    }
  },
};
