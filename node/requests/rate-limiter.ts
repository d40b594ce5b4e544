/**
 * When a peer's next request is answered: so many at once, the others so far apart, whatever it sends. A peer costs no more
 * than a handshake, so that what comes at once can be bounded for all of them together too.
 */
import type { Clock, PeerKey } from '../ports.ts';
import { VirtualSchedule } from '../virtual-schedule.ts';

export interface Pace {
  /** Requests of a peer that are answered at once. */
  readonly burst: number;
  /** Between the others. */
  readonly intervalMs: number;
  /** A request that would have to wait longer is refused. Below what the asking side takes for a stall. */
  readonly maxWaitMs: number;
}

/** What all peers together have beyond their steady paces: whoever comes under ever new names, all of them. */
export class SharedBurst {
  readonly #schedule: VirtualSchedule;
  readonly #maxAheadMs: number;

  /** @param pace so many at once, and then one each so many milliseconds */
  constructor(clock: Pick<Clock, 'monotonicMs'>, pace: Pick<Pace, 'burst' | 'intervalMs'>) {
    this.#schedule = new VirtualSchedule(clock, pace.intervalMs);
    this.#maxAheadMs = (pace.burst - 1) * pace.intervalMs;
  }

  get isSpent(): boolean {
    return this.#schedule.aheadMs(ALL) > this.#maxAheadMs;
  }

  take(): void {
    this.#schedule.add(ALL, 1);
  }
}

const ALL = 'all';

/**
 * Specification: a request that comes when the peer's next is due at its steady pace is answered at once, whatever others
 * do. One that comes sooner is answered at once too while the peer's burst lasts, and the shared one, if there is one;
 * else when it is due.
 */
export class RateLimiter {
  readonly #pace: Pace;
  readonly #shared: SharedBurst | undefined;
  readonly #schedule: VirtualSchedule;

  constructor(clock: Pick<Clock, 'monotonicMs'>, pace: Pace, shared?: SharedBurst) {
    this.#pace = pace;
    this.#shared = shared;
    this.#schedule = new VirtualSchedule(clock, pace.intervalMs);
  }

  /**
   * Takes the peer's next turn.
   *
   * @returns how long it has to wait for it, in milliseconds
   * @throws Error where that is too long; no turn is taken
   */
  take(peer: PeerKey): number {
    const { burst, intervalMs, maxWaitMs } = this.#pace;
    const aheadMs = this.#schedule.aheadMs(peer);
    const mayBurst = this.#shared?.isSpent !== true;
    const waitMs = mayBurst ? Math.max(0, aheadMs - (burst - 1) * intervalMs) : aheadMs;
    if (waitMs > maxWaitMs) throw new Error('too many requests');
    this.#schedule.add(peer, 1);
    if (aheadMs > 0 && waitMs === 0) this.#shared?.take();
    return waitMs;
  }
}
