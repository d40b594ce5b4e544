/** What a node still waits for before it can serve. Looks at the services and changes nothing of them. */
import type { AgreementService } from './agreement/agreement-service.ts';
import type { ChainService } from './chain-service.ts';
import type { ClockWatch } from './clock-watch.ts';
import { type Clock, type Network, TOPIC_KINDS, type TopicKind } from './ports.ts';
import type { SyncService } from './sync/sync-service.ts';

export interface ReadinessDeps {
  readonly chain: Pick<ChainService, 'storeFailure'>;
  readonly agreement: Pick<AgreementService, 'voteFailure'>;
  readonly clockWatch: Pick<ClockWatch, 'complaint'>;
  readonly sync: Pick<SyncService, 'isStuck' | 'isCatchingUp' | 'hasMetPeer'>;
  readonly mesh: Pick<MeshWatch, 'emptyTopics'>;
  /** Has the node peers to meet before it is ready? */
  readonly expectsPeers: boolean;
}

/**
 * A mesh that has been filled may be empty for so long. While meshes are thinned a node can lose its last peer of a topic,
 * and grafts another at its next heartbeat, 0.7 s later at most.
 */
const EMPTY_MESH_MS = 2_000;

/** Which topics have no mesh peer, but for moments. It knows what it saw when it was asked. */
export class MeshWatch {
  readonly #network: Pick<Network, 'peers'>;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** Of the topics that have had mesh peers, since when none was seen; undefined: the last time there was one. */
  readonly #emptySinceMs = new Map<TopicKind, number | undefined>();

  constructor(network: Pick<Network, 'peers'>, clock: Pick<Clock, 'monotonicMs'>) {
    this.#network = network;
    this.#clock = clock;
  }

  /** Those that never had a peer, and those where none was seen for `EMPTY_MESH_MS`, however often it was asked. */
  emptyTopics(): readonly TopicKind[] {
    const filled = new Set(this.#network.peers().flatMap(({ mesh }) => mesh));
    return TOPIC_KINDS.filter((topic) => this.#isEmpty(topic, filled.has(topic)));
  }

  #isEmpty(topic: TopicKind, isFilled: boolean): boolean {
    if (isFilled) this.#emptySinceMs.set(topic, undefined);
    if (isFilled || !this.#emptySinceMs.has(topic)) return !isFilled;
    const nowMs = this.#clock.monotonicMs();
    const sinceMs = this.#emptySinceMs.get(topic) ?? nowMs;
    this.#emptySinceMs.set(topic, sinceMs);
    return nowMs - sinceMs >= EMPTY_MESH_MS;
  }
}

/** Each as a sentence for people, its part first; empty: ready. */
export function missingForReadiness(deps: ReadinessDeps): readonly string[] {
  const { chain, agreement, clockWatch, sync, mesh, expectsPeers } = deps;
  const missing: string[] = [];
  if (chain.storeFailure !== undefined) missing.push(`store: ${chain.storeFailure.message}`);
  if (agreement.voteFailure !== undefined) missing.push(`vote: ${agreement.voteFailure.message}`);
  if (clockWatch.complaint !== undefined) missing.push(`clock: ${clockWatch.complaint}`);
  if (sync.isStuck) missing.push('sync: no peer gives the blocks that others have agreed; each may have pruned them');
  else if (sync.isCatchingUp) missing.push('sync: catching up');
  if (!expectsPeers) return missing;
  for (const topic of mesh.emptyTopics()) missing.push(`mesh: no peer on topic ${topic}`);
  if (!sync.hasMetPeer) missing.push('peers: none has told its status');
  return missing;
}
