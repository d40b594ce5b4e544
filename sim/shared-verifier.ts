/**
 * Real signature checks, each made once for all nodes of a world: the answer depends on the bytes alone, and checking
 * is most of what a simulated node would cost.
 */
import { bytesToHex } from '../crypto/bytes.ts';
import type { SignatureBackend } from '../crypto/signature.ts';
import { Lru } from '../node/lru.ts';
import type { SignatureItem, SignatureVerifier } from '../node/ports.ts';

const KEPT = 100_000;

/** Takes no virtual time, knows no priorities and refuses nobody. It remembers for all nodes, bad signatures too. */
export function createSharedVerifier(backend: SignatureBackend): SignatureVerifier {
  /** The items themselves are shared where the codec is. */
  const seen = new WeakMap<SignatureItem, boolean>();
  const known = new Lru<string, boolean>(KEPT);
  const check = (item: SignatureItem): boolean => {
    const key = `${bytesToHex(item.digest)}${bytesToHex(item.signature)}${bytesToHex(item.publicKey)}`;
    const cached = known.get(key);
    if (cached !== undefined) return cached;
    const isGood = backend.verify(item);
    known.set(key, isGood);
    return isGood;
  };
  return {
    remembers: true,
    async verify(items) {
      return items.map((item) => {
        let isGood = seen.get(item);
        if (isGood === undefined) {
          isGood = check(item);
          seen.set(item, isGood);
        }
        return isGood;
      });
    },
  };
}
