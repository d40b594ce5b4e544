import type { Metrics } from '../metrics.ts';
import type { Logger, Network, PeerKey } from '../ports.ts';
import { FAULT_POINTS, type PeerFault } from './exchange.ts';

export interface ReportFaultDeps {
  readonly metrics: Pick<Metrics, 'syncRequests'>;
  readonly logger: Logger;
  readonly network: Pick<Network, 'penalize'>;
}

/**
 * Counts a request that a peer failed, and what the peer has for it.
 *
 * @param protocol the label it is counted under
 */
export function reportFault(deps: ReportFaultDeps, peer: PeerKey, protocol: string, fault: PeerFault): void {
  const { metrics, logger, network } = deps;
  metrics.syncRequests.inc({ protocol, result: fault.kind });
  logger.debug({ peer, protocol, fault: fault.kind, detail: fault.message }, 'peer failed a request');
  if (FAULT_POINTS[fault.kind] > 0) network.penalize(peer, FAULT_POINTS[fault.kind], fault.message);
}
