/** What a node still waits for before it can serve. Pure: looks at the services and changes nothing. */
import type { AgreementService } from './agreement/agreement-service.ts';
import type { ChainService } from './chain-service.ts';
import type { ClockWatch } from './clock-watch.ts';
import { type Network, TOPIC_KINDS } from './ports.ts';
import type { SyncService } from './sync/sync-service.ts';

export interface ReadinessDeps {
  readonly chain: Pick<ChainService, 'storeFailure'>;
  readonly agreement: Pick<AgreementService, 'voteFailure'>;
  readonly clockWatch: Pick<ClockWatch, 'complaint'>;
  readonly sync: Pick<SyncService, 'isStuck' | 'isCatchingUp' | 'hasMetPeer'>;
  readonly network: Pick<Network, 'peers'>;
  /** Has the node peers to meet before it is ready? */
  readonly expectsPeers: boolean;
}

/** Each as a sentence for people, its part first; empty: ready. */
export function missingForReadiness(deps: ReadinessDeps): readonly string[] {
  const { chain, agreement, clockWatch, sync, network, expectsPeers } = deps;
  const missing: string[] = [];
  if (chain.storeFailure !== undefined) missing.push(`store: ${chain.storeFailure.message}`);
  if (agreement.voteFailure !== undefined) missing.push(`vote: ${agreement.voteFailure.message}`);
  if (clockWatch.complaint !== undefined) missing.push(`clock: ${clockWatch.complaint}`);
  if (sync.isStuck) missing.push('sync: no peer gives the blocks that others have agreed; each may have pruned them');
  else if (sync.isCatchingUp) missing.push('sync: catching up');
  if (!expectsPeers) return missing;
  const meshed = new Set(network.peers().flatMap((peer) => peer.mesh));
  for (const topic of TOPIC_KINDS) if (!meshed.has(topic)) missing.push(`mesh: no peer on topic ${topic}`);
  if (!sync.hasMetPeer) missing.push('peers: none has told its status');
  return missing;
}
