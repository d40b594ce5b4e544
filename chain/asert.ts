/**
 * Difficulty: ASERT, Bitcoin Cash's aserti3-2d in milliseconds
 * (https://documentation.cash/protocol/forks/2020-11-15-asert). The target depends only on how far the chain is
 * ahead of or behind its schedule, so it does not oscillate, whatever the hash rate does.
 */
import { type ChainParams, MEDIAN_TIME_SPAN } from './params.ts';
import { bitsToTarget, targetToBits } from './target.ts';

/** Times in any one unit; the Bitcoin Cash vectors use seconds. */
export interface AsertInput {
  readonly anchorTarget: bigint;
  /** Time that `heightDiff` blocks took. */
  readonly timeDiff: bigint;
  readonly heightDiff: bigint;
  readonly idealBlockTime: bigint;
  readonly halfLife: bigint;
  readonly powLimit: bigint;
}

/**
 * anchorTarget · 2^((timeDiff − idealBlockTime · heightDiff) / halfLife), between 1 and powLimit.
 *
 * Integer-exact: 2^x on [0, 1) is 1 + 0.695502049·x + 0.2262698·x² + 0.0782318·x³ in 16-bit fixed point, less than
 * 0.013 % off. The division truncates towards zero and the shift floors, as in the reference.
 */
export function asertTarget(input: AsertInput): bigint {
  const { anchorTarget, timeDiff, heightDiff, idealBlockTime, halfLife, powLimit } = input;
  const exponent = ((timeDiff - idealBlockTime * heightDiff) << 16n) / halfLife;
  const doublings = exponent >> 16n;
  // Beyond these the result is clamped whatever the anchor, and a shift by a huge count would eat the memory.
  if (doublings > 256n) return powLimit;
  if (doublings < -256n) return 1n;
  const x = exponent & 0xffffn;
  const factor =
    65_536n + ((195_766_423_245_049n * x + 971_821_376n * x * x + 5_127n * x * x * x + (1n << 47n)) >> 48n);
  const shift = doublings - 16n;
  const target = shift < 0n ? (anchorTarget * factor) >> -shift : (anchorTarget * factor) << shift;
  if (target < 1n) return 1n;
  return target > powLimit ? powLimit : target;
}

/**
 * The target, compact, that a child of `parent` must have (BLK-5). The anchor is genesis, with `initialBits`.
 * @param parent height, and chain clock in ms as `effectiveTimeMs` gives it
 * @throws RangeError where `params` hold bits that `parseGenesis` would refuse.
 */
export function nextBits(
  params: ChainParams,
  parent: { readonly height: bigint; readonly effectiveTimeMs: bigint },
  genesisEffectiveTimeMs: bigint,
): number {
  const anchorTarget = bitsToTarget(params.initialBits);
  const powLimit = bitsToTarget(params.powLimitBits);
  if (anchorTarget === undefined || powLimit === undefined) throw new RangeError('params hold no valid target');
  const target = asertTarget({
    anchorTarget,
    timeDiff: parent.effectiveTimeMs - genesisEffectiveTimeMs,
    heightDiff: parent.height,
    idealBlockTime: BigInt(params.blockTimeMs),
    halfLife: BigInt(params.halfLifeMs),
    powLimit,
  });
  return targetToBits(target);
}

/**
 * The chain clock at a block with `timestampMs`: its parent's plus the time by which the chain's latest timestamp moved,
 * of which at most `maxSolveTimeMs` counts either way (ADR 0003). The latest, not the last: an early timestamp would
 * move the clock back by more than the next honest block, which the cap may hold, moves it on. And either way: where the
 * cap has held a step on, the step back, when that timestamp leaves the window, must not count in full.
 *
 * @param parentEffectiveTimeMs ms, the clock at the parent
 * @param recentTimesMs ms since the epoch, of the parent and its ancestors, as `recentTimestamps` gives them
 */
export function effectiveTimeMs(
  params: ChainParams,
  parentEffectiveTimeMs: bigint,
  recentTimesMs: readonly bigint[],
  timestampMs: bigint,
): bigint {
  const before = latestOf(recentTimesMs);
  const after = latestOf([timestampMs, ...recentTimesMs.slice(0, MEDIAN_TIME_SPAN - 1)]);
  const movedMs = after - before;
  const capMs = BigInt(params.maxSolveTimeMs);
  if (movedMs > capMs) return parentEffectiveTimeMs + capMs;
  return parentEffectiveTimeMs + (movedMs < -capMs ? -capMs : movedMs);
}

function latestOf(times: readonly bigint[]): bigint {
  return times.reduce((latest, time) => (time > latest ? time : latest));
}
