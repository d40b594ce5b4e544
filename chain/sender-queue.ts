import type { Tx } from './types.ts';

/** A transaction in the mempool. */
export interface PoolTx {
  readonly tx: Tx;
  /** Fee per encoded byte. */
  readonly feeRate: number;
  /** Amount plus fee. */
  readonly cost: bigint;
  readonly addedAtMs: number;
  /** Order of arrival, the tie-breaker between equal fee rates. */
  readonly seq: number;
}

/**
 * One sender's transactions in nonce order, one per nonce. The first `readyCount` are contiguous from `base`, the
 * account's nonce, and the next one, if any, is not. Lookups are O(log n), changes O(n) array shifts at worst and
 * O(1) at the end, where they mostly happen.
 */
export class SenderQueue {
  readonly #txs: PoolTx[] = [];
  #base: bigint;
  #readyCount = 0;
  #cost = 0n;

  constructor(base: bigint) {
    this.#base = base;
  }

  get size(): number {
    return this.#txs.length;
  }

  /** The account's nonce as of the last `rebase`. */
  get base(): bigint {
    return this.#base;
  }

  get readyCount(): number {
    return this.#readyCount;
  }

  /** Sum of amounts and fees, parked ones included. */
  get cost(): bigint {
    return this.#cost;
  }

  get last(): PoolTx | undefined {
    return this.#txs.at(-1);
  }

  /** The first behind a gap. */
  get firstParked(): PoolTx | undefined {
    return this.#txs[this.#readyCount];
  }

  txs(): readonly PoolTx[] {
    return this.#txs;
  }

  at(nonce: bigint): PoolTx | undefined {
    const pooled = this.#txs[this.#indexOf(nonce)];
    return pooled?.tx.nonce === nonce ? pooled : undefined;
  }

  /** From the one with that nonce up to the next gap; none where there is no such one. */
  *consecutive(nonce: bigint): Generator<PoolTx, void, undefined> {
    let index = this.#indexOf(nonce);
    for (let next = nonce; this.#txs[index]?.tx.nonce === next; next++) yield this.#txs[index++]!;
  }

  /** `0` is the last one. */
  fromEnd(offset: number): PoolTx | undefined {
    return this.#txs[this.#txs.length - 1 - offset];
  }

  readyAt(index: number): PoolTx | undefined {
    return index < this.#readyCount ? this.#txs[index] : undefined;
  }

  /** The ready ones from an index on. */
  ready(from: number): PoolTx[] {
    return this.#txs.slice(from, this.#readyCount);
  }

  isReady(pooled: PoolTx): boolean {
    return pooled.tx.nonce - this.#base < BigInt(this.#readyCount);
  }

  /** The nonce is free and at least `base`. */
  insert(pooled: PoolTx): void {
    const index = this.#indexOf(pooled.tx.nonce);
    if (index === this.#txs.length) this.#txs.push(pooled);
    else this.#txs.splice(index, 0, pooled);
    this.#cost += pooled.cost;
    this.#extend();
  }

  remove(pooled: PoolTx): void {
    const index = this.#indexOf(pooled.tx.nonce);
    this.#txs.splice(index, 1);
    this.#cost -= pooled.cost;
    this.#readyCount = Math.min(this.#readyCount, index);
  }

  /**
   * The account's nonce is another one now. O(n) for all that it leaves below it.
   * @returns what was below it, which is no longer in the queue
   */
  rebase(nonce: bigint): readonly PoolTx[] {
    const used = this.#txs.splice(0, this.#indexOf(nonce));
    for (const { cost } of used) this.#cost -= cost;
    // Where some of the contiguous ones are gone, the rest of them begins at the new base.
    this.#readyCount = nonce < this.#base ? 0 : Math.max(0, this.#readyCount - used.length);
    this.#base = nonce;
    this.#extend();
    return used;
  }

  #extend(): void {
    while (this.#txs[this.#readyCount]?.tx.nonce === this.#base + BigInt(this.#readyCount)) this.#readyCount += 1;
  }

  /** Index of the first one whose nonce is at least `nonce`. */
  #indexOf(nonce: bigint): number {
    const offset = nonce - this.#base;
    if (offset >= 0n && offset < this.#readyCount) return Number(offset);
    let low = 0;
    let high = this.#txs.length;
    // Appending is the common case.
    if (high > 0 && this.#txs[high - 1]!.tx.nonce < nonce) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#txs[middle]!.tx.nonce < nonce) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
