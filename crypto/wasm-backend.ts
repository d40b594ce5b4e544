import { assertSignable } from './sign.ts';
import { hasItemLengths, type SigningBackend } from './signature.ts';

/**
 * libsecp256k1 as WebAssembly (npm `@bitauth/libauth`): a third of the native one's speed, fifteen times noble's, and
 * there on every platform.
 *
 * @throws where WebAssembly is not allowed (`--jitless`)
 */
export async function loadWasmBackend(): Promise<SigningBackend> {
  // Not the package's main module: that loads all of libauth, four times as long and 20 MB more.
  const { instantiateSecp256k1 } = await import('@bitauth/libauth/build/lib/crypto/secp256k1.js');
  const secp256k1 = await instantiateSecp256k1();
  return {
    name: 'wasm',
    verify(item) {
      if (!hasItemLengths(item)) return false;
      try {
        return secp256k1.verifySignatureCompactLowS(item.signature, item.publicKey, item.digest);
      } catch {
        return false;
      }
    },
    sign(digest, secretKey) {
      assertSignable(digest, secretKey);
      const signature = secp256k1.signMessageHashCompact(secretKey, digest);
      if (typeof signature === 'string') throw new RangeError('not a secp256k1 secret key');
      return signature;
    },
  };
}
