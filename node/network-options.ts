/** What the configuration asks of the network. */
import type { NodeConfig } from './config.ts';
import { DEVNET_NETWORK, type NetworkOptions, PUBLIC_NETWORK } from './net/libp2p-network.ts';
import { meshDegrees } from './net/mesh-degrees.ts';

export function networkOptions(config: NodeConfig): NetworkOptions {
  const base = config.trustPrivateRanges ? DEVNET_NETWORK : PUBLIC_NETWORK;
  return {
    ...base,
    host: { ...base.host, maxConnections: config.maxPeers },
    gossip: {
      ...base.gossip,
      ...meshDegrees(config.meshDegree),
      closedNodes: config.netSize,
      heartbeatIntervalMs: config.heartbeatMs,
    },
    addressBook: { ...base.addressBook, targetConnections: config.targetPeers },
  };
}
