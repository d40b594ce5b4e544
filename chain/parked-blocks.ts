import type { Block, BlockId } from './types.ts';
import { UsageCounter } from './usage-counter.ts';

export interface ParkedBlocksLimits {
  readonly maxBlocks: number;
  /** Sum of the encoded sizes. */
  readonly maxBytes: number;
  /** Blocks one peer may have parked: a flooder pushes out its own blocks first. */
  readonly maxBlocksPerPeer: number;
}

/**
 * 64 blocks, or 16 of the largest: a node further behind catches up by sync, headers first, not from here. A
 * quarter for each peer, so that it takes four liars to push out an honest peer's block.
 */
export const DEFAULT_PARKED_BLOCKS_LIMITS: ParkedBlocksLimits = {
  maxBlocks: 64,
  maxBytes: 16 * 1024 * 1024,
  maxBlocksPerPeer: 16,
};

export interface ParkedBlock {
  readonly block: Block;
  /** Whom it came from; the caller's own key for itself. */
  readonly from: string;
  /** Encoded size. */
  readonly bytes: number;
  readonly parkedAtMs: number;
}

export interface ParkOutcome {
  /** False when it was there already, or is larger than the whole pool. */
  readonly parked: boolean;
  readonly evicted: readonly ParkedBlock[];
}

/**
 * Blocks whose parent is unknown (BLK-16), by the parent they wait for. Gossip will not bring them again, so they
 * wait here while the parent is fetched. They have passed the checks that need no parent, proof of work included.
 *
 * Bounds: `maxBlocks`, `maxBytes`, `maxBlocksPerPeer`; the oldest goes first, the sender's own oldest before
 * others'. All operations are O(1) but `missing` and eviction by peer, which are O(blocks parked).
 */
export class ParkedBlocks {
  readonly #limits: ParkedBlocksLimits;
  /** In order of arrival. */
  readonly #byId = new Map<BlockId, ParkedBlock>();
  readonly #byParent = new Map<BlockId, Set<BlockId>>();
  readonly #perPeer = new UsageCounter<string>();
  #bytes = 0;

  constructor(limits: ParkedBlocksLimits = DEFAULT_PARKED_BLOCKS_LIMITS) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#byId.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(id: BlockId): boolean {
    return this.#byId.has(id);
  }

  get(id: BlockId): ParkedBlock | undefined {
    return this.#byId.get(id);
  }

  /** Keeps the block until its parent comes, or it is pushed out or expires. */
  add(block: Block, from: string, bytes: number, nowMs: number): ParkOutcome {
    const id = block.header.id;
    if (this.#byId.has(id) || bytes > this.#limits.maxBytes) return { parked: false, evicted: [] };
    const evicted: ParkedBlock[] = [];
    if (this.#perPeer.of(from) >= this.#limits.maxBlocksPerPeer) {
      for (const parked of this.#byId.values()) {
        if (parked.from !== from) continue;
        evicted.push(this.#remove(parked));
        break;
      }
    }
    while (this.#byId.size >= this.#limits.maxBlocks || this.#bytes + bytes > this.#limits.maxBytes) {
      const oldest = this.#byId.values().next();
      if (oldest.done === true) break;
      evicted.push(this.#remove(oldest.value));
    }
    this.#byId.set(id, { block, from, bytes, parkedAtMs: nowMs });
    const siblings = this.#byParent.get(block.header.parent);
    if (siblings === undefined) this.#byParent.set(block.header.parent, new Set([id]));
    else siblings.add(id);
    this.#perPeer.change(from, 1);
    this.#bytes += bytes;
    return { parked: true, evicted };
  }

  /** Takes out the blocks that wait for `parent`, oldest first. Their own children stay until asked for. */
  take(parent: BlockId): ParkedBlock[] {
    const ids = this.#byParent.get(parent);
    if (ids === undefined) return [];
    return Array.from(ids, (id) => this.#remove(this.#byId.get(id)!));
  }

  /** Takes out `id` and everything parked above it: for a block that turned out invalid. */
  takeBranch(id: BlockId): ParkedBlock[] {
    const taken: ParkedBlock[] = [];
    const own = this.#byId.get(id);
    if (own !== undefined) taken.push(this.#remove(own));
    const parents = [id];
    for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
      for (const child of this.take(parent)) {
        taken.push(child);
        parents.push(child.block.header.id);
      }
    }
    return taken;
  }

  /** Parents to fetch: those waited for that are not parked themselves, longest awaited first. */
  missing(): BlockId[] {
    return Array.from(this.#byParent.keys()).filter((parent) => !this.#byId.has(parent));
  }

  /** Takes out what was parked `maxAgeMs` ago or earlier. */
  expire(nowMs: number, maxAgeMs: number): ParkedBlock[] {
    const old = Array.from(this.#byId.values()).filter((parked) => nowMs - parked.parkedAtMs >= maxAgeMs);
    for (const parked of old) this.#remove(parked);
    return old;
  }

  #remove(parked: ParkedBlock): ParkedBlock {
    const { id, parent } = parked.block.header;
    this.#byId.delete(id);
    const siblings = this.#byParent.get(parent)!;
    siblings.delete(id);
    if (siblings.size === 0) this.#byParent.delete(parent);
    this.#perPeer.change(parked.from, -1);
    this.#bytes -= parked.bytes;
    return parked;
  }
}
