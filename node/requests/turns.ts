/** When a peer's next request is answered: so many at once, the others so far apart, whatever it sends. */
import { Lru } from '../lru.ts';
import type { Clock, PeerKey } from '../ports.ts';

export interface Pace {
  /** Requests of a peer that are answered at once. */
  readonly burst: number;
  /** Between the others. */
  readonly intervalMs: number;
  /** A request that would have to wait longer is refused. Below what the asking side takes for a stall. */
  readonly maxWaitMs: number;
}

/** Who is forgotten has its burst again. */
const PEERS_REMEMBERED = 256;

export class Turns {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #pace: Pace;
  /** When all that a peer has had would have been answered, had its answers kept the interval; monotonic. */
  readonly #paidAt = new Lru<PeerKey, number>(PEERS_REMEMBERED);

  constructor(clock: Pick<Clock, 'monotonicMs'>, pace: Pace) {
    this.#clock = clock;
    this.#pace = pace;
  }

  /**
   * Takes the peer's next turn, by virtual scheduling (ITU-T I.371).
   *
   * @returns how long it has to wait for it, in milliseconds
   * @throws Error where that is too long; no turn is taken
   */
  take(peer: PeerKey): number {
    const { burst, intervalMs, maxWaitMs } = this.#pace;
    const nowMs = this.#clock.monotonicMs();
    const dueMs = Math.max(nowMs, this.#paidAt.get(peer) ?? nowMs);
    const waitMs = Math.max(0, dueMs - nowMs - (burst - 1) * intervalMs);
    if (waitMs > maxWaitMs) throw new Error('too many requests');
    this.#paidAt.set(peer, dueMs + intervalMs);
    return waitMs;
  }
}
