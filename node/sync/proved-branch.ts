/** Branches whose headers peers have proved, and which of two goes before. Pure. */
import type { ChainEntry, Header } from '../../chain/types.ts';

/** Headers, checked in full, of blocks that we lack and want. */
export interface ProvedBranch {
  /** Not empty; each the parent of the next. */
  readonly entries: readonly ChainEntry[];
  /** The highest that its peer's votes agree. Not asked where they have more work than our tip and what is being fetched. */
  readonly agreed: ChainEntry | undefined;
}

/** Of its last block, all below it included. */
export function workOf({ entries }: ProvedBranch): bigint {
  return entries.at(-1)!.totalWork;
}

/**
 * By the order of fork choice, as far as they have been proved: agreed height, then work. What is agreed in one is agreed
 * in the other too where that holds the same block, whether or not its peer was asked for the votes.
 */
export function goesBefore(a: ProvedBranch, b: ProvedBranch): boolean {
  const lead = agreedHeight(a, b) - agreedHeight(b, a);
  return lead > 0n || (lead === 0n && workOf(a) > workOf(b));
}

function agreedHeight({ entries, agreed }: ProvedBranch, other: ProvedBranch): bigint {
  const own = agreed?.header.height ?? 0n;
  const theirs = other.agreed?.header;
  return theirs !== undefined && theirs.height > own && holds(entries, theirs) ? theirs.height : own;
}

/** One of them ends in the other. */
export function isOneChain(a: ProvedBranch, b: ProvedBranch): boolean {
  return holds(a.entries, b.entries.at(-1)!.header) || holds(b.entries, a.entries.at(-1)!.header);
}

/** @param entries each the parent of the next */
function holds(entries: readonly ChainEntry[], { height, id }: Header): boolean {
  return entries[Number(height - entries[0]!.header.height)]?.header.id === id;
}
