/** Finds what a mempool holds by short ids, which several may share: somebody may have made them so (some 2^32 hashes). */
import { type ShortTxId, shortTxId } from './pool-digest.ts';
import type { PoolTx } from './sender-queue.ts';

/** Bound: an entry for each transaction. All operations are O(1), and O(those that share it) for a shared short id. */
export class ShortIds {
  /** The oldest of each. */
  readonly #oldest = new Map<ShortTxId, PoolTx>();
  /** Those that came after, oldest first. */
  readonly #younger = new Map<ShortTxId, PoolTx[]>();

  get(id: ShortTxId): PoolTx | undefined {
    return this.#oldest.get(id);
  }

  /** It is younger than all that are here. */
  add(pooled: PoolTx): void {
    const id = shortTxId(pooled.tx.id);
    if (!this.#oldest.has(id)) this.#oldest.set(id, pooled);
    else this.#younger.set(id, [...(this.#younger.get(id) ?? []), pooled]);
  }

  remove(pooled: PoolTx): void {
    const id = shortTxId(pooled.tx.id);
    const younger = this.#younger.get(id);
    if (younger === undefined) {
      this.#oldest.delete(id);
      return;
    }
    const [oldest, ...others] = [this.#oldest.get(id)!, ...younger].filter((each) => each !== pooled);
    this.#oldest.set(id, oldest!);
    if (others.length === 0) this.#younger.delete(id);
    else this.#younger.set(id, others);
  }
}
