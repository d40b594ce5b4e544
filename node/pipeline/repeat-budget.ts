/**
 * How much a peer may send that is no news: what is known, is over, or could not be paid for. No rule rejects it, and an
 * honest peer sends some, as when one transaction was submitted at several nodes. But it need not be signed well, for it is
 * told by what it says and no signature is checked; without a bound anybody could keep a node busy for nothing.
 */
import { Lru } from '../lru.ts';
import type { Clock, PeerKey } from '../ports.ts';

/** What may be repeated, and the mean time between two units of it, in milliseconds. */
const INTERVAL_MS = {
  /** A unit is a message and each KiB of it: 400 a second are some 6 full batches, or those of one peer every 20 ms. */
  tx: 2.5,
  /** Votes and evidence, before their signatures are checked. Gossip brings each once, from whoever was first. */
  vote: 20,
  evidence: 20,
} as const;
export type RepeatKind = keyof typeof INTERVAL_MS;

/** So much may come in one piece: a net that heals, a node that was slow. */
export const BURST_MS = 20_000;
/** Of each kind. Who is forgotten has its burst again. */
const PEERS_REMEMBERED = 256;

export class RepeatBudget {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** When all that a peer has repeated would have come, had it kept the interval; monotonic. */
  readonly #paidAt: Readonly<Record<RepeatKind, Lru<PeerKey, number>>> = {
    tx: new Lru(PEERS_REMEMBERED),
    vote: new Lru(PEERS_REMEMBERED),
    evidence: new Lru(PEERS_REMEMBERED),
  };

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /**
   * Counts a message that brought nothing new, by virtual scheduling (ITU-T I.371).
   *
   * @returns false where it is more than the peer may send
   */
  spend(peer: PeerKey, kind: RepeatKind, bytes: number): boolean {
    const nowMs = this.#clock.monotonicMs();
    const units = 1 + (kind === 'tx' ? bytes / 1024 : 0);
    const dueMs = Math.max(nowMs, this.#paidAt[kind].get(peer) ?? nowMs) + units * INTERVAL_MS[kind];
    if (dueMs - nowMs > BURST_MS) return false;
    this.#paidAt[kind].set(peer, dueMs);
    return true;
  }
}
