/**
 * Merkle trees of RFC 6962 §2.1 (unchanged in RFC 9162): leaves and nodes are hashed with different prefixes, and
 * an odd node moves up instead of being paired with itself. So no two lists of leaves share a root, and the twin
 * blocks of CVE-2012-2459 cannot be made.
 */
import { equalBytes } from './bytes.ts';
import { sha256 } from './hash.ts';

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;
const HASH_BYTES = 32;

/** Shows that a leaf stands at `index` in a tree of `leafCount` leaves. */
export interface MerkleProof {
  readonly index: number;
  readonly leafCount: number;
  /** Sibling hashes from the leaf upwards, 32 bytes each, at most ⌈log2 leafCount⌉. */
  readonly path: readonly Uint8Array[];
}

/**
 * O(n) hashes.
 *
 * @param leaves the leaves' contents, not their hashes
 * @returns 32 bytes; SHA-256 of nothing when there are no leaves
 */
export function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  return merkleRootOfHashes(leaves.map(merkleLeafHash));
}

/**
 * The same from hashes of leaves, for whoever has hashed them already.
 *
 * @param hashes of `merkleLeafHash`, 32 bytes each
 */
export function merkleRootOfHashes(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 0) return sha256(new Uint8Array(0));
  let level = hashes;
  while (level.length > 1) level = levelAbove(level);
  return level[0]!;
}

/**
 * RFC 9162 §2.1.3.1. O(n) hashes.
 *
 * @param leaves the leaves' contents, not their hashes
 * @param index which leaf, from 0
 * @throws RangeError when there is no such leaf
 */
export function merkleProof(leaves: readonly Uint8Array[], index: number): MerkleProof {
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length) {
    throw new RangeError(`no leaf ${index} among ${leaves.length}`);
  }
  const path: Uint8Array[] = [];
  let level: readonly Uint8Array[] = leaves.map(merkleLeafHash);
  let position = index;
  while (level.length > 1) {
    const sibling = level[position ^ 1];
    if (sibling !== undefined) path.push(sibling);
    level = levelAbove(level);
    position >>= 1;
  }
  return { index, leafCount: leaves.length, path };
}

/**
 * RFC 9162 §2.1.3.2. `leafCount` comes with the proof: whoever must be sure of it takes it from elsewhere.
 *
 * @param root 32 bytes
 * @param leaf the leaf's contents, not its hash
 * @returns false on any mismatch, malformed proofs included; never throws
 */
export function verifyMerkleProof(root: Uint8Array, leaf: Uint8Array, proof: MerkleProof): boolean {
  const { index, leafCount, path } = proof;
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(leafCount)) return false;
  if (index < 0 || index >= leafCount) return false;
  let position = index;
  let last = leafCount - 1;
  let hash = merkleLeafHash(leaf);
  for (const sibling of path) {
    if (last === 0 || sibling.length !== HASH_BYTES) return false; // longer than the tree is high
    if (position % 2 === 1 || position === last) {
      hash = hashNode(sibling, hash);
      // A last node without a right sibling moved up: skip the levels where it had none.
      while (position % 2 === 0 && position !== 0) {
        position = Math.floor(position / 2);
        last = Math.floor(last / 2);
      }
    } else {
      hash = hashNode(hash, sibling);
    }
    position = Math.floor(position / 2); // not >>, which is 32-bit
    last = Math.floor(last / 2);
  }
  return last === 0 && equalBytes(hash, root);
}

function levelAbove(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  const content = new Uint8Array(1 + 2 * HASH_BYTES);
  content[0] = NODE_PREFIX;
  for (let i = 0; i < level.length; i += 2) {
    const left = level[i]!;
    const right = level[i + 1];
    above.push(right === undefined ? left : hashPair(content, left, right));
  }
  return above;
}

/** The hash that stands for a leaf in the tree, 32 bytes. */
export function merkleLeafHash(leaf: Uint8Array): Uint8Array {
  const content = new Uint8Array(1 + leaf.length);
  content[0] = LEAF_PREFIX;
  content.set(leaf, 1);
  return sha256(content);
}

function hashNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  const content = new Uint8Array(1 + 2 * HASH_BYTES);
  content[0] = NODE_PREFIX;
  return hashPair(content, left, right);
}

/** `content`: the prefix and room for two hashes, used again for every node of a level. */
function hashPair(content: Uint8Array, left: Uint8Array, right: Uint8Array): Uint8Array {
  content.set(left, 1);
  content.set(right, 1 + HASH_BYTES);
  return sha256(content);
}
