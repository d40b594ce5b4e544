import type { Address } from '../crypto/address.ts';
import { type Electorate, isSupermajority } from './electorate.ts';
import type { BlockId, Certificate, Checkpoint, Vote } from './types.ts';

/** `waiting`: a block is not in the tree yet. `void`: never counts (VOTE-10). */
export type LinkState = 'waiting' | 'valid' | 'void';

/** The weight that has voted a link, of one of the electorates that it needs. */
export interface Tally {
  readonly electorate: Electorate;
  weight: number;
}

/** All votes for one source → target. */
export interface Link {
  readonly source: Checkpoint;
  readonly target: Checkpoint;
  readonly votes: Map<Address, Vote>;
  state: LinkState;
  /** Set as soon as it is known which electorates it needs; kept up with the votes from then on. */
  tallies: readonly Tally[] | undefined;
}

/**
 * The links that have votes, found by target height, by source, and, of those whose target is not in the tree, by
 * target. Each vote is in one link. All operations are O(electorates of a link), which are two at most; with the first
 * and the last link to a height O(heights) moves within an array, and none where they come at its ends.
 */
export class LinkBook {
  readonly #links = new Map<string, Link>();
  readonly #byTargetHeight = new Map<bigint, Set<Link>>();
  /** The keys of the same, ascending. */
  readonly #targetHeights: bigint[] = [];
  readonly #bySource = new Map<BlockId, Set<Link>>();
  readonly #waiting = new Map<BlockId, Set<Link>>();

  /** Adds a vote to its link; `stateOf` says how a link stands that is new. */
  add(vote: Vote, stateOf: (link: Pick<Link, 'source' | 'target'>) => LinkState): Link {
    const key = keyOf(vote);
    let link = this.#links.get(key);
    if (link === undefined) {
      const { source, target } = vote;
      link = { source, target, votes: new Map(), state: stateOf(vote), tallies: undefined };
      this.#links.set(key, link);
      if (!this.#byTargetHeight.has(target.height)) {
        this.#targetHeights.splice(this.#indexOf(target.height), 0, target.height);
      }
      addTo(this.#byTargetHeight, target.height, link);
      addTo(this.#bySource, source.id, link);
      if (link.state === 'waiting') addTo(this.#waiting, target.id, link);
    }
    link.votes.set(vote.voter, vote);
    for (const tally of link.tallies ?? []) tally.weight += weightIn(tally, vote.voter);
    return link;
  }

  /** Takes a vote out, and with the last one the link. */
  remove(vote: Vote): void {
    const key = keyOf(vote);
    const link = this.#links.get(key);
    if (link?.votes.delete(vote.voter) !== true) return;
    for (const tally of link.tallies ?? []) tally.weight -= weightIn(tally, vote.voter);
    if (link.votes.size > 0) return;
    this.#links.delete(key);
    removeFrom(this.#byTargetHeight, link.target.height, link);
    if (!this.#byTargetHeight.has(link.target.height)) {
      this.#targetHeights.splice(this.#indexOf(link.target.height), 1);
    }
    removeFrom(this.#bySource, link.source.id, link);
    removeFrom(this.#waiting, link.target.id, link);
  }

  atTarget(height: bigint): readonly Link[] {
    return Array.from(this.#byTargetHeight.get(height) ?? []);
  }

  /** Heights at or above `height` that links have for target, ascending. No link may come or go meanwhile. */
  *targetHeightsFrom(height: bigint): Generator<bigint, void, undefined> {
    for (let index = this.#indexOf(height); index < this.#targetHeights.length; index += 1) {
      yield this.#targetHeights[index]!;
    }
  }

  fromSource(id: BlockId): readonly Link[] {
    return Array.from(this.#bySource.get(id) ?? []);
  }

  /** Links that waited for this block; they do no more. */
  takeWaiting(target: BlockId): readonly Link[] {
    const links = Array.from(this.#waiting.get(target) ?? []);
    this.#waiting.delete(target);
    return links;
  }

  /** Index of the first target height at or above `height`. */
  #indexOf(height: bigint): number {
    let low = 0;
    let high = this.#targetHeights.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#targetHeights[middle]! < height) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Whether a link is valid and has more than two thirds of every electorate it needs. O(votes) the first time. */
export function hasQuorum(link: Link, electorates: readonly Electorate[] | undefined): boolean {
  if (link.state !== 'valid' || electorates === undefined) return false;
  link.tallies ??= talliesOf(link.votes.keys(), electorates);
  return areSupermajorities(link.tallies);
}

/** What these voters weigh, each counted once for each time it is given. */
export function talliesOf(voters: Iterable<Address>, electorates: readonly Electorate[]): readonly Tally[] {
  const tallies = electorates.map((electorate): Tally => ({ electorate, weight: 0 }));
  for (const voter of voters) for (const tally of tallies) tally.weight += weightIn(tally, voter);
  return tallies;
}

/** Whether each weight is strictly more than two thirds of its total. True where there are no tallies. */
export function areSupermajorities(tallies: readonly Tally[]): boolean {
  return tallies.every(({ weight, electorate }) => isSupermajority(weight, electorate.total));
}

/** The votes that count, in order of their voters. */
export function toCertificate(link: Link): Certificate {
  const electorates = link.tallies?.map(({ electorate }) => electorate);
  const votes = Array.from(link.votes.values()).filter(
    ({ voter }) => electorates === undefined || electorates.some(({ weights }) => weights.has(voter)),
  );
  votes.sort((a, b) => (a.voter < b.voter ? -1 : 1));
  return { source: link.source, target: link.target, votes };
}

/** Votes by source and target; order within and among the groups is kept. */
export function groupByLink(votes: readonly Vote[]): Iterable<readonly Vote[]> {
  return Map.groupBy(votes, keyOf).values();
}

function weightIn({ electorate }: Tally, voter: Address): number {
  return electorate.weights.get(voter) ?? 0;
}

function keyOf(vote: Vote): string {
  return `${vote.source.height}:${vote.source.id}:${vote.target.height}:${vote.target.id}`;
}

function addTo<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key);
  if (set?.delete(value) === true && set.size === 0) sets.delete(key);
}
