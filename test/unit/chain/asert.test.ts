import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { asertTarget, effectiveTimeMs, nextBits } from '../../../chain/asert.ts';
import { makeHeader, ZERO_ADDRESS, ZERO_BLOCK_ID } from '../../../chain/codec.ts';
import { genesisDoc, parseGenesis } from '../../../chain/genesis.ts';
import { medianTime } from '../../../chain/median-time.ts';
import { type ChainParams, MEDIAN_TIME_SPAN } from '../../../chain/params.ts';
import { bitsToTarget, targetToBits, workOfTarget } from '../../../chain/target.ts';
import type { ChainEntry } from '../../../chain/types.ts';

interface AsertVectors {
  readonly idealBlockTime: number;
  readonly halfLife: number;
  readonly powLimitBits: string;
  readonly runs: readonly {
    readonly name: string;
    readonly anchorHeight: string;
    readonly anchorParentTime: string;
    readonly anchorBits: string;
    readonly rows: readonly string[];
  }[];
}

const vectors: AsertVectors = JSON.parse(readFileSync(new URL('../../vectors/asert.json', import.meta.url), 'utf8'));
const { params } = parseGenesis(genesisDoc({ timestampMs: 0, alloc: [], voters: [] }));

describe('aserti3-2d vectors of Bitcoin Cash', () => {
  it('are all twelve runs', () => {
    expect(vectors.runs).toHaveLength(12);
  });

  it.each(vectors.runs)('$name', (run) => {
    expect(run.rows.length).toBeGreaterThanOrEqual(10);
    for (const row of run.rows) {
      const [height, time, bits] = row.split(' ') as [string, string, string];
      const target = asertTarget({
        anchorTarget: bitsToTarget(Number(run.anchorBits))!,
        timeDiff: BigInt(time) - BigInt(run.anchorParentTime),
        // The anchor's time is its parent's, so the blocks from there are one more than from the anchor.
        heightDiff: BigInt(height) - BigInt(run.anchorHeight) + 1n,
        idealBlockTime: BigInt(vectors.idealBlockTime),
        halfLife: BigInt(vectors.halfLife),
        powLimit: bitsToTarget(Number(vectors.powLimitBits))!,
      });
      expect(`${height} ${targetToBits(target).toString(16)}`).toBe(`${height} ${Number(bits).toString(16)}`);
    }
  });
});

describe('nextBits', () => {
  it('gives block 1 the initial target', () => {
    expect(nextBits(params, { height: 0n, effectiveTimeMs: 0n }, 0n)).toBe(params.initialBits);
  });

  it('keeps the target on schedule and does not care where the clock starts', () => {
    for (const start of [0n, -5_000n, 1_700_000_000_000n]) {
      const parent = { height: 500n, effectiveTimeMs: start + 500n * BigInt(params.blockTimeMs) };
      expect(nextBits(params, parent, start)).toBe(params.initialBits);
    }
  });

  it('doubles the target for a half-life behind and halves it for one ahead', () => {
    const onTime = bitsToTarget(params.initialBits)!;
    const halfLife = BigInt(params.halfLifeMs);
    expect(nextBits(params, { height: 0n, effectiveTimeMs: halfLife }, 0n)).toBe(targetToBits(onTime * 2n));
    expect(nextBits(params, { height: 0n, effectiveTimeMs: -halfLife }, 0n)).toBe(targetToBits(onTime / 2n));
  });

  it.each([
    ['2^80 ms behind', 1n << 80n, 'limit'],
    ['2^80 ms ahead', -(1n << 80n), 'one'],
  ])('clamps %s without a huge shift', (_, effectiveTimeMs, end) => {
    const expected = end === 'limit' ? params.powLimitBits : targetToBits(1n);
    expect(nextBits(params, { height: 1n, effectiveTimeMs }, 0n)).toBe(expected);
  });

  it('throws for params without a target', () => {
    expect(() => nextBits({ ...params, initialBits: 0 }, { height: 0n, effectiveTimeMs: 0n }, 0n)).toThrow(RangeError);
  });
});

describe('effectiveTimeMs', () => {
  it.each([
    ['in full below the cap', 1_500n, 1_200n],
    ['up to the cap', 1_000n + BigInt(params.maxSolveTimeMs), 700n + BigInt(params.maxSolveTimeMs)],
    ['not beyond the cap', 1_001n + BigInt(params.maxSolveTimeMs), 700n + BigInt(params.maxSolveTimeMs)],
    ['not far beyond the cap', 1n << 60n, 700n + BigInt(params.maxSolveTimeMs)],
    ['before the parent’s as none', 100n, 700n],
  ])('counts a solve time %s', (_, timestampMs, expected) => {
    expect(effectiveTimeMs(params, 700n, [1_000n], timestampMs)).toBe(expected);
  });

  it('goes from the latest of the last eleven timestamps to the latest of eleven with the new one', () => {
    expect(effectiveTimeMs(params, 700n, [1_000n, 1_400n, 900n], 1_300n)).toBe(700n);
    expect(effectiveTimeMs(params, 700n, [1_000n, 1_400n, 900n], 1_500n)).toBe(800n);
    // The latest falls out of the eleven: what it was ahead is taken back, and counted when it comes.
    const recent = [...Array<bigint>(10).fill(1_000n), 9_000n];
    expect(effectiveTimeMs(params, 700n, recent, 1_100n)).toBe(700n - 7_900n);
  });

  it('takes back no more than the cap let on', () => {
    const capMs = BigInt(params.maxSolveTimeMs);
    const recent = [...Array<bigint>(10).fill(1_000n), 1_000n + 10n * capMs];
    expect(effectiveTimeMs(params, 700n, recent, 1_100n)).toBe(700n - capMs);
    const justAbove = [...Array<bigint>(10).fill(1_000n), 1_001n + capMs];
    expect(effectiveTimeMs(params, 700n, justAbove, 1_000n)).toBe(700n - capMs);
  });
});

describe('difficulty over time', () => {
  it.each([
    ['stays', 1],
    ['rises tenfold', 10],
    ['falls to a tenth', 0.1],
  ])('settles within 15 % of the block time when the hash rate %s', (_, factor) => {
    const chain = simulation(20_250_101);
    const baseRate = 80; // hashes per ms: what initialBits are made for
    chain.run(300, baseRate);
    // The step moves the schedule by log2(10) half-lives, 100 blocks at the ideal interval; ten half-lives pass.
    chain.run(300, baseRate * factor);
    const meanMs = chain.run(2_000, baseRate * factor) / 2_000;
    expect(Math.abs(meanMs / params.blockTimeMs - 1)).toBeLessThan(0.15);
  });

  it('an overnight pause costs at most maxSolveTimeMs of lag', () => {
    const chain = simulation(7);
    chain.run(300, 80);
    const before = { ...chain.tip };
    chain.pause(9 * 3_600_000);
    chain.run(1, 80);
    const lagMs = chain.tip.effectiveTimeMs - before.effectiveTimeMs;
    expect(lagMs).toBe(BigInt(params.maxSolveTimeMs));
    const easier = Number(chain.target() / (bitsToTarget(before.header.bits)! >> 8n)) / 256;
    expect(easier).toBeGreaterThan(1.5);
    expect(easier).toBeLessThan(2.5);
    // Without the cap the lag is 540 half-lives and the next 16,000 blocks come at the easiest target.
    const uncapped = { height: chain.tip.header.height, effectiveTimeMs: before.effectiveTimeMs + 9n * 3_600_000n };
    expect(nextBits(params, uncapped, 0n)).toBe(params.powLimitBits);
    chain.run(300, 80);
    expect(Math.abs(chain.run(2_000, 80) / 2_000 / params.blockTimeMs - 1)).toBeLessThan(0.15);
  });
});

describe('difficulty against clocks', () => {
  const dueAfter = (chain: Simulation): number =>
    Number((bitsToTarget(params.initialBits)! << 16n) / chain.target()) / 65_536;

  it.each([
    ['ten minutes', 600_000],
    ['an hour', 3_600_000],
    ['a day', 86_400_000],
  ])('one block %s ahead, as a host whose clock jumps and is set back would write, changes little', (_, aheadMs) => {
    const chain = simulation(11);
    chain.run(300, 80);
    chain.add(aheadMs);
    chain.run(12, 80);
    expect(dueAfter(chain)).toBeGreaterThan(0.25);
    expect(dueAfter(chain)).toBeLessThan(4);
  });

  it('eleven blocks with the earliest timestamps after a night’s pause change little', () => {
    const chain = simulation(12);
    chain.run(300, 80);
    chain.pause(8 * 3_600_000);
    chain.add(0);
    for (let i = 0; i < 11; i++) chain.add('earliest');
    expect(dueAfter(chain)).toBeGreaterThan(0.25);
    expect(dueAfter(chain)).toBeLessThan(4);
  });
});

function headerAt(timestampMs: bigint, height = 0n, bits = params.initialBits): ChainEntry['header'] {
  const txRoot = new Uint8Array(32);
  return makeHeader({ height, parent: ZERO_BLOCK_ID, txRoot, timestampMs, bits, miner: ZERO_ADDRESS, nonce: 0n });
}

/** Blocks at exponential solve times, as proof of work gives them, from a seeded generator. */
interface Simulation {
  readonly tip: Pick<ChainEntry, 'header' | 'effectiveTimeMs'>;
  target(): bigint;
  pause(ms: number): void;
  /** A block at once, with a timestamp that far from now, or the earliest there may be. */
  add(timestamp: number | 'earliest'): void;
  run(blocks: number, hashesPerMs: number): number;
}

function simulation(seed: number): Simulation {
  const unit = mulberry32(seed);
  let nowMs = 0;
  let tip = { header: headerAt(0n), effectiveTimeMs: 0n };
  let recent: readonly bigint[] = [0n];
  const rules: ChainParams = params;
  const bits = (): number => nextBits(rules, { height: tip.header.height, effectiveTimeMs: tip.effectiveTimeMs }, 0n);
  const append = (timestampMs: bigint): void => {
    const effective = effectiveTimeMs(rules, tip.effectiveTimeMs, recent, timestampMs);
    tip = { header: headerAt(timestampMs, tip.header.height + 1n, bits()), effectiveTimeMs: effective };
    recent = [timestampMs, ...recent].slice(0, MEDIAN_TIME_SPAN);
  };
  return {
    get tip() {
      return tip;
    },
    target: () => bitsToTarget(bits())!,
    pause: (ms) => {
      nowMs += ms;
    },
    add: (timestamp) =>
      append(timestamp === 'earliest' ? medianTime(recent) + 1n : BigInt(Math.round(nowMs)) + BigInt(timestamp)),
    /** Returns the time it took, ms. */
    run: (blocks, hashesPerMs) => {
      const startMs = nowMs;
      for (let i = 0; i < blocks; i += 1) {
        const childBits = bits();
        const hashes = Number(workOfTarget(bitsToTarget(childBits)!));
        nowMs += (-Math.log(1 - unit()) * hashes) / hashesPerMs;
        append(BigInt(Math.round(nowMs)));
      }
      return nowMs - startMs;
    },
  };
}

/** Mulberry32: small and seeded; uniform in [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
