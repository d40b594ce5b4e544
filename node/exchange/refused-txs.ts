/**
 * Transactions that the mempool refused for what else their sender has there, or in its account. They are not to be asked
 * for again before something of that has changed: a few accounts, whose transactions differ from node to node, would
 * otherwise be asked for at each tip anew, and nothing behind them.
 */
import { type ShortTxId, shortTxId } from '../../chain/pool-digest.ts';
import type { Tx } from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';

/** Senders; each may have thousands. */
const MAX_SENDERS = 4_096;

/** Bounded: past `capacity`, and past `MAX_SENDERS`, those of the sender that was refused first are forgotten. O(1) a call. */
export class RefusedTxs {
  readonly #capacity: number;
  readonly #bySender = new Map<Address, Set<ShortTxId>>();
  readonly #ids = new Set<ShortTxId>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#ids.size;
  }

  has(id: ShortTxId): boolean {
    return this.#ids.has(id);
  }

  add({ id, from }: Pick<Tx, 'id' | 'from'>): void {
    const short = shortTxId(id);
    if (this.#ids.has(short)) return;
    const ids = this.#bySender.get(from) ?? new Set();
    this.#bySender.set(from, ids.add(short));
    this.#ids.add(short);
    while (this.#ids.size > this.#capacity || this.#bySender.size > MAX_SENDERS) {
      this.onChange(this.#bySender.keys().next().value!);
    }
  }

  /** The account, or what of it is in the pool, is not what it was: its transactions may be good now. */
  onChange(account: Address): void {
    if (this.#ids.size === 0) return;
    for (const id of this.#bySender.get(account) ?? []) this.#ids.delete(id);
    this.#bySender.delete(account);
  }
}
