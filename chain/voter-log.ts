import type { Vote } from './types.ts';
import { contradiction } from './validate/vote.ts';

/**
 * One voter's votes by target height, without contradictions.
 *
 * As no vote surrounds another, source heights do not fall as target heights rise. So a new vote has only its two
 * neighbours to be compared with, and lookups are O(log n).
 *
 * Bound: `maxVotes`. Of the targets up to a horizon, a little above the tip, the highest are kept; those above it only where
 * there is room. A voter can cast as many votes for blocks to come as it likes, and would push out what contradicts its
 * others.
 */
export class VoterLog {
  /** Logs are numbered as they are begun. */
  readonly number: number;
  readonly #maxVotes: number;
  /** By target height, ascending. */
  readonly #votes: Vote[] = [];

  constructor(maxVotes: number, number: number) {
    this.number = number;
    this.#maxVotes = maxVotes;
  }

  votes(): readonly Vote[] {
    return this.#votes;
  }

  has(vote: Vote): boolean {
    return this.#votes[this.#indexOf(vote.target.height)]?.id === vote.id;
  }

  /** A kept vote that contradicts this one (VOTE-8). */
  contradicting(vote: Vote): Vote | undefined {
    const index = this.#indexOf(vote.target.height);
    const atOrAbove = this.#votes[index];
    if (atOrAbove !== undefined && contradiction(atOrAbove, vote) !== undefined) return atOrAbove;
    const below = this.#votes[index - 1];
    return below !== undefined && contradiction(below, vote) !== undefined ? below : undefined;
  }

  /**
   * True when there is room, or a vote to push out.
   *
   * @param horizon height up to which votes are of now
   */
  fits({ target: { height } }: Vote, horizon: bigint): boolean {
    if (this.#votes.length < this.#maxVotes) return true;
    if (height > horizon) return false;
    return this.#votes.at(-1)!.target.height > horizon || this.#votes[0]!.target.height < height;
  }

  /** Adds a vote that fits and contradicts none. Returns the one it pushed out. */
  add(vote: Vote, horizon: bigint): Vote | undefined {
    const index = this.#indexOf(vote.target.height);
    this.#votes.splice(index, 0, vote);
    if (this.#votes.length <= this.#maxVotes) return undefined;
    return this.#votes.at(-1)!.target.height > horizon ? this.#votes.pop() : this.#votes.shift();
  }

  /** Takes out those with a target below `height`. */
  prune(height: bigint): Vote[] {
    return this.#votes.splice(0, this.#indexOf(height));
  }

  /** Index of the first vote whose target is at or above `height`. */
  #indexOf(height: bigint): number {
    let low = 0;
    let high = this.#votes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#votes[middle]!.target.height < height) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
