/** What gossipsub is told. */
import { createHash } from 'node:crypto';
import type { Registry } from 'prom-client';
import { claimedTxCount } from '../../chain/tx-batch.ts';
import type { PeerKey, TopicKind } from '../ports.ts';
import {
  GOSSIP_THRESHOLD,
  MAX_CONTROL_MESSAGES,
  MAX_IDONTWANT_IDS,
  MAX_IHAVE_IDS,
  MESH_SECONDS_CAP,
  MESH_SECONDS_WEIGHT,
  MESSAGE_ID_BYTES,
  POINTS_WEIGHT,
  TOLERATED_POINTS,
} from './gossip-bounds.ts';
import { createGossipMetricsRegister } from './gossip-metrics.ts';
import { type GossipsubOpts, GRAYLIST_SCORE, MAX_RPC_BYTES, StrictNoSign } from './gossipsub.ts';
import { messageCacheLengths } from './message-cache.ts';
import { PrivateAddressSet } from './private-addresses.ts';

export interface GossipOptions {
  /**
   * Mesh degree wanted, the bounds within which it is left alone, and where it refuses newcomers.
   * D ≥ Dlo > Dout, Dmax ≥ Dhi ≥ D, Dout ≤ D/2. See `node/net/mesh-degrees.ts`.
   */
  readonly D: number;
  readonly Dlo: number;
  readonly Dhi: number;
  readonly Dmax: number;
  readonly Dout: number;
  /** All nodes of a closed net, see `closed-mesh.ts`; none: anybody may come, and the degrees are those above. */
  readonly closedNet: readonly PeerKey[];
  /** Peers outside the mesh that hear IHAVE at a heartbeat; a quarter of them where that is more. */
  readonly Dlazy: number;
  /**
   * Own messages go to all peers instead of the mesh: nobody who has filled our mesh can silence us, at the price of
   * one copy more per peer.
   */
  readonly floodPublish: boolean;
  readonly heartbeatIntervalMs: number;
  /**
   * A message without verdict is ignored after this; gossipsub can forward it until then, and holds it in memory
   * for `messageTtlMs` whether forwarded or not, so that it can answer IWANT.
   */
  readonly messageTtlMs: number;
  /** Batches of transactions of one peer that await their verdict, and as many votes and evidence; more are not read. */
  readonly maxUnsettledPerPeer: number;
  /** Batches of all peers that do. */
  readonly maxUnsettled: number;
  /** Blocks of one peer that do: in its share of the lane, and where their transactions are being fetched. */
  readonly maxUnsettledBlocksPerPeer: number;
  /** Own messages kept while nobody is there to take them. */
  readonly maxQueued: number;
  readonly maxQueuedBytes: number;
  /** Back-off after a PRUNE, and after leaving a topic; whole seconds, as PRUNE carries them. */
  readonly pruneBackoffMs: number;
  readonly unsubscribeBackoffMs: number;
  /** A peer that takes in less than we send is cut off beyond this; its stream is opened anew. */
  readonly maxOutboundBufferBytes: number;
  /** Any number of nodes may share a loopback or private address. */
  readonly trustPrivateAddresses: boolean;
}

/** An RPC is a little longer than its messages. */
const RPC_SLACK_BYTES = 256 * 1024;
/** More than a peer can have by its time in the meshes and its messages. */
const PREFERRED_POINTS = 100;

/**
 * Our rates are low and uneven (a block every few seconds), so P3, which expects a steady flow, is off. P4: n invalid
 * messages cost 0.2·n²: 20 of them graylist, should our own ban not have come first.
 */
const TOPIC_SCORE = {
  topicWeight: 1,
  timeInMeshWeight: MESH_SECONDS_WEIGHT,
  timeInMeshQuantum: 1_000,
  timeInMeshCap: MESH_SECONDS_CAP,
  firstMessageDeliveriesWeight: 0.02,
  firstMessageDeliveriesDecay: 0.97,
  firstMessageDeliveriesCap: 200,
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 100,
  meshMessageDeliveriesThreshold: 1,
  meshMessageDeliveriesWindow: 1_000,
  meshMessageDeliveriesActivation: 60_000,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  invalidMessageDeliveriesWeight: -0.2,
  invalidMessageDeliveriesDecay: 0.95,
};

export interface GossipSettingsInit {
  readonly options: GossipOptions;
  /** The topics, by name. */
  readonly kinds: ReadonlyMap<string, TopicKind>;
  readonly metricsRegistry: Registry | undefined;
  /** Points against the peer; they lower its gossip score too. */
  readonly penaltyPoints: (peer: PeerKey) => number;
  /** To be kept in the mesh before others. */
  readonly isPreferred: (peer: PeerKey) => boolean;
  /** Hears of each copy of a batch that arrives, before anything is checked, how many transactions it claims to hold. */
  readonly onTxCopies: (count: number) => void;
}

/**
 * All that gossipsub is configured with. The limits of an RPC are those of docs/PROTOCOL.md, which peers may rely on;
 * degrees, heartbeat and scores are this node's own choice.
 */
export function gossipSettings(init: GossipSettingsInit): Partial<GossipsubOpts> {
  const { options, kinds, metricsRegistry } = init;
  const topics = [...kinds.keys()];
  const id = createMessageId();
  return {
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: (message) => Buffer.from(id(message.topic, message.data), 'hex'),
    // Not a cheaper hash: whoever finds a collision in one would silence another's message. The digest is kept,
    // so that each copy is hashed once.
    fastMsgIdFn: ({ topic, data = new Uint8Array(0) }) => {
      // Asked once for each copy that arrives.
      if (kinds.get(topic) === 'tx') init.onTxCopies(claimedTxCount(data));
      return id(topic, data);
    },
    msgIdToStrFn: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex'),
    asyncValidation: true,
    idontwantMinDataSize: Number.POSITIVE_INFINITY, // see `wantNoCopies`
    emitSelf: false,
    fallbackToFloodsub: false,
    floodPublish: options.floodPublish,
    allowPublishToZeroTopicPeers: false,
    ignoreDuplicatePublishError: true,
    doPX: false,
    // Each GRAFT and PRUNE would be a write to libp2p's peer store. The tags say whom to hang up on last where there are
    // too many connections, and libp2p hangs up on nobody who has a stream open.
    tagMeshPeers: false,
    allowedTopics: topics,
    maxTopicBytesPerPeer: 16 * 1024,
    decodeRpcLimits: {
      maxSubscriptions: 16,
      maxMessages: MAX_IHAVE_IDS, // what an IWANT may ask for
      maxIhaveMessageIDs: MAX_IHAVE_IDS,
      maxIwantMessageIDs: MAX_IHAVE_IDS,
      maxIdontwantMessageIDs: MAX_IDONTWANT_IDS,
      maxControlMessages: MAX_CONTROL_MESSAGES,
      maxPeerInfos: 16, // ignored below acceptPXThreshold
    },
    maxInboundDataLength: MAX_RPC_BYTES + RPC_SLACK_BYTES,
    maxOutboundBufferSize: options.maxOutboundBufferBytes,
    maxInboundStreams: 4,
    maxOutboundStreams: 4,
    D: options.D,
    Dlo: options.Dlo,
    Dhi: options.Dhi,
    Dout: options.Dout,
    Dlazy: options.Dlazy,
    Dscore: Math.min(options.Dlo, options.D),
    heartbeatInterval: options.heartbeatIntervalMs,
    ...messageCacheLengths(options),
    pruneBackoff: options.pruneBackoffMs,
    unsubcribeBackoff: options.unsubscribeBackoffMs,
    graftFloodThreshold: 1_000,
    scoreParams: {
      topics: Object.fromEntries(topics.map((topic) => [topic, TOPIC_SCORE])),
      topicScoreCap: 20,
      appSpecificScore: (peer) => {
        const excess = Math.max(0, init.penaltyPoints(peer) - TOLERATED_POINTS);
        return excess === 0 && init.isPreferred(peer) ? PREFERRED_POINTS : -excess;
      },
      appSpecificWeight: POINTS_WEIGHT,
      IPColocationFactorWeight: -1,
      IPColocationFactorThreshold: 16,
      IPColocationFactorWhitelist: options.trustPrivateAddresses ? new PrivateAddressSet() : new Set(),
      // A restarted peer grafts without knowing of its back-off, and a stalled one breaks IWANT promises: neither
      // may cost it the mesh.
      behaviourPenaltyWeight: -1,
      behaviourPenaltyThreshold: 20,
      behaviourPenaltyDecay: 0.9,
      decayInterval: 1_000,
      decayToZero: 0.1,
      retainScore: 10_000,
    },
    scoreThresholds: {
      gossipThreshold: GOSSIP_THRESHOLD,
      publishThreshold: -40,
      graylistThreshold: GRAYLIST_SCORE,
      acceptPXThreshold: 1_000,
      opportunisticGraftThreshold: 1,
    },
    ...(metricsRegistry === undefined
      ? {}
      : {
          metricsRegister: createGossipMetricsRegister(metricsRegistry) as NonNullable<
            GossipsubOpts['metricsRegister']
          >,
          metricsTopicStrToLabel: new Map(kinds),
        }),
  };
}

/** First 20 bytes of sha256(topic ‖ 0x00 ‖ data) in hex; remembers the last answers by the identity of `data`. */
function createMessageId(): (topic: string, data: Uint8Array) => string {
  const known = new WeakMap<Uint8Array, { readonly topic: string; readonly id: string }>();
  return (topic, data) => {
    const last = known.get(data);
    if (last?.topic === topic) return last.id;
    const digest = createHash('sha256').update(`${topic}\0`).update(data).digest();
    const id = digest.toString('hex', 0, MESSAGE_ID_BYTES);
    known.set(data, { topic, id });
    return id;
  };
}
