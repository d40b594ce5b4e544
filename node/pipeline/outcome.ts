/**
 * What follows from a verdict: the metric, and the answer to the network, which forwards what is accepted and counts
 * what is rejected against its sender. One place for all kinds.
 */
import type { Reason } from '../../chain/reasons.ts';
import type { Metrics } from '../metrics.ts';
import type { GossipMessage, Logger } from '../ports.ts';

export type OutcomeVerdict =
  | { readonly kind: 'accept' }
  | { readonly kind: 'ignore' | 'reject'; readonly reason: Reason };

export interface OutcomeDeps {
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Settles a gossip message. Called once for each message that entered the pipeline. */
export function settleOutcome(deps: OutcomeDeps, message: GossipMessage, verdict: OutcomeVerdict): void {
  const reason = verdict.kind === 'accept' ? '' : verdict.reason;
  deps.metrics.verdicts.inc({ kind: message.kind, verdict: verdict.kind, reason });
  message.settle(verdict.kind);
  if (verdict.kind === 'reject') deps.logger.debug({ kind: message.kind, from: message.from, reason }, 'rejected');
}
