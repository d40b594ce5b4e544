/**
 * Messages waiting to be checked: one bounded first-in-first-out lane per kind of message. Blocks and votes go ahead of
 * transactions, so that a flood of transactions cannot hold up agreement. A full lane refuses the newcomer: what
 * waits is older and as likely to be good, and the sender's copies come by other peers.
 */
import type { TopicKind } from '../ports.ts';

/** The topics, and the API's transactions: the node's own users do not queue behind the network's. */
export type Lane = TopicKind | 'api';

/** Lanes in order of service. */
export const LANES = ['block', 'vote', 'api', 'tx'] as const satisfies readonly Lane[];

/** Messages at most, by lane. A block is up to 1 MB, a vote 210 bytes, a transaction 432 at most. */
export const LANE_LIMITS: Readonly<Record<Lane, number>> = { block: 32, vote: 4096, api: 4096, tx: 8192 };

export class PriorityQueue<T> {
  readonly #lanes: Record<Lane, T[]> = { block: [], vote: [], api: [], tx: [] };
  readonly #heads: Record<Lane, number> = { block: 0, vote: 0, api: 0, tx: 0 };

  length(kind: Lane): number {
    return this.#lanes[kind].length - this.#heads[kind];
  }

  /** False, and nothing kept, when the lane is full. */
  push(kind: Lane, item: T): boolean {
    if (this.length(kind) >= LANE_LIMITS[kind]) return false;
    this.#lanes[kind].push(item);
    return true;
  }

  /** Up to `max` items of the most urgent lane that has any; a lane of which none may be taken is passed over. */
  take(max: Readonly<Record<Lane, number>>): { readonly kind: Lane; readonly items: T[] } | undefined {
    for (const kind of LANES) {
      const waiting = this.length(kind);
      if (waiting === 0 || max[kind] === 0) continue;
      const lane = this.#lanes[kind];
      const head = this.#heads[kind];
      const items = lane.slice(head, head + max[kind]);
      this.#heads[kind] = head + items.length;
      if (this.#heads[kind] > 256 && this.#heads[kind] * 2 > lane.length) {
        lane.splice(0, this.#heads[kind]);
        this.#heads[kind] = 0;
      }
      return { kind, items };
    }
    return undefined;
  }
}
