/**
 * Messages waiting to be checked: one bounded first-in-first-out lane per kind of message. Blocks, evidence and votes
 * go ahead of transactions, so that a flood of transactions cannot hold up agreement; evidence goes ahead of votes,
 * which it may make void. A full lane refuses the newcomer: what waits is older and as likely to be good, and the
 * sender's copies come by other peers.
 */
import type { TopicKind } from '../ports.ts';

/** The topics, and the API's transactions: the node's own users do not queue behind the network's. */
export type Lane = TopicKind | 'api';

/**
 * Messages at most, by lane, in order of service. A block is up to 1 MB, evidence 421 bytes, a vote 210, a
 * transaction 432 at most.
 */
export const LANE_LIMITS: Readonly<Record<Lane, number>> = {
  block: 32,
  evidence: 256,
  vote: 4096,
  api: 4096,
  tx: 8192,
};
export const LANES = Object.keys(LANE_LIMITS) as readonly Lane[];

export class PriorityQueue<T> {
  readonly #lanes: Record<Lane, T[]> = { block: [], evidence: [], vote: [], api: [], tx: [] };
  readonly #heads: Record<Lane, number> = { block: 0, evidence: 0, vote: 0, api: 0, tx: 0 };

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
