/**
 * Blocks of the main chain whose transactions are still to be indexed: `txLocation` and `history` are most of what a
 * large block writes, and nothing but the API asks for them, so they come after the block, a little at a time (ADR 0005).
 * What waits is answered from here.
 *
 * The store lists them by id with each move of the tip, and those that were indexed a moment ago, as their index may not
 * be safe from a power loss yet: its next life makes the index of all that are listed again, from their bodies.
 */
import type { Block, BlockId, TxId } from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';
import type { Operation } from './database.ts';
import { blockIndexOperations } from './derived-records.ts';
import type { ChainMove, HistoryItem, HistoryPlace, TxLocation } from './store.ts';

export interface BacklogLimits {
  /** What may wait: bounds memory, the store's list, and what a start after a crash has to do. */
  readonly maxTxs: number;
  readonly maxBlocks: number;
  /** Operations of a slice, at least. */
  readonly minSlice: number;
  /** What waits is written in so many slices, or fewer. */
  readonly maxSlices: number;
  /** After so long what was written without fsync is on the disk, or in a log that the next fsync is for. */
  readonly settleMs: number;
}

export const BACKLOG_LIMITS: BacklogLimits = {
  maxTxs: 20_000,
  maxBlocks: 16,
  minSlice: 128,
  maxSlices: 80,
  settleMs: 1_000,
};

/** A transaction has its place, and stands in two histories. */
const MAX_OPERATIONS_PER_TX = 3;

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
  /** What the store has to list. */
  readonly listed: readonly BlockId[];
}

export class IndexBacklog {
  readonly #limits: BacklogLimits;
  readonly #monotonicMs: () => number;
  /** Lowest first. */
  #waiting: WaitingBlock[] = [];
  /** Indexed, and when. */
  #settling: { readonly id: BlockId; readonly indexedAtMs: number }[] = [];
  #sliceSize = 0;
  /** Taken, and not yet known to be written. */
  #slice: Operation[] = [];
  /** Waiting blocks, from the lowest on, of which nothing is left beyond that. */
  #finished = 0;

  constructor(limits: BacklogLimits, monotonicMs: () => number) {
    this.#limits = limits;
    this.#monotonicMs = monotonicMs;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  get blocks(): readonly Block[] {
    return this.#waiting.map(({ block }) => block);
  }

  /**
   * What would wait after a move of the tip. Changes nothing: the move may not come to pass. Where blocks leave the chain
   * nothing does: who asks for a transaction that is on both branches finds it on the one or the other.
   */
  plan({ disconnected, connected }: ChainMove): BacklogChange {
    const gone = new Set<BlockId>(disconnected.map(({ header }) => header.id));
    const kept = this.blocks.filter(({ header }) => !gone.has(header.id));
    const all = [...kept, ...connected.filter(({ txs }) => txs.length > 0)];
    const { maxTxs, maxBlocks, settleMs } = this.#limits;
    let overdue = gone.size > 0 ? all.length : Math.max(0, all.length - maxBlocks);
    let txs = sizeOf(all.slice(overdue));
    for (; txs > maxTxs; overdue++) txs -= all[overdue]!.txs.length;
    const waiting = all.slice(overdue);
    const nowMs = this.#monotonicMs();
    const settling = this.#settling.filter(({ id, indexedAtMs }) => !gone.has(id) && nowMs - indexedAtMs < settleMs);
    const listed = [...settling.map(({ id }) => id), ...waiting.map(({ header }) => header.id)];
    return { waiting, overdue: all.slice(0, overdue), listed };
  }

  /** The change is written. */
  apply({ waiting, listed }: BacklogChange): void {
    const hasNewFront = this.#waiting[0]?.block.header.id !== waiting[0]?.header.id;
    // A slice that could not be written is of the front, and of others perhaps: these begin anew then.
    const isSliceVoid = hasNewFront && (this.#slice.length > 0 || this.#finished > 0);
    if (isSliceVoid) this.#dropSlice();
    const begun = new Map(isSliceVoid ? [] : this.#waiting.map((each) => [each.block.header.id, each]));
    this.#waiting = waiting.map(
      (block) => begun.get(block.header.id) ?? { block, operations: blockIndexOperations(block) },
    );
    const kept = new Set(listed);
    this.#settling = this.#settling.filter(({ id }) => kept.has(id));
    const { minSlice, maxSlices } = this.#limits;
    this.#sliceSize = Math.max(minSlice, Math.ceil((MAX_OPERATIONS_PER_TX * sizeOf(waiting)) / maxSlices));
  }

  /** The next operations to write, the same until `written`. */
  nextSlice(): readonly Operation[] {
    while (this.#slice.length < this.#sliceSize) {
      const block = this.#waiting[this.#finished];
      if (block === undefined) break;
      const next = block.operations.next();
      if (next.done === true) this.#finished += 1;
      else this.#slice.push(next.value);
    }
    return this.#slice;
  }

  /** The last slice is. */
  written(): void {
    const indexedAtMs = this.#monotonicMs();
    for (const { block } of this.#waiting.splice(0, this.#finished)) {
      this.#settling.push({ id: block.header.id, indexedAtMs });
    }
    this.#dropSlice();
  }

  #dropSlice(): void {
    this.#slice = [];
    this.#finished = 0;
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

function sizeOf(blocks: readonly Block[]): number {
  return blocks.reduce((sum, { txs }) => sum + txs.length, 0);
}
