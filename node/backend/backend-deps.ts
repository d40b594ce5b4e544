/** What the parts of the API's backend are made of. */
import type { Address } from '../../crypto/address.ts';
import type { NodeStatus } from '../api/schemas.ts';
import type { GrapevineNode } from '../compose.ts';
import type { Clock, Network } from '../ports.ts';
import type { Store } from '../store/store.ts';

export interface ApiBackendDeps {
  readonly node: GrapevineNode;
  readonly network: Network;
  readonly store: Store;
  readonly clock: Clock;
  readonly name: string;
  readonly version: string;
  readonly genesisDoc: object;
  readonly voter: Address | undefined;
  readonly signatureBackend: string;
  /** What has come by gossip since the start. */
  readonly gossipCounts: () => Promise<NodeStatus['gossip']>;
  readonly internalErrors: () => Promise<number>;
  /** Resolves when the event loop has had its turn. */
  readonly giveWay: () => Promise<void>;
}
