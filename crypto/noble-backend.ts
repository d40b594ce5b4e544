import { verify } from '@noble/secp256k1';
import { signDigest } from './sign.ts';
import { hasItemLengths, type SigningBackend } from './signature.ts';

/** Without `prehash: false` noble would hash the digest once more. */
const OPTIONS = { prehash: false, lowS: true, format: 'compact' } as const;

/** The reference backend: pure JavaScript, slow (about 300/s per thread), there on every platform. */
export const nobleBackend: SigningBackend = {
  name: 'noble',
  verify(item) {
    if (!hasItemLengths(item)) return false;
    try {
      return verify(item.signature, item.digest, item.publicKey, OPTIONS);
    } catch {
      return false; // a point off the curve, r or s out of range: the peer's fault, hence a value
    }
  },
  sign: signDigest,
};
