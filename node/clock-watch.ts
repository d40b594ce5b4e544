/**
 * Notices that this node's clock is off. A block says when it was made. When most of the latest disagree with our clock
 * by more than the rules leave room for, it is our clock and not theirs.
 *
 * A node that complains is not ready, so others must not be able to make it complain for less than blocks cost. What
 * counts is on our main chain, or would be but for BLK-7: it has the work that our tip's child needs, done on our tip.
 *
 * - Ahead: blocks by gossip look old. What waited for its parent does too, and does not count.
 * - Behind: blocks on our tip are too new. But most of what a node far behind hears has an unknown parent, and shows
 *   no more than its own work, done whenever: it counts once its branch is ours, by how new it was when it was heard.
 * - Far behind that takes too long. But what sync brings is ahead of our clock, as it can be taken no sooner, which
 *   shows the way that the clock is off, not how far.
 * - The tip itself is too new: the clock has been set back since it came, as on a host that starts in 1970. Where it is
 *   genesis, either that, or the net is yet to begin: nothing tells the two apart.
 *
 * Most is most blocks, which takes most of the net's work, and most miners, so that one of much work with a bad clock
 * does not do. So any offset is believed. On a net that is idle a few blocks' work are most; who has them can as well
 * mine there, and they are forgotten in ten minutes.
 */
import type { BlockId, Header } from '../chain/types.ts';
import type { Address } from '../crypto/address.ts';
import type { ChainService } from './chain-service.ts';
import type { BlockOrigin, EventBus } from './events.ts';
import { Lru } from './lru.ts';
import type { Clock, Logger } from './ports.ts';

export interface ClockWatchDeps {
  readonly clock: Clock;
  readonly events: EventBus;
  readonly chain: Pick<ChainService, 'tip'>;
  readonly logger: Logger;
  /** BLK-7's limit: a clock behind by more refuses everybody's blocks, and ahead by more has its own refused. */
  readonly maxFutureMs: number;
  readonly blockTimeMs: number;
}

const MAX_BLOCKS = 32;
/** Headers without a parent that are remembered: eight minutes' of a net with a block every two seconds. */
const MAX_ORPHANS = 256;
const ENOUGH_BLOCKS = 5;
/** A miner may work on one template this long before it looks at its clock again, and the block has to travel. */
const BLOCK_AGE_MS = 15_000;
const FORGET_MS = 600_000;
/** Where blocks are slow: so many block times seldom hold fewer than `ENOUGH_BLOCKS`. */
const FORGET_BLOCK_TIMES = 10;
const REPEAT_MS = 60_000;
/** The system clock has been set when it leaves the monotonic one by more than this; rates are adjusted in both. */
const STEP_MS = 1_000;

interface Sample {
  readonly miner: Address;
  /** What it says of our clock. */
  readonly way: 'ahead' | 'right' | 'behind';
  /** Our clock less the block's. */
  readonly offsetMs: number;
  readonly atMs: number;
}

/** Bounds: a sample for each of `MAX_BLOCKS` blocks, a number for each of `MAX_ORPHANS`, and one log line a minute. */
export class ClockWatch {
  readonly #deps: ClockWatchDeps;
  readonly #forgetMs: number;
  /** The latest at the end. Those too old to count stay, so that their blocks do not count again. */
  readonly #samples = new Map<BlockId, Sample>();
  /** Our clock less the header's, when it came. */
  #orphans = new Lru<BlockId, number>(MAX_ORPHANS);
  /** System clock less monotonic clock, when the first sample was taken. */
  #epochMs: number;
  #saidAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: ClockWatchDeps) {
    this.#deps = deps;
    this.#forgetMs = Math.max(FORGET_MS, FORGET_BLOCK_TIMES * deps.blockTimeMs);
    this.#epochMs = this.#epoch();
  }

  /** Hears of every block from now on, until the disposer is called, and says so where the clock is behind the tip. */
  follow(): () => void {
    const off = this.#deps.events.on('block', ({ entry, from }) => this.#onBlock(entry.header, from));
    this.#warn();
    return off;
  }

  /** How far the clock is off, in words, by the blocks heard lately; undefined: not by more than the rules leave room for. */
  get complaint(): string | undefined {
    const offsetMs = this.#offsetMs();
    if (offsetMs === undefined) return undefined;
    const seconds = Math.round(Math.abs(offsetMs) / 1000);
    const by = offsetMs > 0 ? `about ${seconds} s ahead of` : `at least ${seconds} s behind`;
    return `this node's clock is ${by} its peers': set it, or blocks will be refused`;
  }

  /** Takes a header that has its work done and no parent, or that keeps BLK-3..BLK-6 and would be a better tip but for BLK-7. */
  onEarlyHeader(header: Header, why: 'orphan' | 'too-new'): void {
    this.#forgetOtherClock();
    const offsetMs = this.#offsetOf(header);
    if (why === 'too-new') this.#observe(header, 'behind', offsetMs);
    else if (this.#orphans.get(header.id) === undefined) this.#orphans.set(header.id, offsetMs);
  }

  #onBlock(header: Header, from: BlockOrigin): void {
    const { maxFutureMs } = this.#deps;
    if (from === 'mined' || from === 'reorg') return;
    this.#forgetOtherClock();
    const offsetMs = this.#offsetOf(header);
    const asOrphanMs = this.#orphans.get(header.id);
    if (asOrphanMs !== undefined) {
      if (asOrphanMs < -maxFutureMs) this.#observe(header, 'behind', asOrphanMs);
    } else if (from === 'sync') {
      // Half, for sync may come seconds after it could. With a clock that is right nothing comes before its time.
      if (offsetMs < -maxFutureMs / 2) this.#observe(header, 'behind', offsetMs);
    } else this.#observe(header, offsetMs > maxFutureMs + BLOCK_AGE_MS ? 'ahead' : 'right', offsetMs);
  }

  #observe({ id, miner }: Header, way: Sample['way'], offsetMs: number): void {
    if (this.#samples.has(id)) return;
    this.#samples.set(id, { miner, way, offsetMs, atMs: this.#deps.clock.monotonicMs() });
    if (this.#samples.size > MAX_BLOCKS) this.#samples.delete(this.#samples.keys().next().value!);
    this.#warn();
  }

  /** Undefined: as far as is known, the clock is right. */
  #offsetMs(): number | undefined {
    const { clock, chain, maxFutureMs } = this.#deps;
    const tipOffsetMs = this.#offsetOf(chain.tip.header);
    if (tipOffsetMs < -maxFutureMs) return tipOffsetMs;
    this.#forgetOtherClock();
    const nowMs = clock.monotonicMs();
    const samples = [...this.#samples.values()].filter(({ atMs }) => nowMs - atMs <= this.#forgetMs);
    if (samples.length < ENOUGH_BLOCKS) return undefined;
    const latest = new Map(samples.map((sample) => [sample.miner, sample]));
    for (const way of ['ahead', 'behind'] as const) {
      const says = (sample: Sample): boolean => sample.way === way;
      if (!isMost([...latest.values()], says) || !isMost(samples, says)) continue;
      const offsets = samples.filter(says).map(({ offsetMs }) => offsetMs);
      return offsets.sort((a, b) => a - b)[offsets.length >> 1]!;
    }
    return undefined;
  }

  #forgetOtherClock(): void {
    const epochMs = this.#epoch();
    if (Math.abs(epochMs - this.#epochMs) <= STEP_MS) return;
    this.#epochMs = epochMs;
    this.#samples.clear();
    this.#orphans = new Lru(MAX_ORPHANS);
  }

  #warn(): void {
    const { clock, logger } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#saidAtMs < REPEAT_MS) return;
    const offsetMs = this.#offsetMs();
    if (offsetMs === undefined) return;
    this.#saidAtMs = nowMs;
    logger.warn({ offsetMs }, this.complaint!);
  }

  #offsetOf({ timestampMs }: Header): number {
    return this.#deps.clock.nowMs() - Number(timestampMs);
  }

  #epoch(): number {
    const { clock } = this.#deps;
    return clock.nowMs() - clock.monotonicMs();
  }
}

function isMost(samples: readonly Sample[], says: (sample: Sample) => boolean): boolean {
  return 2 * samples.filter(says).length > samples.length;
}
