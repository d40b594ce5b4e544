/**
 * Our own penalty points per peer. Gossipsub's score dies with the connection (it starts afresh when a peer comes
 * back); this one does not, so that a peer can't shed what it did by reconnecting.
 */
import type { PeerKey } from '../ports.ts';

export interface PeerScoreOptions {
  /** At this many points a peer is disconnected and refused. */
  readonly banPoints: number;
  /** Points halve in this time. */
  readonly halfLifeMs: number;
  /** How long a peer is refused. */
  readonly banMs: number;
  /** Peers remembered, in each of the two maps; the one least recently penalized is forgotten. */
  readonly maxPeers: number;
}

interface Penalty {
  readonly points: number;
  readonly atMs: number;
}

/**
 * Points decay exponentially: p(t) = p · 2^(−Δt / halfLife). A ban clears the points, and ends by itself. Time is an
 * argument, monotonic milliseconds. All operations are O(1).
 */
export class PeerScore {
  readonly #options: PeerScoreOptions;
  /** In order of the last penalty, so that the first key is the one to forget. */
  readonly #penalties = new Map<PeerKey, Penalty>();
  /** Peer → end of its ban. In order of the ban's beginning, which is the order of its end. */
  readonly #bans = new Map<PeerKey, number>();

  constructor(options: PeerScoreOptions) {
    this.#options = options;
  }

  /**
   * @param points positive
   * @returns `banned` when this penalty reaches the threshold; the caller disconnects
   * @throws RangeError when `points` is not a positive number
   */
  penalize(peer: PeerKey, points: number, nowMs: number): 'kept' | 'banned' {
    if (!(points > 0)) throw new RangeError('penalty points must be positive');
    const sum = this.points(peer, nowMs) + points;
    this.#penalties.delete(peer);
    if (sum >= this.#options.banPoints) {
      this.#remember(this.#bans, peer, nowMs + this.#options.banMs);
      return 'banned';
    }
    this.#remember(this.#penalties, peer, { points: sum, atMs: nowMs });
    return 'kept';
  }

  /** Points left at `nowMs`; 0 for an unknown peer. */
  points(peer: PeerKey, nowMs: number): number {
    const penalty = this.#penalties.get(peer);
    if (penalty === undefined) return 0;
    return penalty.points * 2 ** (-(nowMs - penalty.atMs) / this.#options.halfLifeMs);
  }

  isBanned(peer: PeerKey, nowMs: number): boolean {
    const untilMs = this.#bans.get(peer);
    if (untilMs === undefined) return false;
    if (nowMs < untilMs) return true;
    this.#bans.delete(peer);
    return false;
  }

  #remember<V>(map: Map<PeerKey, V>, peer: PeerKey, value: V): void {
    map.delete(peer);
    map.set(peer, value);
    if (map.size > this.#options.maxPeers) map.delete(map.keys().next().value as PeerKey);
  }
}
