import type { Address } from '../crypto/address.ts';
import type { Agreement } from './agreement.ts';
import type { BlockTree } from './block-tree.ts';
import type { ChainEntry, Checkpoint } from './types.ts';

/** What the voter must never contradict: the highest source and target it has voted for. */
export interface VoteGuardLike {
  readonly sourceHeight: bigint;
  readonly targetHeight: bigint;
}

export interface VotePlanContext {
  readonly tree: BlockTree;
  readonly agreement: Agreement;
  /** The block the node is on. */
  readonly tip: ChainEntry;
  /** Undefined before the first vote. */
  readonly guard: VoteGuardLike | undefined;
  /** Where given, and its vote would count for nothing, there is none. */
  readonly voter?: Address;
}

export interface VotePlan {
  readonly source: Checkpoint;
  readonly target: Checkpoint;
}

/**
 * What to vote for now, if anything: the highest checkpoint on the tip's chain, from the highest agreed one below
 * it. Targets rise with every vote and sources never fall, so two planned votes can't contradict each other
 * (VOTE-8), whatever happens to the chain in between; the guard must be durable before the vote is published.
 */
export function planVote(context: VotePlanContext): VotePlan | undefined {
  const { tree, agreement, tip, guard } = context;
  if (!tree.isAncestor(agreement.final.id, tip.header.id)) return undefined; // FORK-1: the tip is about to move
  const interval = agreement.checkpointInterval;
  const targetHeight = tip.header.height - (tip.header.height % interval);
  if (targetHeight < interval) return undefined; // genesis needs no vote
  if (guard !== undefined && targetHeight <= guard.targetHeight) return undefined;
  const target = tree.ancestorAt(tip.header.id, targetHeight);
  const below = tree.ancestorAt(tip.header.id, targetHeight - interval);
  if (target === undefined || below === undefined) return undefined;
  const source = agreement.highestAgreed(below.header.id, tree);
  if (guard !== undefined && source.height < guard.sourceHeight) return undefined;
  if (context.voter !== undefined && !agreement.countsFrom(source.id, context.voter)) return undefined;
  return { source, target: { height: targetHeight, id: target.header.id } };
}
