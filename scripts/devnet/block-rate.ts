/** How fast a chain takes in a steady load, by its blocks or its agreed blocks. O(1) memory. */

interface Mined {
  readonly block: string;
  readonly atMs: number;
  /** Of the load, up to and with that block. */
  txs: number;
}

/**
 * Transactions a second between two blocks: the first that holds some of the load, of which it is not known how long it
 * gathered, and the last but one, for the load may have ended before the last.
 */
export class BlockRate {
  #first: Mined | undefined;
  #lastButOne: Mined | undefined;
  #last: Mined | undefined;

  /**
   * A node tells of a block with some of the load; the next may know more of it, as submissions are answered meanwhile.
   * @param block its id
   * @param atMs monotonic milliseconds
   * @param txs transactions of the load that are mined, or agreed, now
   */
  add(block: string, atMs: number, txs: number): void {
    const known = [this.#last, this.#lastButOne, this.#first].find((each) => each?.block === block);
    if (known !== undefined) {
      known.txs = Math.max(known.txs, txs);
      return;
    }
    const mined = { block, atMs, txs };
    this.#first ??= mined;
    this.#lastButOne = this.#last;
    this.#last = mined;
  }

  /** 0 for fewer than three blocks. */
  get perS(): number {
    const [first, last] = [this.#first, this.#lastButOne];
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0;
    return ((last.txs - first.txs) * 1000) / (last.atMs - first.atMs);
  }
}
