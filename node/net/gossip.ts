/** Gossipsub as the node uses it. */
import type { Registry } from 'prom-client';
import { MAX_BLOCK_BYTES } from '../../chain/params.ts';
import type { ChainId } from '../../chain/types.ts';
import { UsageCounter } from '../../chain/usage-counter.ts';
import {
  type Clock,
  type GossipMessage,
  type GossipOutcome,
  type Logger,
  type PeerKey,
  type PublishOutcome,
  TOPIC_KINDS,
  type TopicKind,
} from '../ports.ts';
import { type ClosedMesh, closedMesh } from './closed-mesh.ts';
import { registerGossipStats } from './gossip-metrics.ts';
import { type GossipOptions, gossipSettings } from './gossip-settings.ts';
import {
  createGossipsub,
  forgetSeen,
  type GossipRouter,
  type GossipSub,
  type GossipSubComponents,
  type GossipsubMessage,
  StreamRepair,
  type TopicValidatorResult,
  wantNoCopies,
} from './gossipsub.ts';
import { ReceiveBudget } from './receive-budget.ts';
import { topicName } from './topics.ts';

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
  /** `onMessage` has thrown: the message is ignored. */
  readonly onHandlerFailure: (error: unknown) => void;
  /** The peer sent something that was rejected. */
  readonly onReject: (peer: PeerKey, kind: TopicKind) => void;
  /** Gossipsub closed the peer's stream (an over-long or broken frame), and would not open another by itself. */
  readonly onStreamLost: (peer: PeerKey) => void;
  /** Gossipsub's score for the peer fell so low that it listens to nothing from it. */
  readonly onGraylisted: (peer: PeerKey) => void;
  /** The peer sends more than is looked at. No more of it is, and it is to be hung up on. */
  readonly onTooMuch: (peer: PeerKey) => void;
}

interface Unsettled {
  readonly from: PeerKey;
  readonly kind: TopicKind;
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
 * word; and what `gossipsub.ts` mends.
 *
 * Bounds: what a peer sends in a second, unsettled messages of each peer by kind, unsettled transactions in all, queued
 * own messages by count and bytes. Messages wait at most `messageTtlMs`.
 */
export class Gossip {
  readonly #deps: GossipDeps;
  readonly #topics: ReadonlyMap<TopicKind, string>;
  readonly #kinds: ReadonlyMap<string, TopicKind>;
  #router: GossipRouter | undefined;
  #repair: StreamRepair | undefined;
  /** By message id, oldest first. */
  readonly #unsettled = new Map<string, Unsettled>();
  /** By share. */
  readonly #unsettledOf = new UsageCounter<string>();
  #unsettledTxs = 0;
  readonly #received: ReceiveBudget;
  #outbox: Queued[] = [];
  #outboxBytes = 0;
  #dropped = 0;
  #refused = 0;
  /** Transactions in all copies of batches that arrived. */
  #txCopies = 0;
  #flushing = false;
  #self: PeerKey = '';
  /** Where the net is small and closed, and all of it was there at the last heartbeat. */
  #closedMesh: ClosedMesh | undefined;

  constructor(deps: GossipDeps) {
    this.#deps = deps;
    this.#received = new ReceiveBudget(deps.clock);
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
    const { options, clock, metricsRegistry, penaltyPoints, onStreamLost, onGraylisted } = this.#deps;
    const settings = gossipSettings({
      options,
      kinds: this.#kinds,
      metricsRegistry,
      penaltyPoints,
      isPreferred: (peer) => this.#closedMesh?.preferred.has(peer) === true,
      onTxCopies: (count) => {
        this.#txCopies += count;
      },
    });
    const mayReceive = (peer: PeerKey, units: number): boolean => this.#mayReceive(peer, units);
    const isNamedOnce = (topic: string): boolean => this.#kinds.get(topic) === 'tx';
    const router = createGossipsub({ settings, Dmax: options.Dmax, isNamedOnce, clock, mayReceive }, components);
    this.#repair = new StreamRepair({ router, components }, { streamLost: onStreamLost, graylisted: onGraylisted });
    this.#router = router;
    this.#self = components.peerId.toString();
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
    this.#unsettledTxs = 0;
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

  #started(): GossipRouter {
    if (this.#router === undefined) throw new Error('gossip has no host yet');
    return this.#router;
  }

  readonly #onMessage = (event: CustomEvent<GossipsubMessage>): void => {
    const { msg, msgId, propagationSource } = event.detail;
    const kind = this.#kinds.get(msg.topic);
    if (kind === undefined) return; // allowedTopics has none but ours
    const from = propagationSource.toString();
    if (!this.#hasRoomFor(from, kind) || this.#deps.isRefused(from)) {
      this.#refused += 1;
      this.#report(msgId, from, kind === 'tx' ? 'ignore' : 'unread'); // transactions also come by other ways
      if (kind === 'tx') wantNoCopies(this.#started(), event.detail);
      return;
    }
    this.#unsettled.set(msgId, { from, kind, sinceMs: this.#deps.clock.monotonicMs() });
    this.#count(from, kind, 1);
    let settled: GossipOutcome | undefined;
    const settle: GossipMessage['settle'] = (outcome) => {
      if (settled !== undefined) return;
      settled = outcome;
      if (outcome === 'reject') this.#deps.onReject(from, kind);
      if (this.#release(msgId)) this.#report(msgId, from, outcome);
    };
    try {
      this.#deps.onMessage({ kind, from, data: ownBytes(msg.data), settle });
    } catch (error) {
      this.#deps.onHandlerFailure(error);
      settle('ignore');
    }
    if (settled !== 'unread') wantNoCopies(this.#started(), event.detail);
  };

  /** False when the message was settled before, or waited too long. */
  #release(id: string): boolean {
    const entry = this.#unsettled.get(id);
    if (entry === undefined) return false;
    this.#unsettled.delete(id);
    this.#count(entry.from, entry.kind, -1);
    return true;
  }

  #count(from: PeerKey, kind: TopicKind, change: 1 | -1): void {
    this.#unsettledOf.change(shareOf(from, kind), change);
    if (kind === 'tx') this.#unsettledTxs += change;
  }

  /** What all peers together have waiting of votes, evidence and blocks the lanes bound, which take no more of them. */
  #hasRoomFor(from: PeerKey, kind: TopicKind): boolean {
    const { maxUnsettled, maxUnsettledPerPeer, maxUnsettledBlocksPerPeer } = this.#deps.options;
    const ofPeer = this.#unsettledOf.of(shareOf(from, kind));
    if (ofPeer >= (kind === 'block' ? maxUnsettledBlocksPerPeer : maxUnsettledPerPeer)) return false;
    return kind !== 'tx' || this.#unsettledTxs < maxUnsettled;
  }

  #report(id: string, from: PeerKey, outcome: GossipOutcome): void {
    const router = this.#router;
    if (router === undefined) return;
    // The enum's values are these strings; the enum itself would have to be imported as a value for each.
    const known = outcome === 'unread' ? 'ignore' : outcome;
    router.reportMessageValidationResult(id, from, known as TopicValidatorResult);
    if (outcome !== 'unread') return;
    forgetSeen(router, id);
    this.#received.chargeForgotten(from);
  }

  #mayReceive(from: PeerKey, units: number): boolean {
    const isInBudget = this.#received.spend(from, units);
    if (!isInBudget) this.#deps.onTooMuch(from);
    return isInBudget;
  }

  readonly #onHeartbeat = (): void => {
    if (this.#router?.isStarted() !== true) return; // one more comes after gossipsub has stopped
    const expiredMs = this.#deps.clock.monotonicMs() - this.#deps.options.messageTtlMs;
    for (const [id, { from, sinceMs }] of this.#unsettled) {
      if (sinceMs > expiredMs) break;
      this.#release(id);
      this.#report(id, from, 'ignore');
    }
    this.#repair?.onHeartbeat();
    this.#fitMesh(this.#router);
    this.#flush();
  };

  /**
   * Who comes or goes may make the net whole, or part of one. The degrees follow a heartbeat after the scores, which
   * gossipsub keeps for as long: it would prune by those of before.
   */
  #fitMesh(router: GossipRouter): void {
    const { options } = this.#deps;
    if (options.closedNet.length === 0) return;
    const before = this.#closedMesh;
    this.#closedMesh = closedMesh(this.#self, [...router.streamsOutbound.keys()], options.closedNet, options);
    const { D, Dlo, Dhi, Dout } = (before && this.#closedMesh)?.degrees ?? options;
    Object.assign(router.opts, { D, Dlo, Dhi, Dout, Dscore: Dlo });
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
    this.#trimOutbox();
  }

  #trimOutbox(): void {
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
      for (const [i, { kind, data }] of items.entries()) {
        try {
          await this.publish(kind, data);
        } catch (error) {
          // Not this one again: it could fail for ever, and hold up all behind it. Those wait for the next flush.
          this.#dropped += 1;
          this.#putBack(items.slice(i + 1));
          this.#deps.logger.error({ err: error, kind }, 'queued gossip not sent');
          return;
        }
      }
    })().finally(() => {
      this.#flushing = false;
    });
  };

  /** In front: these have waited longer than what came meanwhile. */
  #putBack(items: readonly Queued[]): void {
    this.#outbox = [...items, ...this.#outbox];
    this.#outboxBytes += items.reduce((sum, { data }) => sum + data.byteLength, 0);
    this.#trimOutbox();
  }
}

/**
 * Of a peer's transactions, its votes and evidence, and its blocks. Each kind has room of its own: a node that is slow, or
 * that some peers keep busy, has all it may of transactions waiting, and would read no vote from anybody.
 */
function shareOf(from: PeerKey, kind: TopicKind): string {
  return `${kind === 'evidence' ? 'vote' : kind} ${from}`;
}

/** A view of a small part of an RPC would keep all of the RPC in memory for as long as the mempool keeps it. */
function ownBytes(data: Uint8Array): Uint8Array {
  return data.buffer.byteLength > 2 * data.byteLength ? data.slice() : data;
}
