/**
 * Notices that this node's clock is off. A block fresh from gossip says when it was made. When most miners' latest
 * blocks disagree with our clock by more than the rules leave room for, it is our clock and not theirs.
 */
import type { Header } from '../chain/types.ts';
import type { Address } from '../crypto/address.ts';
import type { Clock, Logger } from './ports.ts';

export interface ClockWatchDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** BLK-7's limit: a clock behind by more refuses everybody's blocks, and ahead by more has its own refused. */
  readonly maxFutureMs: number;
}

const MAX_MINERS = 32;
const ENOUGH_BLOCKS = 5;
/** A miner may work on one template this long before it looks at its clock again, and the block has to travel. */
const BLOCK_AGE_MS = 15_000;
const FORGET_MS = 600_000;
const REPEAT_MS = 60_000;

interface Sample {
  readonly offsetMs: number;
  readonly atMs: number;
}

/** Bounds: one number for each of the miners heard last, and one log line a minute. */
export class ClockWatch {
  readonly #deps: ClockWatchDeps;
  /** By miner, the one heard last at the end. One miner counts once, however many blocks it finds. */
  readonly #samples = new Map<Address, Sample>();
  #blocks = 0;
  #saidAtMs = Number.NEGATIVE_INFINITY;
  #complaint: string | undefined;

  constructor(deps: ClockWatchDeps) {
    this.#deps = deps;
  }

  /** How far the clock is off, in words, by the blocks heard lately; undefined: not by more than the rules leave room for. */
  get complaint(): string | undefined {
    return this.#complaint;
  }

  /** Takes a header that just came by gossip and whose work is good: it costs to lie here. */
  observe({ miner, timestampMs }: Pick<Header, 'miner' | 'timestampMs'>): void {
    const { clock, logger, maxFutureMs } = this.#deps;
    const atMs = clock.monotonicMs();
    this.#samples.delete(miner);
    this.#samples.set(miner, { offsetMs: clock.nowMs() - Number(timestampMs), atMs });
    for (const [each, sample] of this.#samples) {
      if (this.#samples.size > MAX_MINERS || atMs - sample.atMs > FORGET_MS) this.#samples.delete(each);
      else break;
    }
    this.#blocks += 1;
    if (this.#blocks < ENOUGH_BLOCKS) return;
    const offsets = Array.from(this.#samples.values(), ({ offsetMs }) => offsetMs);
    const ahead = offsets.filter((offsetMs) => offsetMs > maxFutureMs + BLOCK_AGE_MS);
    const behind = offsets.filter((offsetMs) => offsetMs < -maxFutureMs);
    const most = [ahead, behind].find((group) => 2 * group.length > offsets.length);
    this.#complaint = undefined;
    if (most === undefined) return;
    const offsetMs = most.sort((a, b) => a - b)[most.length >> 1]!;
    const way = offsetMs > 0 ? 'ahead of' : 'behind';
    const seconds = Math.round(Math.abs(offsetMs) / 1000);
    this.#complaint = `this node's clock is about ${seconds} s ${way} its peers': set it, or blocks will be refused`;
    if (atMs - this.#saidAtMs < REPEAT_MS) return;
    this.#saidAtMs = atMs;
    logger.warn({ offsetMs }, this.#complaint);
  }
}
