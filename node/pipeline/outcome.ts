/**
 * What follows from a verdict: the metric, and the answer to the network, which forwards what is accepted and counts
 * what is rejected against its sender. One place for all kinds.
 */
import type { Reason } from '../../chain/reasons.ts';
import type { Metrics } from '../metrics.ts';
import type { GossipMessage, Logger } from '../ports.ts';
import type { VerdictKind } from '../verdict-counter.ts';

export type OutcomeVerdict =
  | { readonly kind: 'accept' }
  | { readonly kind: 'ignore' | 'reject'; readonly reason: Reason };

export interface OutcomeDeps {
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/**
 * Settles a gossip message. Called once for each message that entered the pipeline. What was not looked at may come from
 * another peer, but for transactions: a node that is full of them would only fetch them again and again, and whatever it
 * has missed comes by the exchange of mempools.
 */
export function settleOutcome(deps: OutcomeDeps, message: GossipMessage, verdict: OutcomeVerdict): void {
  const kind = message.kind === 'tx' ? 'batch' : message.kind;
  countVerdict(deps.metrics, kind, verdict);
  const isUnread = message.kind !== 'tx' && verdict.kind === 'ignore' && verdict.reason === 'overloaded';
  message.settle(isUnread ? 'unread' : verdict.kind);
  if (verdict.kind === 'reject') deps.logger.debug({ kind, from: message.from, reason: verdict.reason }, 'rejected');
}

/** One more of a kind whose verdict is known. */
export function countVerdict(metrics: Metrics, kind: VerdictKind, verdict: OutcomeVerdict): void {
  if (verdict.kind === 'accept') metrics.verdictCounter.countAccepted(kind);
  else metrics.verdictCounter.count(kind, verdict.kind, verdict.reason);
}
