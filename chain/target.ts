/**
 * Targets in Bitcoin's compact form ("nBits"): one byte of size, three of mantissa, whose top bit is a sign that a
 * target never has. A target has exactly one compact form, so a header cannot be re-spelt.
 */
import type { BlockId } from './types.ts';

const TWO_POW_256 = 1n << 256n;

/**
 * The 256-bit target that `bits` (u32) stands for; undefined where it is zero, negative, above 2^256 − 1, or not
 * the form that `targetToBits` gives.
 */
export function bitsToTarget(bits: number): bigint | undefined {
  const size = bits >>> 24;
  const mantissa = bits & 0x00ff_ffff;
  if (mantissa === 0 || mantissa > 0x7f_ffff || size > 34) return undefined;
  const target = size <= 3 ? BigInt(mantissa >>> (8 * (3 - size))) : BigInt(mantissa) << BigInt(8 * (size - 3));
  if (target === 0n || target >= TWO_POW_256) return undefined;
  return targetToBits(target) === bits ? target : undefined;
}

/**
 * The compact form of a target, rounded down to what three bytes hold.
 * @throws RangeError unless 0 < target < 2^256
 */
export function targetToBits(target: bigint): number {
  if (target <= 0n || target >= TWO_POW_256) throw new RangeError('a target is between 1 and 2^256 - 1');
  let size = Math.ceil(target.toString(16).length / 2);
  let mantissa = Number(size <= 3 ? target << BigInt(8 * (3 - size)) : target >> BigInt(8 * (size - 3)));
  if (mantissa > 0x7f_ffff) {
    mantissa >>>= 8;
    size += 1;
  }
  return size * 0x100_0000 + mantissa;
}

/** Expected hashes to meet `target`: 2^256 / (target + 1), rounded down; the work that total work sums. */
export function workOfTarget(target: bigint): bigint {
  return TWO_POW_256 / (target + 1n);
}

/** Whether the id, as a big-endian integer, is at or below the target; false for bits that stand for none. */
export function meetsTarget(id: BlockId, bits: number): boolean {
  const target = bitsToTarget(bits);
  return target !== undefined && BigInt(`0x${id}`) <= target;
}

/**
 * The target that takes `expectedHashes` tries on average, in compact form.
 * @throws RangeError unless 1 ≤ expectedHashes ≤ 2^255
 */
export function bitsForHashes(expectedHashes: bigint): number {
  if (expectedHashes < 1n || expectedHashes > TWO_POW_256 / 2n) throw new RangeError('expected hashes out of range');
  return targetToBits(TWO_POW_256 / expectedHashes - 1n);
}
