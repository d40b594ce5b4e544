import { describe, expect, test } from 'vitest';
import { bytesToHex, concatBytes, hexToBytes } from '../../../crypto/bytes.ts';
import { sha256 } from '../../../crypto/hash.ts';
import { type MerkleProof, merkleProof, merkleRoot, verifyMerkleProof } from '../../../crypto/merkle.ts';
import vectors from '../../vectors/rfc6962.json' with { type: 'json' };

const leaves = vectors.leaves.map(hexToBytes);

describe('merkle root (RFC 6962 §2.1)', () => {
  test.each(vectors.roots.map((root, leafCount) => ({ leafCount, root })))(
    'certificate-transparency: $leafCount leaves',
    ({ leafCount, root }) => {
      expect(bytesToHex(merkleRoot(leaves.slice(0, leafCount)))).toBe(root);
    },
  );

  test('CVE-2012-2459: a repeated tail changes the root', () => {
    const [a, b, c] = [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)];
    expect(merkleRoot([a, b, c])).not.toEqual(merkleRoot([a, b, c, c]));
    expect(merkleRoot([a])).not.toEqual(merkleRoot([a, a]));
  });

  test('second preimage: an inner node is no leaf', () => {
    const [a, b] = [sha256(Uint8Array.of(0, 1)), sha256(Uint8Array.of(0, 2))];
    const root = merkleRoot([Uint8Array.of(1), Uint8Array.of(2)]);
    expect(root).toEqual(sha256(concatBytes(Uint8Array.of(1), a, b)));
    expect(merkleRoot([concatBytes(a, b)])).not.toEqual(root);
  });
});

describe('merkle proof (RFC 9162 §2.1.3)', () => {
  test.each(vectors.proofs)('certificate-transparency: leaf $index of $leafCount', ({ index, leafCount, path }) => {
    const proof = merkleProof(leaves.slice(0, leafCount), index);
    expect(proof.path.map(bytesToHex)).toEqual(path);
    const root = hexToBytes(vectors.roots[leafCount]!);
    expect(verifyMerkleProof(root, leaves[index]!, { index, leafCount, path: path.map(hexToBytes) })).toBe(true);
  });

  test.each([-1, 8, 0.5, Number.NaN])('there is no proof for leaf %d of 8', (index) => {
    expect(() => merkleProof(leaves, index)).toThrow(new RangeError(`no leaf ${index} among 8`));
  });

  test('a malformed proof is false, never a throw', () => {
    const root = merkleRoot(leaves);
    const good = merkleProof(leaves, 5);
    const malformed: MerkleProof[] = [
      { ...good, index: 4 },
      { ...good, index: -1 },
      { ...good, index: 8 },
      { ...good, index: 5.5 },
      { ...good, index: Number.NaN },
      { ...good, leafCount: 0 },
      { ...good, leafCount: 6 },
      { ...good, leafCount: 2 ** 31 },
      { ...good, leafCount: Number.POSITIVE_INFINITY },
      { ...good, path: [] },
      { ...good, path: good.path.slice(1) },
      { ...good, path: [...good.path, new Uint8Array(32)] },
      { ...good, path: good.path.map((hash) => hash.subarray(1)) },
      { ...good, path: Array.from({ length: 1000 }, () => new Uint8Array(32)) },
    ];
    for (const proof of malformed) expect(verifyMerkleProof(root, leaves[5]!, proof)).toBe(false);
    expect(verifyMerkleProof(root.subarray(1), leaves[5]!, good)).toBe(false);
    expect(verifyMerkleProof(root, leaves[5]!, good)).toBe(true);
  });

  test('a proof longer than its tree is high is false, even where the hashes meet the root', () => {
    const [left, right] = [Uint8Array.of(1), Uint8Array.of(2)];
    const root = merkleRoot([left, right]);
    const { path } = merkleProof([left, right], 1);
    expect(verifyMerkleProof(root, right, { index: 1, leafCount: 2, path })).toBe(true);
    expect(verifyMerkleProof(root, right, { index: 0, leafCount: 1, path })).toBe(false);
  });

  test('positions beyond 32 bits are not cut short', () => {
    // Leaf 2^32 of 2^32 + 1: it moved up alone all the way, so its one sibling is the whole left subtree.
    const sibling = sha256(Uint8Array.of(7));
    const leaf = Uint8Array.of(1, 2, 3);
    const root = sha256(concatBytes(Uint8Array.of(1), sibling, sha256(concatBytes(Uint8Array.of(0), leaf))));
    expect(verifyMerkleProof(root, leaf, { index: 2 ** 32, leafCount: 2 ** 32 + 1, path: [sibling] })).toBe(true);
    expect(verifyMerkleProof(root, leaf, { index: 0, leafCount: 2 ** 32 + 1, path: [sibling] })).toBe(false);
  });
});
