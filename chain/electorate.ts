/**
 * Who votes, with what weight, and when that changes. Under the rule `genesis` the same list for ever; under `miners`
 * the authors of the last blocks, in dynasties after Casper FFG §3 (arXiv:1710.09437): see `docs/PROTOCOL.md` and
 * ADR 0008.
 */

import type { Address } from '../crypto/address.ts';
import type { BlockTree } from './block-tree.ts';
import { checkpointOf } from './checkpoint.ts';
import type { BlockId, Checkpoint } from './types.ts';

export type ElectorateRule =
  | { readonly kind: 'genesis' }
  /** The authors of the last `window` blocks, one vote for each block. */
  | { readonly kind: 'miners'; readonly window: number };

/** The voters of one moment. Weights are whole numbers, so that no rounding decides. */
export interface Electorate {
  /** The block it is drawn at: itself and those below it. Genesis for the list of the genesis. */
  readonly asOf: Checkpoint;
  readonly weights: ReadonlyMap<Address, number>;
  /** Of all weights, absent and guilty voters' included. */
  readonly total: number;
}

/**
 * Which electorates a link needs, given the path of links that agreed its source: those as of the last two checkpoints
 * that became final on that path. A path never changes, so neither does what a vote must reach.
 */
export interface Dynasty {
  readonly rear: Checkpoint;
  readonly forward: Checkpoint;
}

/** True for a weight of strictly more than two thirds: 3·weight > 2·total. */
export function isSupermajority(weight: number, total: number): boolean {
  return 3 * weight > 2 * total;
}

/** The least weight that is a supermajority: ⌊2·total / 3⌋ + 1. */
export function quorumOf(total: number): number {
  return Math.floor((2 * total) / 3) + 1;
}

/**
 * The dynasty of a link's target: a link to a direct child makes its source final, on this path, and so begins the
 * next dynasty. @param interval of checkpoints, in blocks
 */
export function dynastyAfter(
  dynasty: Dynasty,
  link: { readonly source: Checkpoint; readonly target: Checkpoint },
  interval: bigint,
): Dynasty {
  const isDirect = link.target.height === link.source.height + interval;
  return isDirect ? { rear: dynasty.forward, forward: link.source } : dynasty;
}

/**
 * The dynasty at the end of a path of links, lowest first, of which the beginning may be missing: two that go to
 * direct children are enough. Undefined where they are not there.
 */
export function dynastyOfPath(
  links: readonly { readonly source: Checkpoint; readonly target: Checkpoint }[],
  interval: bigint,
): Dynasty | undefined {
  let rear: Checkpoint | undefined;
  let forward: Checkpoint | undefined;
  if (links[0] === undefined || links[0].source.height === 0n) {
    rear = links[0]?.source;
    forward = rear;
  }
  for (const { source, target } of links) {
    if (target.height !== source.height + interval) continue;
    rear = forward;
    forward = source;
  }
  return rear && forward && { rear, forward };
}

/** Electorates kept: as many as are in use between two final blocks when all is well, and many more. */
const MAX_CACHED = 64;

/**
 * Draws electorates. Those of `miners` cost one step for each block of the window, once for each block they are drawn
 * at; the latest are kept.
 */
export class Electorates {
  readonly rule: ElectorateRule;
  readonly #genesis: Checkpoint;
  readonly #voters: readonly Address[];
  readonly #ofGenesis: Electorate;
  readonly #cache = new Map<BlockId, Electorate>();

  /** @param voters of the genesis document; duplicates count once */
  constructor(rule: ElectorateRule, voters: readonly Address[], genesis: Checkpoint) {
    this.rule = rule;
    this.#genesis = checkpointOf(genesis);
    this.#voters = Array.from(new Set(voters));
    this.#ofGenesis = rule.kind === 'genesis' ? this.#listOfGenesis(1) : this.#listOfGenesis(rule.window);
  }

  /** The voters of the genesis. */
  get voters(): readonly Address[] {
    return this.#voters;
  }

  /** In force from genesis. */
  get firstDynasty(): Dynasty {
    return { rear: this.#genesis, forward: this.#genesis };
  }

  /** What a link needs more than two thirds of: of each, forward first. The tree has the dynasty's blocks. */
  inForce({ rear, forward }: Dynasty, tree: BlockTree | undefined): readonly Electorate[] {
    if (this.rule.kind === 'genesis') return [this.#ofGenesis];
    const ahead = this.#drawnAt(forward, tree);
    return rear.id === forward.id ? [ahead] : [ahead, this.#drawnAt(rear, tree)];
  }

  #drawnAt(checkpoint: Checkpoint, tree: BlockTree | undefined): Electorate {
    if (checkpoint.height === 0n) return this.#ofGenesis;
    const cached = this.#cache.get(checkpoint.id);
    if (cached !== undefined) return cached;
    const electorate = this.#draw(checkpoint, tree);
    this.#cache.set(checkpoint.id, electorate);
    if (this.#cache.size > MAX_CACHED) this.#cache.delete(this.#cache.keys().next().value!);
    return electorate;
  }

  /**
   * One block weighs as much as there are genesis voters; each block that the window lacks, near genesis, gives each
   * of them 1. So the total is the same at all times, and the list of the genesis fades out block by block.
   */
  #draw({ height, id }: Checkpoint, tree: BlockTree | undefined): Electorate {
    const window = this.rule.kind === 'miners' ? this.rule.window : 0;
    const perBlock = this.#voters.length;
    const weights = new Map<Address, number>();
    let missing = window;
    let entry = tree?.get(id);
    for (; missing > 0 && entry !== undefined && entry.header.height > 0n; missing -= 1) {
      const { miner, parent } = entry.header;
      weights.set(miner, (weights.get(miner) ?? 0) + perBlock);
      entry = tree?.get(parent);
    }
    if (entry === undefined) throw new RangeError(`block ${id} of an electorate is not in the tree`);
    if (missing > 0) for (const voter of this.#voters) weights.set(voter, (weights.get(voter) ?? 0) + missing);
    return { asOf: { height, id }, weights, total: window * perBlock };
  }

  #listOfGenesis(each: number): Electorate {
    const weights = new Map(this.#voters.map((voter) => [voter, each]));
    return { asOf: this.#genesis, weights, total: each * this.#voters.length };
  }
}

/**
 * Whose votes are worth keeping, as they may count in a link that is still open: the list of the genesis while it
 * counts, and under `miners` the authors of blocks, on any branch, that can be in a window still.
 *
 * Bound: under `miners` one entry for each author of a block in the tree, which cost it that block's work.
 */
export class Candidates {
  readonly #rule: ElectorateRule;
  readonly #voters: ReadonlySet<Address>;
  /** Author → height of the highest block by it. */
  readonly #authors = new Map<Address, bigint>();
  /** Lowest height that is in a window still; below 1, the list of the genesis fills the window. */
  #from = 0n;

  constructor(electorates: Electorates) {
    this.#rule = electorates.rule;
    this.#voters = new Set(electorates.voters);
    this.advance(0n);
  }

  has(address: Address): boolean {
    if (this.#voters.has(address) && (this.#rule.kind === 'genesis' || this.#from < 1n)) return true;
    const height = this.#authors.get(address);
    return height !== undefined && height >= this.#from;
  }

  /** Whether it is a candidate or has ever been one, as far as the blocks here tell. */
  hasBeen(address: Address): boolean {
    return this.#voters.has(address) || this.#authors.has(address);
  }

  /** `hasBeen` holds for no more than that; who is on the list and an author is counted twice. */
  get everCount(): number {
    return this.#voters.size + this.#authors.size;
  }

  /** A block came into the tree, on whichever branch. */
  onBlock({ height, miner }: { readonly height: bigint; readonly miner: Address }): void {
    if (this.#rule.kind === 'genesis' || height === 0n) return;
    if ((this.#authors.get(miner) ?? 0n) < height) this.#authors.set(miner, height);
  }

  /** The electorate as of a block of this height is the oldest that is needed from now on. */
  advance(rearHeight: bigint): void {
    if (this.#rule.kind === 'miners') this.#from = rearHeight - BigInt(this.#rule.window) + 1n;
  }
}
