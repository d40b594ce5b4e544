/**
 * The search for a nonce: double SHA-256 of a header whose last 8 bytes count up. The first 64 bytes are hashed
 * once (the midstate) and the state copied for each nonce.
 */
import { sha256 } from '@noble/hashes/sha2.js';

const BLOCK_BYTES = 64;
const NONCE_BYTES = 8;

export interface PowSearch {
  /**
   * Tries `count` nonces from `start` on; returns the first whose hash, read big-endian, is at or below the target,
   * else undefined.
   */
  search(start: bigint, count: number): bigint | undefined;
}

/**
 * Prepares a search.
 * @param header the encoded header, longer than 72 bytes; its last 8 bytes are the nonce, big-endian
 * @param target 32 bytes, big-endian
 * @throws {RangeError} for other lengths
 */
export function createPowSearch(header: Uint8Array, target: Uint8Array): PowSearch {
  if (header.length < BLOCK_BYTES + NONCE_BYTES) throw new RangeError(`header of ${header.length} bytes is too short`);
  if (target.length !== 32) throw new RangeError(`target of ${target.length} bytes, expected 32`);
  const midstate = sha256.create().update(header.subarray(0, BLOCK_BYTES));
  const tail = header.slice(BLOCK_BYTES);
  const tailView = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const nonceAt = tail.length - NONCE_BYTES;
  const inner = sha256.create();
  const outer = sha256.create();
  const empty = sha256.create();
  const digest = new Uint8Array(32);

  return {
    search(start, count) {
      for (let i = 0; i < count; i++) {
        const nonce = start + BigInt(i);
        tailView.setBigUint64(nonceAt, nonce);
        midstate._cloneInto(inner).update(tail).digestInto(digest);
        empty._cloneInto(outer).update(digest).digestInto(digest);
        if (isAtMost(digest, target)) return nonce;
      }
      return undefined;
    },
  };
}

/** Both 32 bytes, big-endian. */
function isAtMost(value: Uint8Array, limit: Uint8Array): boolean {
  for (let i = 0; i < 32; i++) {
    const difference = value[i]! - limit[i]!;
    if (difference !== 0) return difference < 0;
  }
  return true;
}
