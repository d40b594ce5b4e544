/** Own transactions on their way out, together: gossip costs the same for a batch as for one. */
import { MAX_TX_BATCH_BYTES } from '../../chain/params.ts';
import { encodeTxBatch, TX_BATCH_FIXED_BYTES } from '../../chain/tx-batch.ts';
import type { Tx, TxId } from '../../chain/types.ts';
import type { Clock } from '../ports.ts';

/** Least time between two batches that are not full, and so the longest that a transaction waits, unless configured. */
export const TX_LINGER_MS = 20;

export interface TxBatcherDeps {
  readonly clock: Clock;
  /** Instead of `TX_LINGER_MS`. 0: each transaction goes out at once and alone. */
  readonly txLingerMs?: number;
  /** Takes an encoded batch. Never rejects. */
  readonly publish: (batch: Uint8Array) => Promise<void>;
}

/**
 * Gathers transactions and publishes them as batches.
 *
 * A batch goes out when the next transaction would make it too long, or `TX_LINGER_MS` after the batch before it; after
 * a pause that is in the next turn of the event loop, so that a lone transaction is not held up and what comes in one
 * turn shares a batch. However fast transactions come, at most 50 batches a second are not full (ADR 0010).
 *
 * Bound: one batch waits.
 */
export class TxBatcher {
  readonly #deps: TxBatcherDeps;
  readonly #waiting = new Map<TxId, Tx>();
  #bytes = TX_BATCH_FIXED_BYTES;
  #lastMs = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #published: Promise<void> = Promise.resolve();

  constructor(deps: TxBatcherDeps) {
    this.#deps = deps;
  }

  /** Takes a transaction that this node holds for good: peers that find it bad count it against this node. */
  add(tx: Tx): void {
    if (this.#waiting.has(tx.id)) return;
    if (this.#bytes + tx.bytes.length > MAX_TX_BATCH_BYTES) this.flush();
    this.#waiting.set(tx.id, tx);
    this.#bytes += tx.bytes.length;
    if (this.#cancel !== undefined) return;
    const { clock, txLingerMs = TX_LINGER_MS } = this.#deps;
    if (txLingerMs === 0) {
      this.flush();
      return;
    }
    const waitMs = Math.max(0, this.#lastMs + txLingerMs - clock.monotonicMs());
    this.#cancel = clock.after(waitMs, () => this.flush());
  }

  /** Publishes what waits, if anything does; resolves when it is with the network. */
  flush(): Promise<void> {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#waiting.size > 0) {
      const batch = encodeTxBatch([...this.#waiting.values()]);
      this.#waiting.clear();
      this.#bytes = TX_BATCH_FIXED_BYTES;
      this.#lastMs = this.#deps.clock.monotonicMs();
      const before = this.#published;
      this.#published = Promise.all([before, this.#deps.publish(batch)]).then(() => undefined);
    }
    return this.#published;
  }
}
