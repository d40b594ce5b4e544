/**
 * How much a peer may send that is no news: what is known, is over, or could not be paid for. No rule rejects it, and an
 * honest peer sends some: where one transaction was submitted at several nodes, or where it is behind, and passes on as
 * new what somebody has given it from the chain's past. So it has no points for it. But most of it need not be signed
 * well, as what it says is looked at before a signature is checked; without a bound anybody could keep a node busy for
 * nothing. Who sends more is hung up on. What it has sent is read all the same: the others have been told by then that
 * their copies are not wanted (IDONTWANT), so that such a peer could silence anybody by being first.
 */
import type { Clock, PeerKey } from '../ports.ts';
import { VirtualSchedule } from '../virtual-schedule.ts';

/** What may be no news, and the mean time between two units of it, in milliseconds. */
const INTERVAL_MS = {
  /**
   * A unit is each KiB that is no news, and half a unit a batch of nothing else: 1,000 a second. Where all transactions
   * are submitted at all nodes, 1,500 a second of the longest make some 700.
   */
  tx: 1,
  /** Blocks that are ignored: 100 a second. Of each block a peer sends one message, and few are made at a time. */
  block: 10,
  /** Votes and evidence, before their signatures are checked: 200 a second. Gossip brings each once, a peer its share. */
  vote: 5,
  evidence: 5,
} as const;
export type RedundantKind = keyof typeof INTERVAL_MS;

/**
 * What a batch costs its sender beside its bytes where nothing in it is new. More, and somebody who gives a node new
 * transactions one by one, and its neighbours the same ones in large batches, could have them hang up on it for passing
 * them on; as it is, he has to pay for some 1,500 transactions a second.
 */
export const NOTHING_NEW_UNITS = 0.5;

/** So much may come in one piece: a net that heals, a node that was slow. */
const BURST_MS = 20_000;

/** Only counts; the pipeline hangs up. Each kind has an account of its own, of each of the peers heard of last. */
export class RedundancyBudget {
  readonly #schedules: Readonly<Record<RedundantKind, VirtualSchedule>>;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#schedules = {
      tx: new VirtualSchedule(clock, INTERVAL_MS.tx),
      block: new VirtualSchedule(clock, INTERVAL_MS.block),
      vote: new VirtualSchedule(clock, INTERVAL_MS.vote),
      evidence: new VirtualSchedule(clock, INTERVAL_MS.evidence),
    };
  }

  /**
   * Counts what was no news.
   *
   * @returns false where it is more than the peer may send; it is not counted then
   */
  spend(peer: PeerKey, kind: RedundantKind, units: number): boolean {
    const schedule = this.#schedules[kind];
    if (schedule.aheadMs(peer) + units * INTERVAL_MS[kind] > BURST_MS) return false;
    schedule.add(peer, units);
    return true;
  }
}
