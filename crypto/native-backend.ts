import { assertSignable } from './sign.ts';
import { hasItemLengths, type SigningBackend } from './signature.ts';

/**
 * libsecp256k1, compiled (npm `secp256k1`): the fastest. There are prebuilt binaries for linux-x64, darwin-arm64 and
 * win32-x64. The binding is asked for by itself, because the package's main module would put slow JavaScript in its
 * place without a word.
 *
 * @throws whatever loading a binary throws where there is none for this platform
 */
export async function loadNativeBackend(): Promise<SigningBackend> {
  const { default: secp256k1 } = await import('secp256k1/bindings.js');
  return {
    name: 'native',
    verify(item) {
      if (!hasItemLengths(item)) return false;
      try {
        // False for a high S: libsecp256k1 verifies the lower form only.
        return secp256k1.ecdsaVerify(item.signature, item.digest, item.publicKey);
      } catch {
        return false; // a point off the curve, r or s out of range: the peer's fault, hence a value
      }
    },
    sign(digest, secretKey) {
      assertSignable(digest, secretKey);
      return secp256k1.ecdsaSign(digest, secretKey).signature;
    },
  };
}
