/** When a peer's next request is answered: so many at once, the others so far apart, whatever it sends. */
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

export class Turns {
  readonly #pace: Pace;
  readonly #schedule: VirtualSchedule;

  constructor(clock: Pick<Clock, 'monotonicMs'>, pace: Pace) {
    this.#pace = pace;
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
    const waitMs = Math.max(0, this.#schedule.aheadMs(peer) - (burst - 1) * intervalMs);
    if (waitMs > maxWaitMs) throw new Error('too many requests');
    this.#schedule.add(peer, 1);
    return waitMs;
  }
}
