/** What the configuration asks of the network. */
import { CONFIG_OPTIONS, ConfigError, type NodeConfig } from './config.ts';
import { DEVNET_NETWORK, type NetworkOptions, PUBLIC_NETWORK } from './net/libp2p-network.ts';
import { meshDegrees } from './net/mesh-degrees.ts';
import { type PeerAddress, parsePeerAddress } from './net/peer-address.ts';
import type { PeerKey } from './ports.ts';

/** @throws ConfigError for a closed net whose peers are not all named; Error for an address that `parseConfig` refuses */
export function networkOptions(config: NodeConfig): NetworkOptions {
  const bootstrap = config.bootstrap.map(parsePeerAddress);
  const base = config.trustPrivateRanges ? DEVNET_NETWORK : PUBLIC_NETWORK;
  return {
    ...base,
    host: { ...base.host, maxConnections: config.maxPeers },
    gossip: {
      ...base.gossip,
      ...meshDegrees(config.meshDegree),
      closedNet: config.closedNet ? bootstrap.map(namedPeer) : [],
      heartbeatIntervalMs: config.heartbeatMs,
    },
    addressBook: { ...base.addressBook, targetConnections: config.targetPeers },
  };
}

function namedPeer({ text, peer }: PeerAddress): PeerKey {
  const { bootstrap, closedNet } = CONFIG_OPTIONS;
  if (peer === undefined) {
    throw new ConfigError(`${bootstrap.flag}: ${text} ends without /p2p/<id> (${closedNet.flag})`);
  }
  return peer;
}
