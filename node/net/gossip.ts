/** Gossipsub as the node uses it. The one file that imports it, and that knows its inner state. */
import { createHash } from 'node:crypto';
import type {
  GossipSub,
  GossipSubComponents,
  GossipsubMessage,
  GossipsubOpts,
  TopicValidatorResult,
} from '@chainsafe/libp2p-gossipsub';
import { gossipsub, StrictNoSign } from '@chainsafe/libp2p-gossipsub';
import type { Registry } from 'prom-client';
import { MAX_BLOCK_BYTES } from '../../chain/params.ts';
import { claimedTxCount } from '../../chain/tx-batch.ts';
import type { ChainId } from '../../chain/types.ts';
import {
  type Clock,
  type GossipMessage,
  type Logger,
  type PeerKey,
  type PublishOutcome,
  TOPIC_KINDS,
  type TopicKind,
} from '../ports.ts';
import { createGossipMetricsRegister, registerGossipStats } from './gossip-metrics.ts';
import { PrivateAddressSet } from './private-addresses.ts';
import { topicName } from './topics.ts';

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
  /** Messages of one peer, and of all, that await their verdict; more are ignored. */
  readonly maxUnsettledPerPeer: number;
  readonly maxUnsettled: number;
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

/** Messages this recent are named by IHAVE to peers outside the mesh, 22 bytes for each at each heartbeat. */
const GOSSIP_WINDOW_MS = 1_000;
/** One RPC carries one message, or the answer to an IWANT, which we keep below this; see `sendOnlySettled`. */
const MAX_RPC_BYTES = 2 * MAX_BLOCK_BYTES;
const RPC_SLACK_BYTES = 256 * 1024;
const MESSAGE_ID_BYTES = 20;
/** Gossipsub drops all RPCs of a peer with a lower score. */
const GRAYLIST_SCORE = -80;
/**
 * Points that cost a peer nothing in the mesh, which has room only for scores of at least 0: a request that timed out
 * while the network was cut costs points, and both ends of a healed link would keep each other out until these decay.
 */
const TOLERATED_POINTS = 50;
/** Heartbeats without gossip streams after which a peer that had them is disconnected. */
const LOST_AFTER_HEARTBEATS = 4;
/** Heartbeats after which a peer that never opened gossip streams is asked again. */
const RETRY_AFTER_HEARTBEATS = 8;

/** What gossipsub's class has beyond its published interface, as of @libp2p/gossipsub 17. */
interface GossipRouter extends GossipSub {
  readonly peers: ReadonlyMap<PeerKey, unknown>;
  readonly streamsOutbound: ReadonlyMap<PeerKey, unknown>;
  readonly mesh: ReadonlyMap<string, ReadonlySet<PeerKey>>;
  readonly score: { score(peer: PeerKey): number };
  readonly opts: { Dhi: number };
  handleGraft(peer: PeerKey, graft: readonly unknown[]): Promise<unknown>;
  readonly mcache: {
    readonly msgs: ReadonlyMap<
      string,
      { readonly validated: boolean; readonly message: { readonly data?: Uint8Array } }
    >;
    getWithIWantCount(id: string, peer: PeerKey): unknown;
  };
  isStarted(): boolean;
  reportMessageValidationResult(id: string, source: PeerKey, outcome: TopicValidatorResult): void;
}

export interface GossipDeps {
  readonly chainId: ChainId;
  readonly options: GossipOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metricsRegistry: Registry | undefined;
  /** Points against the peer; they lower its gossip score too. */
  readonly penaltyPoints: (peer: PeerKey) => number;
  /** What a banned peer sent before its connection was closed is not handed in. */
  readonly isRefused: (peer: PeerKey) => boolean;
  readonly onMessage: (message: GossipMessage) => void;
  /** The peer sent something that was rejected. */
  readonly onReject: (peer: PeerKey, kind: TopicKind) => void;
  /** Gossipsub closed the peer's stream (an over-long or broken frame), and would not open another by itself. */
  readonly onStreamLost: (peer: PeerKey) => void;
  /** Gossipsub's score for the peer fell so low that it listens to nothing from it. */
  readonly onGraylisted: (peer: PeerKey) => void;
}

interface Unsettled {
  readonly from: PeerKey;
  readonly sinceMs: number;
}

interface Queued {
  readonly kind: TopicKind;
  readonly data: Uint8Array;
}

/**
 * Publishes, and hands in what arrives with the promise that nothing is forwarded before its verdict.
 *
 * Rationale, beyond gossipsub's own: it loses a message that is published before a peer's stream is up, without a
 * word; it answers IWANT with messages that have no verdict yet; it refuses newcomers for good where all have a full
 * mesh; and after a stream breaks, while the connection lives, it never opens another. All four are handled here.
 *
 * Bounds: unsettled messages per peer and in all, queued own messages by count and bytes. Messages wait at most
 * `messageTtlMs`.
 */
export class Gossip {
  readonly #deps: GossipDeps;
  readonly #topics: ReadonlyMap<TopicKind, string>;
  readonly #kinds: ReadonlyMap<string, TopicKind>;
  #router: GossipRouter | undefined;
  #components: GossipSubComponents | undefined;
  /** By message id, oldest first. */
  readonly #unsettled = new Map<string, Unsettled>();
  readonly #unsettledOf = new Map<PeerKey, number>();
  #outbox: Queued[] = [];
  #outboxBytes = 0;
  #dropped = 0;
  #refused = 0;
  /** Transactions in all copies of batches that arrived. */
  #txCopies = 0;
  #flushing = false;
  /** Connected peer → heartbeats without gossip streams. Rebuilt at each heartbeat from the connections. */
  #missing = new Map<PeerKey, { readonly heartbeats: number; readonly wasThere: boolean }>();

  constructor(deps: GossipDeps) {
    this.#deps = deps;
    this.#topics = new Map(TOPIC_KINDS.map((kind) => [kind, topicName(deps.chainId, kind)]));
    this.#kinds = new Map(TOPIC_KINDS.map((kind) => [topicName(deps.chainId, kind), kind]));
    if (deps.metricsRegistry === undefined) return;
    registerGossipStats(deps.metricsRegistry, () => ({
      queued: this.#outbox.length,
      dropped: this.#dropped,
      unsettled: this.#unsettled.size,
      refused: this.#refused,
      txCopies: this.#txCopies,
    }));
  }

  /** The libp2p service. */
  readonly service = (components: GossipSubComponents): GossipSub => {
    const router = gossipsub(this.#settings())(components) as GossipRouter;
    sendOnlySettled(router);
    takeInUpTo(router, this.#deps.options.Dmax);
    this.#components = components;
    this.#router = router;
    return router;
  };

  /** Joins the topics; the host is started. */
  start(): void {
    const router = this.#started();
    router.addEventListener('gossipsub:message', this.#onMessage);
    router.addEventListener('gossipsub:heartbeat', this.#onHeartbeat);
    router.addEventListener('subscription-change', this.#flush);
    router.addEventListener('gossipsub:graft', this.#flush);
    for (const topic of this.#topics.values()) router.subscribe(topic);
  }

  /**
   * Stops handing in messages. Does not leave the topics: that would start the peers' back-off, and a node that
   * comes back at once would stay outside the mesh until it ends.
   */
  stop(): void {
    this.#router?.removeEventListener('gossipsub:message', this.#onMessage);
    this.#router?.removeEventListener('gossipsub:heartbeat', this.#onHeartbeat);
    this.#router?.removeEventListener('subscription-change', this.#flush);
    this.#router?.removeEventListener('gossipsub:graft', this.#flush);
    this.#unsettled.clear();
    this.#unsettledOf.clear();
  }

  /** @throws RangeError when the data is longer than the largest block */
  async publish(kind: TopicKind, data: Uint8Array): Promise<PublishOutcome> {
    if (data.byteLength > MAX_BLOCK_BYTES) throw new RangeError(`gossip data is over ${MAX_BLOCK_BYTES} bytes`);
    if (!this.#hasRoute(kind)) {
      this.#enqueue({ kind, data });
      return { kind: 'queued' };
    }
    return this.#send({ kind, data });
  }

  /** The topics whose mesh has the peer. */
  meshOf(peer: PeerKey): TopicKind[] {
    return TOPIC_KINDS.filter((kind) => this.#router?.mesh.get(this.#topics.get(kind)!)?.has(peer) === true);
  }

  scoreOf(peer: PeerKey): number {
    return this.#router?.score.score(peer) ?? 0;
  }

  #settings(): Partial<GossipsubOpts> {
    const { options, metricsRegistry } = this.#deps;
    const topics = [...this.#topics.values()];
    const id = createMessageId();
    const heartbeats = (ms: number): number => Math.max(2, Math.ceil(ms / options.heartbeatIntervalMs));
    return {
      globalSignaturePolicy: StrictNoSign,
      msgIdFn: (message) => Buffer.from(id(message.topic, message.data), 'hex'),
      // Not a cheaper hash: whoever finds a collision in one would silence another's message. The digest is kept,
      // so that each copy is hashed once.
      fastMsgIdFn: ({ topic, data = new Uint8Array(0) }) => {
        // Asked once for each copy that arrives.
        if (this.#kinds.get(topic) === 'tx') this.#txCopies += claimedTxCount(data);
        return id(topic, data);
      },
      msgIdToStrFn: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex'),
      asyncValidation: true,
      emitSelf: false,
      fallbackToFloodsub: false,
      floodPublish: options.floodPublish,
      allowPublishToZeroTopicPeers: false,
      ignoreDuplicatePublishError: true,
      doPX: false,
      allowedTopics: topics,
      maxTopicBytesPerPeer: 16 * 1024,
      decodeRpcLimits: {
        maxSubscriptions: 16,
        maxMessages: 5_000, // what an IWANT may ask for, gossipsub's MaxIHaveLength
        maxIhaveMessageIDs: 5_000,
        maxIwantMessageIDs: 5_000,
        maxIdontwantMessageIDs: 512,
        maxControlMessages: 64,
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
      // Never shorter than the window of IHAVE: gossipsub would walk past the end of its history.
      mcacheLength: heartbeats(Math.max(options.messageTtlMs, GOSSIP_WINDOW_MS)) + 1,
      mcacheGossip: heartbeats(GOSSIP_WINDOW_MS),
      pruneBackoff: options.pruneBackoffMs,
      unsubcribeBackoff: options.unsubscribeBackoffMs,
      graftFloodThreshold: 1_000,
      scoreParams: {
        topics: Object.fromEntries(topics.map((topic) => [topic, TOPIC_SCORE])),
        topicScoreCap: 20,
        appSpecificScore: (peer) => -Math.max(0, this.#deps.penaltyPoints(peer) - TOLERATED_POINTS),
        // 0.4 · 50 points: the ban must come before the graylist hides from us what the peer sends.
        appSpecificWeight: 0.4,
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
        gossipThreshold: -20,
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
            metricsTopicStrToLabel: new Map(this.#kinds),
          }),
    };
  }

  #started(): GossipRouter {
    if (this.#router === undefined) throw new Error('gossip has no host yet');
    return this.#router;
  }

  readonly #onMessage = (event: CustomEvent<GossipsubMessage>): void => {
    const { msg, msgId, propagationSource } = event.detail;
    const kind = this.#kinds.get(msg.topic);
    if (kind === undefined) return; // allowedTopics has none but ours
    const from = propagationSource.toString();
    const { maxUnsettled, maxUnsettledPerPeer } = this.#deps.options;
    const ofPeer = this.#unsettledOf.get(from) ?? 0;
    if (ofPeer >= maxUnsettledPerPeer || this.#unsettled.size >= maxUnsettled || this.#deps.isRefused(from)) {
      this.#refused += 1;
      this.#report(msgId, from, 'ignore');
      return;
    }
    this.#unsettled.set(msgId, { from, sinceMs: this.#deps.clock.monotonicMs() });
    this.#unsettledOf.set(from, ofPeer + 1);
    let settled = false;
    const settle: GossipMessage['settle'] = (outcome) => {
      if (settled) return;
      settled = true;
      if (outcome === 'reject') this.#deps.onReject(from, kind);
      if (this.#release(msgId)) this.#report(msgId, from, outcome);
    };
    try {
      this.#deps.onMessage({ kind, from, data: ownBytes(msg.data), settle });
    } catch (error) {
      this.#deps.logger.error({ err: error, kind }, 'gossip handler threw');
      settle('ignore');
    }
  };

  /** False when the message was settled before, or waited too long. */
  #release(id: string): boolean {
    const entry = this.#unsettled.get(id);
    if (entry === undefined) return false;
    this.#unsettled.delete(id);
    const left = (this.#unsettledOf.get(entry.from) ?? 1) - 1;
    if (left === 0) this.#unsettledOf.delete(entry.from);
    else this.#unsettledOf.set(entry.from, left);
    return true;
  }

  #report(id: string, from: PeerKey, outcome: 'accept' | 'ignore' | 'reject'): void {
    // The enum's values are these strings; the enum itself would have to be imported as a value for each.
    this.#router?.reportMessageValidationResult(id, from, outcome as TopicValidatorResult);
  }

  readonly #onHeartbeat = (): void => {
    if (this.#router?.isStarted() !== true) return; // one more comes after gossipsub has stopped
    const expiredMs = this.#deps.clock.monotonicMs() - this.#deps.options.messageTtlMs;
    for (const [id, { from, sinceMs }] of this.#unsettled) {
      if (sinceMs > expiredMs) break;
      this.#release(id);
      this.#report(id, from, 'ignore');
    }
    this.#repair(this.#router);
    this.#flush();
  };

  /**
   * Gossipsub makes a peer's streams once, when it connects. Where its outbound one has gone (full buffer, restart
   * that overlapped), gossipsub is told again that the peer connected. Where the peer itself has gone from the
   * router while the connection lives, the other end does not know: the connection has to go.
   */
  #repair(router: GossipRouter): void {
    const before = this.#missing;
    this.#missing = new Map();
    for (const connection of this.#components?.connectionManager.getConnections() ?? []) {
      const peer = connection.remotePeer.toString();
      if (connection.status !== 'open' || this.#missing.has(peer)) continue;
      if (router.score.score(peer) < GRAYLIST_SCORE) this.#deps.onGraylisted(peer);
      const present = router.peers.has(peer);
      if (present && router.streamsOutbound.has(peer)) {
        this.#missing.set(peer, { heartbeats: 0, wasThere: true });
        continue;
      }
      const last = before.get(peer);
      const heartbeats = (last?.heartbeats ?? 0) + 1;
      const wasThere = last?.wasThere ?? false;
      this.#missing.set(peer, { heartbeats, wasThere });
      if (!present && wasThere) {
        if (heartbeats === LOST_AFTER_HEARTBEATS) this.#deps.onStreamLost(peer);
        continue;
      }
      // 1, 2, 4, 8 … heartbeats apart: a peer that does not speak gossipsub is left alone soon.
      const due = (heartbeats & (heartbeats - 1)) === 0 && (present || heartbeats >= RETRY_AFTER_HEARTBEATS);
      if (!due) continue;
      for (const topology of this.#components?.registrar.getTopologies(router.protocols[0]!) ?? []) {
        topology.onConnect?.(connection.remotePeer, connection);
      }
    }
  }

  /** A subscriber whose stream is up: gossipsub counts those without one as recipients, and then drops. */
  #hasRoute(kind: TopicKind): boolean {
    const router = this.#router;
    if (router?.isStarted() !== true) return false;
    return router.getSubscribers(this.#topics.get(kind)!).some((peer) => router.streamsOutbound.has(peer.toString()));
  }

  async #send(item: Queued): Promise<PublishOutcome> {
    try {
      const { recipients } = await this.#started().publish(this.#topics.get(item.kind)!, item.data);
      return { kind: 'sent', recipients: recipients.length };
    } catch (error) {
      if ((error as Error).message !== 'PublishError.NoPeersSubscribedToTopic') throw error;
      this.#enqueue(item);
      return { kind: 'queued' };
    }
  }

  #enqueue(item: Queued): void {
    this.#outbox.push(item);
    this.#outboxBytes += item.data.byteLength;
    const { maxQueued, maxQueuedBytes } = this.#deps.options;
    while (this.#outbox.length > maxQueued || this.#outboxBytes > maxQueuedBytes) {
      this.#outboxBytes -= this.#outbox.shift()!.data.byteLength;
      this.#dropped += 1;
    }
  }

  /** Sends what waited, oldest first; what still has no taker waits on. */
  readonly #flush = (): void => {
    if (this.#outbox.length === 0 || this.#flushing) return;
    this.#flushing = true;
    const items = this.#outbox;
    this.#outbox = [];
    this.#outboxBytes = 0;
    void (async () => {
      for (const { kind, data } of items) await this.publish(kind, data);
    })()
      .catch((error: unknown) => this.#deps.logger.error({ err: error }, 'queued gossip not sent'))
      .finally(() => {
        this.#flushing = false;
      });
  };
}

/**
 * Our rates are low and uneven (a block every few seconds), so P3, which expects a steady flow, is off. P4: n invalid
 * messages cost 0.2·n²: 20 of them graylist, should our own ban not have come first.
 */
const TOPIC_SCORE = {
  topicWeight: 1,
  timeInMeshWeight: 0.01,
  timeInMeshQuantum: 1_000,
  timeInMeshCap: 300,
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

/** A view of a small part of an RPC would keep all of the RPC in memory for as long as the mempool keeps it. */
function ownBytes(data: Uint8Array): Uint8Array {
  return data.buffer.byteLength > 2 * data.byteLength ? data.slice() : data;
}

/**
 * Gossipsub answers IWANT from its cache whether or not the message has its verdict, and puts all answers into one
 * RPC however large. Here: only what was accepted, and at most `MAX_RPC_BYTES` per RPC, which the peer accepts.
 *
 * @throws Error when gossipsub's cache is not as this file knows it
 */
function sendOnlySettled(router: GossipRouter): void {
  const cache = router.mcache;
  if (typeof cache?.getWithIWantCount !== 'function' || !(cache.msgs instanceof Map)) {
    throw new Error('this version of gossipsub has another message cache');
  }
  const original = cache.getWithIWantCount.bind(cache);
  let rpcBytes = 0;
  cache.getWithIWantCount = (id, peer) => {
    const entry = cache.msgs.get(id);
    if (entry?.validated !== true) return null;
    // One IWANT is answered within one turn of the event loop.
    if (rpcBytes === 0)
      queueMicrotask(() => {
        rpcBytes = 0;
      });
    const bytes = entry.message.data?.byteLength ?? 0;
    if (rpcBytes > 0 && rpcBytes + bytes > MAX_RPC_BYTES) return null;
    rpcBytes += bytes;
    return original(id, peer);
  };
}

/**
 * Makes room for newcomers: gossipsub refuses a GRAFT when the mesh has Dhi peers, and prunes when it has more. Here a
 * GRAFT is refused at Dmax only, and the next heartbeat prunes.
 *
 * @throws Error when gossipsub is not as this file knows it
 */
function takeInUpTo(router: GossipRouter, Dmax: number): void {
  const { opts } = router;
  if (typeof router.handleGraft !== 'function' || typeof opts?.Dhi !== 'number') {
    throw new Error('this version of gossipsub handles GRAFT in another way');
  }
  const original = router.handleGraft.bind(router);
  router.handleGraft = (peer, graft) => {
    const { Dhi } = opts;
    opts.Dhi = Dmax;
    try {
      return original(peer, graft); // decides before it first awaits
    } finally {
      opts.Dhi = Dhi;
    }
  };
}
