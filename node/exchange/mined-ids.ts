/** Ids of transactions that were mined lately, block by block: kept for each, looked at only where a pull finds something. */
import { type ShortTxId, shortTxId } from '../../chain/pool-digest.ts';
import type { Tx, TxId } from '../../chain/types.ts';

/** Bound: `capacity` ids and the block that came last. */
export class MinedIds {
  readonly #capacity: number;
  readonly #blocks: (readonly TxId[])[] = [];
  #count = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add(txs: readonly Tx[]): void {
    if (txs.length === 0) return;
    this.#blocks.push(txs.map(({ id }) => id));
    this.#count += txs.length;
    while (this.#count > this.#capacity && this.#blocks.length > 1) this.#count -= this.#blocks.shift()!.length;
  }

  clear(): void {
    this.#blocks.length = 0;
    this.#count = 0;
  }

  /** Made anew at each call: O(ids). */
  shortIds(): ReadonlySet<ShortTxId> {
    return new Set(this.#blocks.flatMap((ids) => ids.map(shortTxId)));
  }
}
