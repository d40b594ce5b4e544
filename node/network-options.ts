/** What the configuration asks of the network. */
import { ConfigError, type NodeConfig } from './config.ts';
import { peerOf } from './net/address-book.ts';
import { DEVNET_NETWORK, type NetworkOptions, PUBLIC_NETWORK } from './net/libp2p-network.ts';
import { meshDegrees } from './net/mesh-degrees.ts';
import type { PeerKey } from './ports.ts';

/** @throws ConfigError for a closed net whose peers are not all named */
export function networkOptions(config: NodeConfig): NetworkOptions {
  const base = config.trustPrivateRanges ? DEVNET_NETWORK : PUBLIC_NETWORK;
  return {
    ...base,
    host: { ...base.host, maxConnections: config.maxPeers },
    gossip: {
      ...base.gossip,
      ...meshDegrees(config.meshDegree),
      closedNet: config.closedNet ? config.bootstrap.map(namedPeer) : [],
      heartbeatIntervalMs: config.heartbeatMs,
    },
    addressBook: { ...base.addressBook, targetConnections: config.targetPeers },
  };
}

function namedPeer(address: string): PeerKey {
  const peer = peerOf(address);
  if (peer === undefined) throw new ConfigError(`closed-net: the bootstrap address ${address} ends without /p2p/<id>`);
  return peer;
}
