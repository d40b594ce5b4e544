/** What a run of the devnet came to. */
import type { NodeCounts } from './node-counts.ts';
import { failuresOf, type Outcome } from './outcome.ts';
import type { Percentiles, Traffic } from './traffic.ts';

export interface DevnetReport extends Outcome {
  readonly nodes: number;
  readonly readyMs: number;
  readonly submitted: number;
  readonly mined: number;
  readonly agreed: number;
  /** While the load ran, by the blocks that hold it, and by those of them that were agreed. */
  readonly minedPerS: number;
  readonly agreedPerS: number;
  /** As `LoadSender` counts them. */
  readonly rejected: number;
  readonly heldBack: number;
  readonly propagationMs: Percentiles;
  /** Of each gossip message that a node received, and of each transaction, whichever batches it came in. */
  readonly copiesPerMessage: number;
  readonly copiesPerTx: number;
  /** By nodes that had no room for them. */
  readonly blocksDropped: number;
  readonly errors: number;
  readonly kills: number;
  readonly rssMb: { readonly max: number };
  /** Why the run has failed; empty: it has not. */
  readonly failures: readonly string[];
}

export interface ReportInit {
  /** Of each node. */
  readonly counts: readonly NodeCounts[];
  readonly readyMs: number;
  readonly traffic: Traffic;
  readonly sender: { readonly rejected: number; readonly heldBack: number };
  readonly outcome: Outcome;
  /** Where the nodes differ; undefined: they do not. */
  readonly difference: string | undefined;
  /** That no node has counted. */
  readonly otherErrors: number;
  readonly kills: number;
  readonly rssMaxMb: number;
}

/** Pure. Adds up what the nodes counted; ratios are rounded to hundredths, and 0 where there was nothing. */
export function reportOf(init: ReportInit): DevnetReport {
  const { counts, traffic, sender, outcome, difference, otherErrors } = init;
  const total = (of: (counts: NodeCounts) => number): number => counts.reduce((sum, each) => sum + of(each), 0);
  const errors = otherErrors + total((each) => each.errors);
  return {
    nodes: counts.length,
    readyMs: init.readyMs,
    ...traffic.counts,
    rejected: sender.rejected,
    heldBack: sender.heldBack,
    minedPerS: traffic.minedPerS,
    agreedPerS: traffic.agreedPerS,
    ...outcome,
    propagationMs: traffic.propagationMs,
    copiesPerMessage: ratio(
      total((each) => each.copies),
      total((each) => each.messages),
    ),
    copiesPerTx: ratio(
      total((each) => each.txCopies),
      total((each) => each.txs),
    ),
    blocksDropped: total((each) => each.blocksDropped),
    errors,
    kills: init.kills,
    rssMb: { max: init.rssMaxMb },
    failures: failuresOf(outcome, difference, errors),
  };
}

/** In hundredths. */
function ratio(copies: number, things: number): number {
  return things === 0 ? 0 : Math.round((copies / things) * 100) / 100;
}
