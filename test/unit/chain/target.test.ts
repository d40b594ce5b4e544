import { describe, expect, it } from 'vitest';
import { bitsForHashes, bitsToTarget, meetsTarget, targetToBits, workOfTarget } from '../../../chain/target.ts';
import type { BlockId } from '../../../chain/types.ts';
import { fc } from '../../fast-check.ts';

const MAX_TARGET = (1n << 256n) - 1n;
const id = (value: bigint): BlockId => value.toString(16).padStart(64, '0') as BlockId;

describe('compact targets', () => {
  it.each([
    ['0x1d00ffff', 0xffffn << 208n],
    ['0x1b0404cb', 0x0404cbn << 192n],
    ['0x01010000', 1n],
    ['0x02008000', 0x80n],
    ['0x03123456', 0x123456n],
    ['0x05009234', 0x92340000n],
    ['0x20123456', 0x123456n << 232n],
    ['0x2100ffff', 0xffffn << 240n],
  ])('%s reads as Bitcoin reads it, and back', (bits, target) => {
    expect(bitsToTarget(Number(bits))).toBe(target);
    expect(targetToBits(target)).toBe(Number(bits));
  });

  it.each([
    ['zero', 0],
    ['zero mantissa', 0x1d000000],
    ['mantissa shifted away', 0x00123456],
    ['mantissa shifted away, size 1', 0x01003456],
    ['negative', 0x1d80ffff],
    ['negative one', 0x01fedcba],
    ['above 2^256', 0x23000100],
    ['above 2^256, size 33', 0x21010000],
    ['not shortest: leading zero byte', 0x1e0000ff],
    ['bits that are dropped', 0x01123456],
    ['largest u32', 0xffffffff],
  ])('refuses %s', (_, bits) => {
    expect(bitsToTarget(bits)).toBeUndefined();
    expect(meetsTarget(id(0n), bits)).toBe(false);
  });

  it('has one spelling per target, over all u32', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (bits) => {
        const target = bitsToTarget(bits);
        expect(target === undefined ? bits : targetToBits(target)).toBe(bits);
      }),
      { numRuns: 2_000 },
    );
  });

  it('rounds a target down by less than one part in 2^15', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: MAX_TARGET }), (target) => {
        const rounded = bitsToTarget(targetToBits(target));
        expect(rounded).toBeDefined();
        expect(rounded! <= target && target - rounded! <= target >> 15n).toBe(true);
      }),
    );
  });

  it.each([0n, -1n, MAX_TARGET + 1n])('throws for the target %s', (target) => {
    expect(() => targetToBits(target)).toThrow(RangeError);
  });
});

describe('work', () => {
  it('is the expected number of hashes', () => {
    expect(workOfTarget(MAX_TARGET)).toBe(1n);
    expect(workOfTarget((1n << 255n) - 1n)).toBe(2n);
    // Bitcoin's genesis: difficulty 1
    expect(workOfTarget(bitsToTarget(0x1d00ffff)!)).toBe(0x1_0001_0001n);
  });

  it.each([1n, 2n, 256n, 160_000n, 10n ** 12n, 1n << 255n])('bitsForHashes(%s) gives about that work', (hashes) => {
    const work = workOfTarget(bitsToTarget(bitsForHashes(hashes))!);
    expect(work >= hashes && work - hashes <= hashes >> 14n).toBe(true);
  });

  it.each([0n, -5n, (1n << 255n) + 1n])('bitsForHashes(%s) throws', (hashes) => {
    expect(() => bitsForHashes(hashes)).toThrow(RangeError);
  });

  it('meets a target at it, not above it', () => {
    const target = bitsToTarget(0x1d00ffff)!;
    expect(meetsTarget(id(target), 0x1d00ffff)).toBe(true);
    expect(meetsTarget(id(target + 1n), 0x1d00ffff)).toBe(false);
    expect(meetsTarget(id(0n), 0x1d00ffff)).toBe(true);
    expect(meetsTarget(id(MAX_TARGET), 0x1d00ffff)).toBe(false);
  });
});
