/** What waits in a lane. It is answered once, by whoever comes first. */
import type { Tx } from '../../chain/types.ts';
import type { PeerKey } from '../ports.ts';
import type { OutcomeVerdict } from './outcome.ts';

/**
 * One message on its way. Its lane must answer it, or the pipeline does, with `internal-error`, at the end of the
 * batch.
 */
export class Item {
  readonly bytes: Uint8Array;
  readonly from: PeerKey | 'api';
  /** Asked for, from a peer's mempool: nothing of it is published. */
  readonly isPulled: boolean;
  /** What the bytes are, in the API's lane. */
  readonly tx: Tx | undefined;
  /** When it came into its lane. */
  sinceMs = 0;
  readonly #done: (verdict: OutcomeVerdict, parked: boolean) => void;
  #isAnswered = false;

  constructor(of: {
    readonly bytes: Uint8Array;
    readonly from: PeerKey | 'api';
    readonly isPulled?: boolean;
    readonly tx?: Tx;
    readonly done: (verdict: OutcomeVerdict, parked: boolean) => void;
  }) {
    this.bytes = of.bytes;
    this.from = of.from;
    this.isPulled = of.isPulled === true;
    this.tx = of.tx;
    this.#done = of.done;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** The first answer counts. */
  answer(verdict: OutcomeVerdict, parked = false): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#done(verdict, parked);
  }

  /** For an answer that may come after the item's batch has been served: who calls what this returns gives it, once. */
  answerLater(): (verdict: OutcomeVerdict) => void {
    this.#isAnswered = true;
    return (verdict) => this.#done(verdict, false);
  }
}
