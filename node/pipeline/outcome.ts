/**
 * What follows from a verdict: the metric, and the answer to the network, which forwards what is accepted and counts
 * what is rejected against its sender. One place for all kinds.
 */
import type { Reason } from '../../chain/reasons.ts';
import type { Metrics } from '../metrics.ts';
import type { GossipMessage, Logger, TopicKind } from '../ports.ts';

export type OutcomeVerdict =
  | { readonly kind: 'accept' }
  | { readonly kind: 'ignore' | 'reject'; readonly reason: Reason };

/** What has a verdict: a message, by topic, but for `tx`, whose messages are batches; and each transaction of a batch. */
export type VerdictKind = TopicKind | 'batch';

export interface OutcomeDeps {
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Settles a gossip message. Called once for each message that entered the pipeline. */
export function settleOutcome(deps: OutcomeDeps, message: GossipMessage, verdict: OutcomeVerdict): void {
  const kind = message.kind === 'tx' ? 'batch' : message.kind;
  countVerdict(deps.metrics, kind, verdict);
  message.settle(verdict.kind);
  if (verdict.kind === 'reject') deps.logger.debug({ kind, from: message.from, reason: verdict.reason }, 'rejected');
}

/** One more of a kind whose verdict is known. */
export function countVerdict(metrics: Metrics, kind: VerdictKind, verdict: OutcomeVerdict): void {
  metrics.verdictCounter.count(kind, verdict.kind, verdict.kind === 'accept' ? '' : verdict.reason);
}
