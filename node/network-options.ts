/** What the configuration asks of the network. */
import { CONFIG_OPTIONS, ConfigError, type NodeConfig } from './config.ts';
import { DEVNET_NETWORK, type NetworkOptions, PUBLIC_NETWORK } from './net/libp2p-network.ts';
import { meshDegrees } from './net/mesh-degrees.ts';
import { type PeerAddress, parsePeerAddress } from './net/peer-address.ts';
import type { PeerKey } from './ports.ts';

/** @throws ConfigError for bootstrap addresses that nobody can be dialled at, or that name no peer in a closed net */
export function networkOptions(config: NodeConfig): NetworkOptions {
  const bootstrap = config.bootstrap.map(parseBootstrap);
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

function parseBootstrap(address: string): PeerAddress {
  try {
    return parsePeerAddress(address);
  } catch (error) {
    throw new ConfigError(`${CONFIG_OPTIONS.bootstrap.flag}: ${(error as Error).message}`);
  }
}

function namedPeer({ text, peer }: PeerAddress): PeerKey {
  const { bootstrap, closedNet } = CONFIG_OPTIONS;
  if (peer === undefined) {
    throw new ConfigError(`${bootstrap.flag}: ${text} ends without /p2p/<id> (${closedNet.flag})`);
  }
  return peer;
}
