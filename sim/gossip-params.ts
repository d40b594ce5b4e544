/** What gossipsub is told: the parameters of the model, with the values the node uses and those of the literature. */
import type { GossipOptions } from '../node/net/gossip-settings.ts';
import { MIN_IDONTWANT_BYTES, messageCacheLengths } from '../node/net/message-cache.ts';

export interface GossipParams {
  /** Mesh degree wanted, and the bounds within which the mesh is left alone. */
  readonly D: number;
  readonly Dlo: number;
  readonly Dhi: number;
  /** A GRAFT is refused when the mesh has so many: Dhi in gossipsub itself, more in the node. */
  readonly Dmax: number;
  /** Mesh peers kept by score when there are too many. */
  readonly Dscore: number;
  /** Mesh peers that must be ones we dialled. */
  readonly Dout: number;
  /** Peers outside the mesh that hear IHAVE: max(Dlazy, gossipFactor · candidates). */
  readonly Dlazy: number;
  readonly gossipFactor: number;
  readonly heartbeatIntervalMs: number;
  /** Heartbeats that a message can be asked for by IWANT, and those that IHAVE names it. */
  readonly mcacheLength: number;
  readonly mcacheGossip: number;
  /** IHAVE does not name to a peer the batches of transactions that it named to it at the heartbeat before. */
  readonly namesOnce: boolean;
  readonly seenTtlMs: number;
  /** Own messages go to all peers, not only to the mesh. */
  readonly floodPublish: boolean;
  /** Messages of at least this many bytes are announced by IDONTWANT to the mesh; Infinity: none (before v1.2). */
  readonly idontwantMinBytes: number;
  /** A peer that subscribes is grafted at once while the mesh is below Dlo, as js-libp2p does since gossipsub 17. */
  readonly graftOnSubscribe: boolean;
  /** After this a message without verdict is ignored. */
  readonly messageTtlMs: number;
  /** As `GossipOptions` has them. */
  readonly maxUnsettledPerPeer: number;
  readonly maxUnsettled: number;
  readonly maxUnsettledBlocksPerPeer: number;
  readonly pruneBackoffMs: number;
}

/** The settings of `node/net/` from which gossipsub's follow. */
type NodeGossipOptions = Omit<
  GossipOptions,
  | 'closedNet'
  | 'maxQueued'
  | 'maxQueuedBytes'
  | 'unsubscribeBackoffMs'
  | 'maxOutboundBufferBytes'
  | 'trustPrivateAddresses'
>;

/** What `node/net/gossip-settings.ts` makes of the node's options; what it does not set has js-libp2p's default. */
export function gossipParamsOf(options: NodeGossipOptions): GossipParams {
  return {
    D: options.D,
    Dlo: options.Dlo,
    Dhi: options.Dhi,
    Dmax: options.Dmax,
    Dscore: Math.min(options.Dlo, options.D),
    Dout: options.Dout,
    Dlazy: options.Dlazy,
    gossipFactor: 0.25,
    heartbeatIntervalMs: options.heartbeatIntervalMs,
    ...messageCacheLengths(options),
    namesOnce: true,
    seenTtlMs: 120_000,
    floodPublish: options.floodPublish,
    idontwantMinBytes: MIN_IDONTWANT_BYTES,
    graftOnSubscribe: true,
    messageTtlMs: options.messageTtlMs,
    maxUnsettledPerPeer: options.maxUnsettledPerPeer,
    maxUnsettled: options.maxUnsettled,
    maxUnsettledBlocksPerPeer: options.maxUnsettledBlocksPerPeer,
    pruneBackoffMs: options.pruneBackoffMs,
  };
}

/** `PUBLIC_NETWORK` of `node/net/libp2p-network.ts`: a test holds the two together. */
export const PUBLIC_GOSSIP: GossipParams = gossipParamsOf({
  D: 4,
  Dlo: 3,
  Dhi: 8,
  Dmax: 12,
  Dout: 2,
  Dlazy: 3,
  floodPublish: true,
  heartbeatIntervalMs: 700,
  messageTtlMs: 10_000,
  maxUnsettledPerPeer: 1_024,
  maxUnsettled: 8_192,
  maxUnsettledBlocksPerPeer: 32,
  pruneBackoffMs: 30_000,
});

/** `DEVNET_NETWORK` of the same file. */
export const DEVNET_GOSSIP: GossipParams = gossipParamsOf({
  D: 3,
  Dlo: 2,
  Dhi: 6,
  Dmax: 9,
  Dout: 1,
  Dlazy: 3,
  floodPublish: false,
  heartbeatIntervalMs: 500,
  messageTtlMs: 10_000,
  maxUnsettledPerPeer: 1_024,
  maxUnsettled: 8_192,
  maxUnsettledBlocksPerPeer: 32,
  pruneBackoffMs: 5_000,
});

/**
 * The defaults of the gossipsub v1.1 specification, as the simulator of its author has them
 * (github.com/vyzo/gerbil-simsub, overlay/v1.1): meshes form at the heartbeat, no IDONTWANT, flood publishing.
 */
export const V1_1_GOSSIP: GossipParams = {
  D: 6,
  Dlo: 4,
  Dhi: 12,
  Dmax: 12,
  Dscore: 4,
  Dout: 2,
  Dlazy: 6,
  gossipFactor: 0.25,
  heartbeatIntervalMs: 1_000,
  mcacheLength: 5,
  mcacheGossip: 3,
  namesOnce: false,
  seenTtlMs: 120_000,
  floodPublish: true,
  idontwantMinBytes: Number.POSITIVE_INFINITY,
  graftOnSubscribe: false,
  messageTtlMs: 10_000,
  maxUnsettledPerPeer: 1_024,
  maxUnsettled: 8_192,
  maxUnsettledBlocksPerPeer: 32,
  pruneBackoffMs: 60_000,
};
