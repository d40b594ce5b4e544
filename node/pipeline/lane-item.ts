/** What waits in a lane, and how it is answered. */
import type { PeerKey } from '../ports.ts';
import type { OutcomeVerdict } from './outcome.ts';

export interface Item {
  readonly bytes: Uint8Array;
  readonly from: PeerKey | 'api';
  /** Asked for, from a peer's mempool: nothing of it is published. */
  readonly isPulled?: boolean;
  readonly done: (verdict: OutcomeVerdict, parked: boolean) => void;
}

/** Answers items; each once, the first answer counts. */
export interface Answer {
  (item: Item, verdict: OutcomeVerdict, parked?: boolean): void;
  /** For an item whose answer may come after its batch has been served: who calls this answers it, once. */
  later(item: Item): (verdict: OutcomeVerdict) => void;
}
