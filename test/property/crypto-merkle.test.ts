import { describe, expect, test } from 'vitest';
import { concatBytes } from '../../crypto/bytes.ts';
import { sha256 } from '../../crypto/hash.ts';
import { merkleProof, merkleRoot, verifyMerkleProof } from '../../crypto/merkle.ts';
import { fc } from '../fast-check.ts';

/** RFC 6962 §2.1 word for word, as the slow reference. */
function referenceRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256(new Uint8Array(0));
  if (leaves.length === 1) return sha256(concatBytes(Uint8Array.of(0), leaves[0]!));
  let k = 1;
  while (2 * k < leaves.length) k *= 2;
  return sha256(concatBytes(Uint8Array.of(1), referenceRoot(leaves.slice(0, k)), referenceRoot(leaves.slice(k))));
}

const distinct = fc.uniqueArray(fc.uint8Array({ maxLength: 40 }), {
  minLength: 1,
  maxLength: 40,
  selector: (leaf) => leaf.join(),
});

describe('merkle', () => {
  test('the root is the one of RFC 6962', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 70 }), (leaves) => {
        expect(merkleRoot(leaves)).toEqual(referenceRoot(leaves));
      }),
    );
  });

  test('a proof verifies for its leaf and index, and for no other leaf or index', () => {
    fc.assert(
      fc.property(distinct, (leaves) => {
        const root = merkleRoot(leaves);
        for (let index = 0; index < leaves.length; index++) {
          const proof = merkleProof(leaves, index);
          for (let other = 0; other < leaves.length; other++) {
            expect(verifyMerkleProof(root, leaves[other]!, proof)).toBe(other === index);
            expect(verifyMerkleProof(root, leaves[index]!, { ...proof, index: other })).toBe(other === index);
          }
        }
      }),
      { numRuns: 20 },
    );
  });

  test('a proof with any flipped bit is false, as is one for another root', () => {
    fc.assert(
      fc.property(distinct, fc.nat(), fc.nat(), fc.nat(255), (leaves, i, j, bit) => {
        const index = i % leaves.length;
        const proof = merkleProof(leaves, index);
        const flip = (hash: Uint8Array) => hash.map((byte, k) => (k === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
        const root = merkleRoot(leaves);
        expect(verifyMerkleProof(flip(root), leaves[index]!, proof)).toBe(false);
        if (proof.path.length === 0) return;
        const altered = proof.path.map((hash, k) => (k === j % proof.path.length ? flip(hash) : hash));
        expect(verifyMerkleProof(root, leaves[index]!, { ...proof, path: altered })).toBe(false);
      }),
    );
  });

  test('two different lists have different roots', () => {
    const lists = fc.array(fc.uint8Array({ maxLength: 3 }), { maxLength: 6 });
    fc.assert(
      fc.property(lists, lists, (a, b) => {
        const same = a.length === b.length && a.every((leaf, i) => leaf.join() === b[i]!.join());
        expect(merkleRoot(a).join() === merkleRoot(b).join()).toBe(same);
      }),
    );
  });
});
