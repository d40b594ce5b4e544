import type { BlockTree } from './block-tree.ts';
import type { ChainEntry, Checkpoint } from './types.ts';

export interface ForkChoiceContext {
  /** The last final checkpoint; it is in the tree. */
  readonly final: Checkpoint;
  /** Height of the highest agreed checkpoint on the leaf's chain. */
  readonly highestAgreed: (leaf: ChainEntry) => bigint;
}

/**
 * The block the node should be on. Pure: two nodes with the same tree, agreement and arrival order choose alike.
 *
 * FORK-1 the chain contains the last final block; FORK-2 then the highest agreed checkpoint wins; FORK-3 then the
 * most total work; FORK-4 then the leaf that arrived here first. O(leaves above the final block).
 *
 * @throws RangeError when the final block is not in the tree.
 */
export function chooseTip(tree: BlockTree, context: ForkChoiceContext): ChainEntry {
  const [first, ...others] = tree.leavesFrom(context.final.id); // FORK-1
  if (first === undefined) throw new RangeError(`no leaf descends from the final block ${context.final.id}`);
  let best = first;
  if (others.length === 0) return best;
  let bestAgreed = context.highestAgreed(best);
  for (const leaf of others) {
    const agreed = context.highestAgreed(leaf);
    if (isBetter(leaf, agreed, best, bestAgreed)) {
      best = leaf;
      bestAgreed = agreed;
    }
  }
  return best;
}

function isBetter(leaf: ChainEntry, agreed: bigint, than: ChainEntry, thanAgreed: bigint): boolean {
  if (agreed !== thanAgreed) return agreed > thanAgreed; // FORK-2
  if (leaf.totalWork !== than.totalWork) return leaf.totalWork > than.totalWork; // FORK-3
  return leaf.arrival < than.arrival; // FORK-4
}
