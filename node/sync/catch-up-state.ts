/**
 * What a node knows itself to lack, as its downloads tell: whether it is behind, and may vote and mine meanwhile. Decides
 * nothing about whom is asked.
 */
import type { BlockId, Header } from '../../chain/types.ts';
import { Lru } from '../lru.ts';
import type { Clock } from '../ports.ts';
import { HoldBudget } from './hold-budget.ts';

export interface CatchUpStateDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** The chain's target. */
  readonly blockTimeMs: number;
  /** Whether the block is in the tree. */
  readonly hasBlock: (id: BlockId) => boolean;
  /** The node was behind, a voter has held its vote meanwhile, and may vote again. */
  readonly onMayVoteAgain: () => void;
}

/** A node this many blocks behind neither votes nor mines. */
export const BEHIND_BLOCKS = 3;
/** Blocks remembered that nobody gave. Each cost its maker the work of a branch better than ours. */
const WITHHELD_KEPT = 256;

/** What a peer gave of what it claims: something, nothing, or not all of it before its turn was over. */
export type FetchOutcome = 'progress' | 'nothing' | 'turn-over';

/**
 * Downloads of bodies come one at a time, `begin` to `bodiesEnded`; each that had all its bodies has `votesEnded` after it,
 * when another may have begun.
 */
export class CatchUpState {
  readonly #deps: CatchUpStateDeps;
  readonly #budget: HoldBudget;
  /** Blocks of a branch that are still to come. */
  #remaining = 0;
  #isFetching = false;
  /** Branches whose bodies have all come, and whose peers are being asked for the votes. */
  #votesUnderway = 0;
  /** The last download whose bodies were asked for was not over when its turn was: what is behind it holds on. */
  #isLeftOver = false;
  /** The next block of the download, where nobody gave it before and nobody has given it now. */
  #doubted: BlockId | undefined;
  /** Blocks that nobody gave. */
  readonly #withheld = new Lru<BlockId, true>(WITHHELD_KEPT);
  /** The blocks of a branch from which it was behind have come, or are coming; the votes that belong to them have not. */
  #lacksVotes = false;
  /** It was behind, and a voter has held its vote for the blocks that came meanwhile. */
  #wasBehind = false;
  /** The highest block that votes have proved agreed whose branch no peer has given the bodies of. */
  #owed: Header | undefined;

  constructor(deps: CatchUpStateDeps) {
    this.#deps = deps;
    this.#budget = new HoldBudget(deps.clock, deps.blockTimeMs);
  }

  /**
   * True while blocks whose headers are proved are being fetched, or blocks that more than two thirds agreed have not been
   * had from anybody. A peer's mere claim does not count, nor does work alone whose blocks somebody keeps to himself:
   * once they have been asked for in vain they count only when the first comes. However many peers show the same headers,
   * one after another or under new names, they hold up voting and mining once, for as long as a download does without a
   * new body; and whatever they give, for no longer than `HoldBudget` has.
   */
  get isBehind(): boolean {
    const isFetching = this.#remaining >= BEHIND_BLOCKS && this.#doubted === undefined;
    return (isFetching && this.#budget.isLeft) || this.#owesBodies;
  }

  /** As `isBehind`, and while blocks are being fetched that nobody gave before: what there is may be more than is here. */
  get isCatchingUp(): boolean {
    return this.#remaining >= BEHIND_BLOCKS || this.#owesBodies;
  }

  /**
   * False where it is behind, and until the votes after the blocks have come or their peer has failed: whoever votes
   * before does so from an agreed block that is no longer the last, and has no other vote at that height (VOTE-8).
   */
  get mayVote(): boolean {
    return !this.isBehind && !(this.#lacksVotes && this.#budget.isLeft);
  }

  /** Others have agreed blocks that no peer has given. */
  get isStuck(): boolean {
    return this.#remaining === 0 && this.#owesBodies;
  }

  get #owesBodies(): boolean {
    return this.#owed !== undefined && !this.#deps.hasBlock(this.#owed.id);
  }

  /**
   * The bodies of a branch are being asked for.
   *
   * @param blocks so many
   * @param next the first of them
   */
  begin(blocks: number, next: BlockId): void {
    this.#isFetching = true;
    this.#isLeftOver = false;
    this.#remaining = blocks;
    this.#doubted = this.#withheld.get(next) === true ? next : undefined;
    if (this.isBehind) this.#hold();
  }

  /** A good body has come, and is not connected yet: when it is, a vote would be wasted. */
  onBody(id: BlockId): void {
    if (id !== this.#doubted) return;
    this.#doubted = undefined;
    if (this.isBehind) this.#hold();
  }

  /** A block of the download has been connected, or was there. */
  onConnected(): void {
    this.#remaining = Math.max(0, this.#remaining - 1);
    this.#budget.earn(1);
  }

  /** All have been asked for this block of the download in vain. */
  onWithheld(id: BlockId): void {
    this.#doubted = id;
    this.#withheld.set(id, true);
  }

  /**
   * Votes have proved this block agreed, and nobody gives the bodies up to it.
   *
   * @returns false where that is no more than was known
   */
  owe(header: Header): boolean {
    // Who proves less than another has does not make up for it.
    if (this.#owed !== undefined && this.#owesBodies && header.height <= this.#owed.height) return false;
    this.#owed = header;
    return true;
  }

  bodiesEnded(outcome: FetchOutcome): void {
    this.#isFetching = false;
    // After a turn it is as far behind as before, also while the next peer is asked for its headers.
    if (outcome === 'turn-over') this.#isLeftOver = true;
    else if (outcome === 'progress') this.#votesUnderway += 1;
    else this.#settle(outcome);
  }

  votesEnded(outcome: FetchOutcome): void {
    this.#votesUnderway -= 1;
    this.#settle(outcome);
  }

  /** Nothing is being fetched, and nothing will be for now. */
  end(): void {
    this.#remaining = 0;
    this.#lacksVotes = false; // nobody is asked for them any more
    this.#isLeftOver = false;
    this.#budget.end();
    if (!this.#wasBehind || !this.mayVote) return;
    this.#wasBehind = false;
    this.#deps.onMayVoteAgain();
  }

  /** A download has ended so, its votes included; another may have begun since, or been left over. */
  #settle(outcome: FetchOutcome): void {
    if (outcome === 'turn-over' || this.#isFetching || this.#isLeftOver) return;
    this.#remaining = 0; // nothing is being fetched, also where the next peer is asked before `end`
    if (this.#votesUnderway > 0 && this.#budget.isLeft) return;
    this.#lacksVotes = false; // who does not give them holds up no vote of this node's for longer
    // The next in the row may have the votes. Where it has no end, a vote that was held would never be cast.
    if (outcome === 'progress' || !this.#budget.isLeft) this.end();
  }

  #hold(): void {
    this.#budget.begin();
    this.#wasBehind = true;
    this.#lacksVotes = true;
  }
}
