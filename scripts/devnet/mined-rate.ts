/** How fast a chain takes in a steady load. O(1) memory. */

interface Mined {
  readonly atMs: number;
  /** Of the load, up to and with that block. */
  readonly txs: number;
}

/**
 * Transactions a second between two blocks: the first that holds some of the load, of which it is not known how long it
 * gathered, and the last but one, for the load may have ended before the last.
 */
export class MinedRate {
  #first: Mined | undefined;
  #lastButOne: Mined | undefined;
  #last: Mined | undefined;

  /**
   * A block with some of the load.
   * @param atMs monotonic milliseconds
   * @param txs transactions of the load that are mined now
   */
  add(atMs: number, txs: number): void {
    this.#first ??= { atMs, txs };
    this.#lastButOne = this.#last;
    this.#last = { atMs, txs };
  }

  /** 0 for fewer than three blocks. */
  get perS(): number {
    const [first, last] = [this.#first, this.#lastButOne];
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0;
    return ((last.txs - first.txs) * 1000) / (last.atMs - first.atMs);
  }
}
