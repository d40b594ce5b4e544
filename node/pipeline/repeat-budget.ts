/**
 * How much a peer may send that is no news: what is known, is over, or could not be paid for. No rule rejects it, and an
 * honest peer sends some: where one transaction was submitted at several nodes, or where it is behind, and passes on as
 * new what somebody has given it from the chain's past. So it is nobody's fault. But it need not be signed well, for it is
 * told by what it says and no signature is checked; without a bound anybody could keep a node busy for nothing. What is
 * above the bound is not looked at, and what is lost by that the exchange of mempools and sync make up for.
 */
import { Lru } from '../lru.ts';
import type { Clock, PeerKey } from '../ports.ts';

/** What may be no news, and the mean time between two units of it, in milliseconds. */
const INTERVAL_MS = {
  /** A unit is each KiB that is no news, and a batch of nothing else: 400 a second are some 6 full batches. */
  tx: 2.5,
  /** Votes and evidence, before their signatures are checked. Gossip brings each once, from whoever was first. */
  vote: 20,
  evidence: 20,
  /** Messages that were not looked at. Each still costs the network's layer half a millisecond. */
  unread: 1,
} as const;
export type NoNewsKind = Exclude<keyof typeof INTERVAL_MS, 'unread'>;

/** So much may come in one piece: a net that heals, a node that was slow. */
export const BURST_MS = 20_000;
/** Of each kind. Who is forgotten has its burst again. */
const PEERS_REMEMBERED = 256;

export class RepeatBudget {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** When all that a peer has sent of it would have come, had it kept the interval; monotonic. */
  readonly #paidAt: Readonly<Record<keyof typeof INTERVAL_MS, Lru<PeerKey, number>>> = {
    tx: new Lru(PEERS_REMEMBERED),
    vote: new Lru(PEERS_REMEMBERED),
    evidence: new Lru(PEERS_REMEMBERED),
    unread: new Lru(PEERS_REMEMBERED),
  };

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Counts what was read and was no news, by virtual scheduling (ITU-T I.371). */
  spend(peer: PeerKey, kind: NoNewsKind, units: number): void {
    this.#spend(peer, kind, units);
  }

  /**
   * Whether to look at the peer's next message of that kind. `flood`: not, and there are so many of these that the peer
   * had better be hung up on.
   */
  admit(peer: PeerKey, kind: NoNewsKind): 'read' | 'unread' | 'flood' {
    if (!this.#isOver(peer, kind)) return 'read';
    if (this.#isOver(peer, 'unread')) return 'flood';
    this.#spend(peer, 'unread', 1);
    return 'unread';
  }

  #isOver(peer: PeerKey, kind: keyof typeof INTERVAL_MS): boolean {
    const nowMs = this.#clock.monotonicMs();
    return (this.#paidAt[kind].get(peer) ?? nowMs) - nowMs >= BURST_MS;
  }

  #spend(peer: PeerKey, kind: keyof typeof INTERVAL_MS, units: number): void {
    const nowMs = this.#clock.monotonicMs();
    const dueMs = Math.max(nowMs, this.#paidAt[kind].get(peer) ?? nowMs);
    this.#paidAt[kind].set(peer, dueMs + units * INTERVAL_MS[kind]);
  }
}
