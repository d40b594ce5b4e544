/**
 * Blocks of the main chain whose transactions are still to be indexed: `txLocation` and `history` are most of what a large
 * block writes, and nothing but the API asks for them, so they come after the block, a little at a time (ADR 0005). What
 * waits is answered from here.
 *
 * Always the topmost blocks of the main chain that have transactions, without a gap. The store keeps their ids in a record of its own, written
 * with whatever changes them: after a crash the index is made again from the bodies.
 */
import type { Block, BlockId, TxId } from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';
import type { Operation } from './database.ts';
import { blockIndexOperations } from './derived-records.ts';
import type { ChainMove, HistoryItem, HistoryPlace, TxLocation } from './store.ts';

export interface BacklogLimits {
  /** Transactions that may wait, of however many blocks: bounds memory, and what a start after a crash has to do. */
  readonly maxTxs: number;
  /** Operations of a slice, at least; more where what waits would take more than `maxSlices`. */
  readonly minSlice: number;
  readonly maxSlices: number;
}

/** With pauses of 50 ms: a block is indexed within two seconds, whatever its size. */
export const BACKLOG_LIMITS: BacklogLimits = { maxTxs: 20_000, minSlice: 128, maxSlices: 40 };

interface WaitingBlock {
  readonly block: Block;
  /** Some of what it made may be written already. */
  readonly operations: Iterator<Operation>;
}

/** What a move of the tip makes of the backlog, and which of it has to be written with the move. */
export interface BacklogChange {
  readonly waiting: readonly Block[];
  /** Oldest first. */
  readonly overdue: readonly Block[];
}

export class IndexBacklog {
  readonly #limits: BacklogLimits;
  /** Lowest first. */
  #waiting: WaitingBlock[] = [];
  /** Taken, and not yet known to be written. */
  #slice: Operation[] = [];

  constructor(limits: BacklogLimits = BACKLOG_LIMITS) {
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  get blocks(): readonly Block[] {
    return this.#waiting.map(({ block }) => block);
  }

  /** What would wait after a move of the tip. Changes nothing: the move may not come to pass. */
  plan({ disconnected, connected }: ChainMove): BacklogChange {
    const gone = new Set<BlockId>(disconnected.map(({ header }) => header.id));
    const kept = this.blocks.filter(({ header }) => !gone.has(header.id));
    const waiting = [...kept, ...connected.filter(({ txs }) => txs.length > 0)];
    let txs = waiting.reduce((sum, block) => sum + block.txs.length, 0);
    let overdue = 0;
    for (; txs > this.#limits.maxTxs; overdue++) txs -= waiting[overdue]!.txs.length;
    return { waiting: waiting.slice(overdue), overdue: waiting.slice(0, overdue) };
  }

  /** The change is written. */
  apply({ waiting }: BacklogChange): void {
    const begun = new Map(this.#waiting.map((each) => [each.block.header.id, each]));
    const first = this.#waiting[0];
    this.#waiting = waiting.map(
      (block) => begun.get(block.header.id) ?? { block, operations: blockIndexOperations(block) },
    );
    if (this.#waiting[0] !== first) this.#slice = []; // it was of a block that no longer waits
  }

  /** The next operations to write, the same until `written`; all of them belong to the lowest block. */
  nextSlice(): { readonly operations: readonly Operation[]; readonly isLast: boolean } {
    const [lowest] = this.#waiting;
    const txs = this.#waiting.reduce((sum, { block }) => sum + block.txs.length, 0);
    const size = Math.max(this.#limits.minSlice, Math.ceil(txs / this.#limits.maxSlices));
    let isLast = lowest === undefined;
    while (lowest !== undefined && !isLast && this.#slice.length < size) {
      const next = lowest.operations.next();
      if (next.done === true) isLast = true;
      else this.#slice.push(next.value);
    }
    return { operations: this.#slice, isLast };
  }

  /** @param isLast the lowest block is indexed */
  written(isLast: boolean): void {
    this.#slice = [];
    if (isLast) this.#waiting.shift();
  }

  /** O(transactions that wait). */
  txLocation(id: TxId): TxLocation | undefined {
    for (const { block } of this.#waiting) {
      const index = block.txs.findIndex((tx) => tx.id === id);
      if (index !== -1) return { block: block.header.id, index };
    }
    return undefined;
  }

  /** As the store's `history`, of what waits. O(transactions that wait). */
  history(address: Address, limit: number, before: HistoryPlace | undefined): HistoryItem[] {
    const items: HistoryItem[] = [];
    for (const { header, txs } of this.blocks.toReversed()) {
      const { height, id } = header;
      if (before !== undefined && height > before.height) continue;
      const end = height === before?.height ? (before.index ?? 0) : txs.length;
      for (let index = Math.min(end, txs.length) - 1; index >= 0; index--) {
        if (items.length >= limit) return items;
        const { from, to } = txs[index]!;
        if (from === address || to === address) items.push({ height, block: id, index });
      }
    }
    return items;
  }
}
