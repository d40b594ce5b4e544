import { effectiveTimeMs, nextBits } from '../asert.ts';
import { medianTime } from '../median-time.ts';
import type { ChainParams } from '../params.ts';
import type { BlockReason } from '../reasons.ts';
import { bitsToTarget, meetsTarget, workOfTarget } from '../target.ts';
import type { ChainEntry, Header } from '../types.ts';
import { accept, ignore, reject, type Verdict } from '../verdict.ts';

/** What a header is checked against. */
export interface HeaderContext {
  readonly parent: ChainEntry;
  /** Timestamps of the parent and its ancestors, newest first, up to MEDIAN_TIME_SPAN of them: `recentTimestamps`. */
  readonly recentTimesMs: readonly bigint[];
  /** The node's clock, ms since the epoch. */
  readonly nowMs: bigint;
  readonly params: ChainParams;
  readonly genesisEffectiveTimeMs: bigint;
}

/**
 * BLK-3 alone: the id meets the header's own target, which is no easier than the net's limit. Needs no parent, so
 * it can go before anything is fetched, parked or stored for a header's sake.
 */
export function checkHeaderWork(header: Header, params: ChainParams): Verdict<Header, BlockReason> {
  const target = bitsToTarget(header.bits);
  const limit = bitsToTarget(params.powLimitBits);
  if (target === undefined || limit === undefined || target > limit) return reject('block/bad-pow');
  if (!meetsTarget(header.id, header.bits)) return reject('block/bad-pow');
  return accept(header);
}

/**
 * Rules BLK-3..BLK-7 and BLK-16 for a header whose parent is valid. Accepts with what the block tree keeps of it,
 * less the order of arrival. Only two ignore: a parent that is not this header's (BLK-16, parked), and a timestamp
 * ahead of our clock (BLK-7), which may be right by its miner's.
 */
export function checkHeader(header: Header, context: HeaderContext): Verdict<Omit<ChainEntry, 'arrival'>, BlockReason> {
  const { parent, params, recentTimesMs } = context;
  if (header.parent !== parent.header.id) return ignore('block/unknown-parent'); // BLK-16
  if (header.height !== parent.header.height + 1n) return reject('block/wrong-height'); // BLK-4
  const position = { height: parent.header.height, effectiveTimeMs: parent.effectiveTimeMs };
  if (header.bits !== nextBits(params, position, context.genesisEffectiveTimeMs)) return reject('block/wrong-target'); // BLK-5
  const work = checkHeaderWork(header, params);
  if (work.kind !== 'accept') return work; // BLK-3
  if (header.timestampMs <= medianTime(recentTimesMs)) return reject('block/timestamp-too-old'); // BLK-6
  if (header.timestampMs > context.nowMs + BigInt(params.maxFutureMs)) return ignore('block/timestamp-too-new'); // BLK-7
  return accept({
    header,
    totalWork: parent.totalWork + workOfTarget(bitsToTarget(header.bits)!),
    effectiveTimeMs: effectiveTimeMs(params, parent.effectiveTimeMs, recentTimesMs, header.timestampMs),
  });
}
