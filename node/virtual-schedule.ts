/** How far ahead of a steady rate each peer is: what bounds a rate and allows a burst asks this. */
import { Lru } from './lru.ts';
import type { Clock, PeerKey } from './ports.ts';

/** Who is forgotten begins anew. */
const PEERS_REMEMBERED = 256;

/** Virtual scheduling, as ITU-T I.371 has it. O(1) a call; a number for each of the peers that were last heard of. */
export class VirtualSchedule {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #intervalMs: number;
  /** When all that a peer has had would have been due, had it kept the interval; monotonic. */
  readonly #dueAtMs = new Lru<PeerKey, number>(PEERS_REMEMBERED);

  /** @param intervalMs between two units at the steady rate */
  constructor(clock: Pick<Clock, 'monotonicMs'>, intervalMs: number) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
  }

  /** In how many milliseconds the peer's next unit is due; 0 where it is not ahead. */
  aheadMs(peer: PeerKey): number {
    const nowMs = this.#clock.monotonicMs();
    return Math.max(0, (this.#dueAtMs.get(peer) ?? nowMs) - nowMs);
  }

  /** The peer has had so many units more. */
  add(peer: PeerKey, units: number): void {
    this.#dueAtMs.set(peer, this.#clock.monotonicMs() + this.aheadMs(peer) + units * this.#intervalMs);
  }
}
