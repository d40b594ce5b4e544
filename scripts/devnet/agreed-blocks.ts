/** Which transactions are in agreed blocks, from what nodes tell of blocks and of agreement. */

interface Told {
  readonly parent: string;
  readonly txs: readonly string[];
  isAgreed: boolean;
}

/** Blocks remembered: those of two days of a block every two seconds. Of agreed ones, not their transactions. */
const MAX_BLOCKS = 86_400;

/**
 * A vote for a block is one for all below it: agreement may skip heights, and what it skips is agreed with it. O(1) a block
 * and O(1) a block that becomes agreed; memory bounded by {@link MAX_BLOCKS}.
 */
export class AgreedBlocks {
  readonly #blocks = new Map<string, Told>();

  /** A node has a block; the others will tell of it too. */
  addBlock(id: string, parent: string, txs: readonly string[]): void {
    if (this.#blocks.has(id)) return;
    this.#blocks.set(id, { parent, txs, isAgreed: false });
    if (this.#blocks.size > MAX_BLOCKS) this.#blocks.delete(this.#blocks.keys().next().value!);
  }

  /**
   * A node says that a block is agreed. What lies below one that nobody told of, an event having been missed, is not found.
   *
   * @returns the transactions of the blocks that are agreed with it, and were not before
   */
  addAgreed(id: string): readonly string[] {
    const txs: string[] = [];
    for (let at = id; ; ) {
      const block = this.#blocks.get(at);
      if (block === undefined || block.isAgreed) return txs;
      for (const tx of block.txs) txs.push(tx);
      this.#blocks.set(at, { parent: block.parent, txs: [], isAgreed: true });
      at = block.parent;
    }
  }
}
