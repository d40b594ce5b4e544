/**
 * How much gossip is read of a peer: RPCs and the messages in them, copies of known ones too, whatever they are. What is
 * new or not is for the pipeline to say (`redundancy-budget.ts`); this bounds what it costs to find out.
 */
import type { Clock, PeerKey } from '../ports.ts';
import { VirtualSchedule } from '../virtual-schedule.ts';

/** 5,000 a second: twenty times what a net of five nodes makes at its limit. */
const INTERVAL_MS = 0.2;
/** And so much in one piece, as a peer sends whose event loop stood still. */
const BURST_MS = 10_000;
/** A message that is forgotten, and so may come again and again, costs its sender as much as so many. */
const FORGOTTEN_UNITS = 10;

/**
 * Only counts: whoever is told `false` hangs up on the peer. Remembers the peers heard of last (`VirtualSchedule`),
 * so that it is bounded, and who is forgotten begins anew.
 */
export class ReceiveBudget {
  readonly #schedule: VirtualSchedule;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#schedule = new VirtualSchedule(clock, INTERVAL_MS);
  }

  /**
   * Counts what has come.
   *
   * @param units RPCs and messages
   * @returns false where it is more than is read of a peer; it is not counted then
   */
  spend(peer: PeerKey, units: number): boolean {
    if (this.#schedule.aheadMs(peer) + units * INTERVAL_MS > BURST_MS) return false;
    this.#schedule.add(peer, units);
    return true;
  }

  /**
   * There was no room for one of its messages, and it was forgotten. Its next RPC shows whether that was too much. What is
   * dropped for good, as transactions are, costs it no more: a slow node would hang up on all that keep up with the net.
   */
  chargeForgotten(peer: PeerKey): void {
    this.#schedule.add(peer, FORGOTTEN_UNITS);
  }
}
