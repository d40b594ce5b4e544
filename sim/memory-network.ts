/**
 * The network in memory: a hub of links, and one `Network` port per node.
 *
 * Model. Every two nodes with a link hold one connection while both run, the link is not cut and neither bans the
 * other. Gossip goes its way by {@link GossipRouter}. What travels over a connection arrives in order, on a whole
 * millisecond, after the time sending takes and its bytes take, the link's latency and a jitter; a gossip message, not a control
 * message or a stream frame, may be lost. A connection that ends takes what is under way with it. Where a link is cut
 * one way, what is sent that way waits, as TCP would go on sending it, until the cut is healed or the connection's
 * pings have timed out.
 *
 * Bounds are those of the real network: unsettled messages per peer, own messages kept while nobody is there,
 * penalty points (the same {@link PeerScore}).
 */

import { PeerScore } from '../node/net/peer-score.ts';
import type {
  Clock,
  FrameStream,
  Network,
  NetworkHandlers,
  PeerKey,
  PeerView,
  PublishOutcome,
  StreamProtocol,
  TopicKind,
} from '../node/ports.ts';
import { TOPIC_KINDS } from '../node/ports.ts';
import { DeliveryQueue } from './delivery-queue.ts';
import { DEVNET_GOSSIP, type GossipParams } from './gossip-params.ts';
import { type Gossip, GossipPeer, GossipRouter } from './gossip-router.ts';
import { type Delivery, GossipStats, type Publication } from './gossip-stats.ts';
import { createStreamPair, type StreamEnd } from './memory-stream.ts';
import { type GossipItem, ITEM, MessageTable } from './message-table.ts';
import type { SeededRng } from './seeded-rng.ts';
import type { Trace } from './trace.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface LinkProfile {
  /** One way, drawn once per link from [min, max). */
  readonly latencyMs: readonly [min: number, max: number];
  /** Drawn per message from [0, jitterMs). */
  readonly jitterMs: number;
  /** Share of gossip messages that get lost. */
  readonly loss: number;
  /** Each way; what is sent waits until what was sent before is on the wire. Default: no limit. */
  readonly bytesPerSecond?: number;
}

export const DEFAULT_LINK: LinkProfile = { latencyMs: [5, 60], jitterMs: 5, loss: 0 };

export interface HubOptions {
  readonly clock: VirtualClock;
  readonly rng: SeededRng;
  readonly trace: Trace;
  readonly link?: LinkProfile;
  /** Default: what a devnet's nodes use. */
  readonly gossip?: GossipParams;
  /** What a node needs to put one message on the wire: its messages leave one after another. Default 0. */
  readonly sendMs?: number;
  /** Arrivals are on multiples of this; default 1. The finer, the slower. */
  readonly resolutionMs?: number;
  /** How long a connection lasts that is cut one way; default 20 s, the node's pings and their timeout. */
  readonly pingTimeoutMs?: number;
}

const REDIAL_MS = [200, 1000] as const;
const PING_TIMEOUT_MS = 20_000;
const REJECT_POINTS = 10;
const OVERLONG_POINTS = 20;
const MAX_MESSAGE_BYTES = 2_000_000;
/** What waits at one end of a link that is cut one way; the oldest gossip message makes room. */
const MAX_HELD = 4_096;
const PEER_SCORE = { banPoints: 100, halfLifeMs: 300_000, banMs: 120_000, maxPeers: 4_096 } as const;

/** A stream's frame: calls `arrive` at the other end. */
const FRAME = -1;
interface Frame {
  readonly tag: typeof FRAME;
  readonly arrive: () => void;
}

type Payload = Gossip | Frame;

interface Link {
  readonly ends: readonly [dialler: PeerKey, other: PeerKey];
  profile: LinkProfile;
  latencyMs: number;
  /** Who holds it cut; it stays so until all have let go. */
  readonly cutBy: Set<object>;
  /** Nodes from which nothing gets through. */
  readonly mutedFrom: Set<PeerKey>;
  connection: Connection | undefined;
  isDialling: boolean;
}

interface Connection {
  readonly link: Link;
  readonly sinceMs: number;
  readonly ends: readonly [LinkEnd, LinkEnd];
  readonly streams: Set<StreamEnd>;
}

/**
 * One node's end of a connection: what is sent to it comes to `port`. It has by itself all that sending from it takes,
 * so that a send looks at one object and not at the link, its profile and the other end as well.
 */
class LinkEnd extends GossipPeer {
  readonly port: MemoryNetwork;
  readonly link: Link;
  /** The other node's end of the same connection. */
  other: LinkEnd;
  isOpen = true;
  /** Nothing that is sent from here gets through. */
  isMuted = false;
  latencyMs = 0;
  jitterMs = 0;
  loss = 0;
  bytesPerSecond: number | undefined = undefined;
  /** Earliest arrival of what is sent next from here: keeps the order. */
  nextArrivalMs = 0;
  /** Until when what was sent from here is being put on the wire. */
  wireBusyUntilMs = 0;
  held: { readonly payload: Payload; readonly bytes: number }[] | undefined;

  constructor(port: MemoryNetwork, peer: MemoryNetwork, isOutbound: boolean, link: Link) {
    super(peer.self, isOutbound, peer.place);
    this.port = port;
    this.link = link;
    this.other = this; // until it is paired
    this.shape();
  }

  /** Takes over what the link is like now. */
  shape(): void {
    const { latencyMs, profile } = this.link;
    this.latencyMs = latencyMs;
    this.jitterMs = profile.jitterMs;
    this.loss = profile.loss;
    this.bytesPerSecond = profile.bytesPerSecond;
  }
}

/** Counts over all nodes since the beginning. */
export interface GossipCounts {
  readonly sent: number;
  readonly delivered: number;
  readonly duplicates: number;
  readonly lost: number;
}

export class MemoryHub {
  readonly stats = new GossipStats();
  readonly gossip: GossipParams;
  readonly messages: MessageTable;
  readonly #options: HubOptions;
  readonly #links = new Map<string, Link>();
  readonly #linksOf = new Map<PeerKey, Link[]>();
  readonly #ports = new Map<PeerKey, MemoryNetwork>();
  readonly #queue: DeliveryQueue<LinkEnd, Payload>;
  readonly #onDelivery = new Set<(delivery: Delivery) => void>();
  readonly #onPublication = new Set<(publication: Publication) => void>();
  readonly #sendMs: number;
  readonly #resolutionMs: number;
  #portCount = 0;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#sendMs = options.sendMs ?? 0;
    this.#resolutionMs = options.resolutionMs ?? 1;
    this.gossip = options.gossip ?? DEVNET_GOSSIP;
    this.messages = new MessageTable(this.gossip.seenTtlMs);
    this.#queue = new DeliveryQueue(options.clock, (end, payload) => {
      if (!end.isOpen) return false;
      if (payload.tag !== FRAME) return end.port.receiveGossip(end, payload);
      payload.arrive();
      return true;
    });
  }

  get clock(): VirtualClock {
    return this.#options.clock;
  }

  get trace(): Trace {
    return this.#options.trace;
  }

  get counts(): GossipCounts {
    const { sent, first, duplicates, lost } = this.stats.sum();
    return { sent, delivered: first, duplicates, lost };
  }

  /** Tells of each first copy at each node, before the node itself hears of it. Returns a disposer. */
  onDelivery(listener: (delivery: Delivery) => void): () => void {
    this.#onDelivery.add(listener);
    return () => this.#onDelivery.delete(listener);
  }

  /** Tells of each publication; one that waits for a peer is told when it is asked for, with 0 recipients. */
  onPublication(listener: (publication: Publication) => void): () => void {
    this.#onPublication.add(listener);
    return () => this.#onPublication.delete(listener);
  }

  /** A port for a node that starts; it replaces the one an earlier life of that node had. */
  createPort(self: PeerKey, clock: Clock): MemoryNetwork {
    this.#ports.get(self)?.kill();
    this.#portCount += 1;
    const port = new MemoryNetwork(this, self, clock, this.#options.rng.fork(`gossip ${self} ${this.#portCount}`));
    this.#ports.set(self, port);
    return port;
  }

  /** Lets two nodes connect; `a` dials. */
  link(a: PeerKey, b: PeerKey, profile: LinkProfile = this.#options.link ?? DEFAULT_LINK): void {
    if (a === b || this.#links.has(linkKey(a, b))) return;
    const link: Link = {
      ends: [a, b],
      profile,
      latencyMs: this.#drawLatency(a, b, profile),
      cutBy: new Set(),
      mutedFrom: new Set(),
      connection: undefined,
      isDialling: false,
    };
    this.#links.set(linkKey(a, b), link);
    for (const end of link.ends) {
      const links = this.#linksOf.get(end);
      if (links === undefined) this.#linksOf.set(end, [link]);
      else links.push(link);
    }
    this.#dial(link);
  }

  /** Another profile from now on; what is under way is not affected. */
  reshape(a: PeerKey, b: PeerKey, profile: LinkProfile): void {
    const link = this.#links.get(linkKey(a, b));
    if (link === undefined) return;
    link.profile = profile;
    link.latencyMs = this.#drawLatency(a, b, profile);
    for (const end of link.connection?.ends ?? []) end.shape();
  }

  /** All pairs with a link, the one who dials first. */
  links(): readonly (readonly [dialler: PeerKey, other: PeerKey])[] {
    return [...this.#links.values()].map(({ ends }) => ends);
  }

  /**
   * Cuts the link: the connection is gone at once, and none comes until it is healed.
   * @param by who holds it cut, for {@link healCutsBy}
   */
  cut(a: PeerKey, b: PeerKey, by: object = this): void {
    const link = this.#links.get(linkKey(a, b));
    if (link === undefined) return;
    const wasCut = link.cutBy.size > 0;
    link.cutBy.add(by);
    if (!wasCut) this.#hangUp(link, 'link cut');
  }

  /**
   * Cuts the link one way. What `from` sends waits; when the cut is still there after the pings' timeout, the
   * connection ends, and none comes until it is healed.
   */
  cutOneWay(from: PeerKey, to: PeerKey): void {
    const link = this.#links.get(linkKey(from, to));
    if (link === undefined || link.mutedFrom.has(from)) return;
    link.mutedFrom.add(from);
    this.trace.add(from, 'muted', to);
    const { connection } = link;
    if (connection === undefined) return;
    for (const end of connection.ends) end.isMuted = link.mutedFrom.has(end.port.self);
    this.clock.after(this.#options.pingTimeoutMs ?? PING_TIMEOUT_MS, () => {
      if (link.mutedFrom.has(from) && link.connection === connection) this.#hangUp(link, 'ping timeout');
    });
  }

  /** Mends the link, both ways. */
  heal(a: PeerKey, b: PeerKey): void {
    const link = this.#links.get(linkKey(a, b));
    if (link === undefined || (link.cutBy.size === 0 && link.mutedFrom.size === 0)) return;
    link.cutBy.clear();
    link.mutedFrom.clear();
    if (link.connection === undefined) {
      this.#dial(link);
      return;
    }
    for (const end of link.connection.ends) {
      end.isMuted = false;
      const held = end.held ?? [];
      end.held = undefined;
      for (const { payload, bytes } of held) this.#transmit(end, payload, bytes);
    }
  }

  /** Cuts every link between two of the groups. Nodes in no group keep their links. `by` as in {@link cut}. */
  partition(groups: readonly (readonly PeerKey[])[], by: object = this): void {
    const groupOf = new Map(groups.flatMap((group, index) => group.map((peer) => [peer, index] as const)));
    for (const { ends } of this.#links.values()) {
      const [a, b] = [groupOf.get(ends[0]), groupOf.get(ends[1])];
      if (a !== undefined && b !== undefined && a !== b) this.cut(...ends, by);
    }
  }

  healAll(): void {
    for (const { ends } of this.#links.values()) this.heal(...ends);
  }

  /** Mends what this one cut; what somebody else cut too, before or since, or cut one way, stays as it is. */
  healCutsBy(by: object): void {
    for (const link of this.#links.values()) {
      if (link.cutBy.delete(by)) this.#dial(link);
    }
  }

  portOf(peer: PeerKey): MemoryNetwork | undefined {
    return this.#ports.get(peer);
  }

  /** The node listens now: whoever has a link to it connects. */
  onPortStarted(peer: PeerKey): void {
    for (const link of this.#linksOf.get(peer) ?? []) this.#dial(link);
  }

  onPortGone(peer: PeerKey): void {
    for (const link of this.#linksOf.get(peer) ?? []) this.#hangUp(link, 'peer gone');
  }

  disconnect(a: PeerKey, b: PeerKey, reason: string): void {
    const link = this.#links.get(linkKey(a, b));
    if (link !== undefined) this.#hangUp(link, reason);
  }

  /** Brings a frame to the other end, in order, unless the connection ends first. */
  carry(from: LinkEnd, bytes: number, arrive: () => void): void {
    this.send(from, { tag: FRAME, arrive }, bytes);
  }

  /** Sends to the other end of the connection whose one end is `from`. */
  send(from: LinkEnd, payload: Payload, bytes: number): void {
    if (!from.isOpen) return;
    if (payload.tag === ITEM && from.loss > 0 && this.#options.rng.unit() < from.loss) {
      from.port.countLost((payload as GossipItem).kind);
      return;
    }
    if (from.isMuted) this.#hold(from, payload, bytes);
    else this.#transmit(from, payload, bytes);
  }

  #transmit(from: LinkEnd, payload: Payload, bytes: number): void {
    const { bytesPerSecond } = from;
    let atMs = this.clock.monotonicMs();
    if (this.#sendMs > 0) {
      const { port } = from;
      if (payload.tag <= ITEM) {
        atMs = Math.max(atMs, port.busyUntilMs) + this.#sendMs;
        port.busyUntilMs = atMs;
      } else {
        // A control message is small and delays nothing: what goes to several peers leaves with their next messages.
        atMs = Math.max(atMs, port.busyUntilMs, port.controlUntilMs) + this.#sendMs;
        port.controlUntilMs = atMs;
      }
    }
    if (bytesPerSecond !== undefined) {
      atMs = Math.max(atMs, from.wireBusyUntilMs) + (bytes / bytesPerSecond) * 1000;
      from.wireBusyUntilMs = atMs;
    }
    atMs += from.latencyMs;
    if (from.jitterMs > 0) atMs += this.#options.rng.unit() * from.jitterMs;
    atMs = Math.max(Math.ceil(atMs / this.#resolutionMs) * this.#resolutionMs, from.nextArrivalMs);
    from.nextArrivalMs = atMs;
    this.#queue.push(atMs, from.other, payload);
  }

  #hold(from: LinkEnd, payload: Payload, bytes: number): void {
    from.held ??= [];
    from.held.push({ payload, bytes });
    if (from.held.length <= MAX_HELD) return;
    const oldest = from.held.findIndex((each) => each.payload.tag === ITEM);
    if (oldest === -1) return;
    from.port.countLost((from.held[oldest]!.payload as GossipItem).kind);
    from.held.splice(oldest, 1);
  }

  tellDelivery(item: GossipItem, node: PeerKey, from: PeerKey, hop: number): void {
    if (this.#onDelivery.size === 0) return;
    const delivery: Delivery = {
      messageId: item.id,
      kind: item.kind,
      node,
      from,
      atMs: this.clock.monotonicMs(),
      publishedAtMs: item.publishedAtMs,
      hop,
      bytes: item.data.byteLength,
    };
    for (const listener of this.#onDelivery) listener(delivery);
  }

  tellPublication(publication: Omit<Publication, 'atMs'>): void {
    for (const listener of this.#onPublication) listener({ ...publication, atMs: this.clock.monotonicMs() });
  }

  get isWatched(): boolean {
    return this.#onPublication.size > 0;
  }

  #drawLatency(a: PeerKey, b: PeerKey, { latencyMs: [min, max] }: LinkProfile): number {
    return this.#options.rng.fork(`link ${linkKey(a, b)}`).between(min, max);
  }

  #dial(link: Link): void {
    if (link.isDialling || link.connection !== undefined) return;
    link.isDialling = true;
    const [min, max] = REDIAL_MS;
    this.clock.after(this.#options.rng.between(min, max), () => {
      link.isDialling = false;
      this.#connect(link);
    });
  }

  #connect(link: Link): void {
    const [a, b] = link.ends;
    const portA = this.#ports.get(a);
    const portB = this.#ports.get(b);
    if (link.connection !== undefined || link.cutBy.size > 0 || link.mutedFrom.size > 0) return;
    if (portA?.isRunning !== true || portB?.isRunning !== true) return;
    if (portA.isRefused(b) || portB.isRefused(a)) {
      this.clock.after(PEER_SCORE.banMs / 10, () => this.#dial(link));
      return;
    }
    const endA = new LinkEnd(portA, portB, true, link);
    const endB = new LinkEnd(portB, portA, false, link);
    endA.other = endB;
    endB.other = endA;
    link.connection = { link, sinceMs: this.clock.nowMs(), ends: [endA, endB], streams: new Set() };
    this.trace.add(a, 'connected', b);
    portA.onConnected(endA);
    if (endB.isOpen) portB.onConnected(endB);
  }

  #hangUp(link: Link, reason: string): void {
    const { connection } = link;
    if (connection === undefined) return;
    const [a, b] = link.ends;
    const [endA, endB] = connection.ends;
    endA.isOpen = false;
    endB.isOpen = false;
    link.connection = undefined;
    this.trace.add(a, 'disconnected', `${b}: ${reason}`);
    for (const stream of [...connection.streams]) stream.fail(new Error(`connection closed: ${reason}`));
    endA.port.onDisconnected(endA);
    endB.port.onDisconnected(endB);
    this.#dial(link);
  }
}

/** One node's `Network` port. */
export class MemoryNetwork implements Network {
  readonly self: PeerKey;
  /** Until when it puts on the wire what it has sent. The hub's. */
  busyUntilMs = 0;
  controlUntilMs = 0;
  readonly #hub: MemoryHub;
  readonly #clock: Clock;
  readonly #score = new PeerScore(PEER_SCORE);
  readonly #protocols = new Map<
    string,
    { readonly protocol: StreamProtocol; readonly handler: (stream: FrameStream) => Promise<void> }
  >();
  readonly #ends = new Map<PeerKey, LinkEnd>();
  readonly #inboundStreams = new Map<string, number>();
  readonly #accepted = new Set<StreamEnd>();
  readonly #router: GossipRouter<LinkEnd>;
  readonly #rng: SeededRng;
  #handlers: NetworkHandlers | undefined;
  /** Of `#ends`; made when next asked for after one came or went. */
  #views: readonly PeerView[] | undefined;
  #hasPenalties = false;
  readonly #pointsOf = (peer: PeerKey): number => this.#score.points(peer, this.#clock.monotonicMs());

  constructor(hub: MemoryHub, self: PeerKey, clock: Clock, rng: SeededRng) {
    this.#hub = hub;
    this.self = self;
    this.#clock = clock;
    this.#rng = rng;
    this.#router = new GossipRouter<LinkEnd>({
      params: hub.gossip,
      table: hub.messages,
      rng,
      counts: hub.stats.of(self),
      nowMs: () => hub.clock.monotonicMs(),
      send: (to, gossip, bytes) => hub.send(to, gossip, bytes),
      onMessage: (message) => this.#handlers?.onGossip(message),
      onNew: (item, from, hop) => hub.tellDelivery(item, self, from.peer, hop),
      onSettled: (item, from, outcome) => {
        // Of a good batch there is an entry for each transaction that was new, with the peer that gave it.
        if (item.kind !== 'tx' || outcome !== 'accept') {
          hub.trace.add(self, outcome, `${item.kind} ${item.id.slice(0, 16)} from ${from.peer}`);
        }
        if (outcome === 'reject') this.penalize(from.peer, REJECT_POINTS, `invalid ${item.kind}`);
      },
      hasPenalties: () => this.#hasPenalties,
      penaltyPoints: this.#pointsOf,
    });
  }

  get isRunning(): boolean {
    return this.#handlers !== undefined;
  }

  isRefused(peer: PeerKey): boolean {
    return this.#hasPenalties && this.#score.isBanned(peer, this.#clock.monotonicMs());
  }

  async start(handlers: NetworkHandlers): Promise<void> {
    this.#handlers = handlers;
    this.#hub.onPortStarted(this.self);
    const { heartbeatIntervalMs } = this.#hub.gossip;
    this.#beatAt(this.#hub.clock.monotonicMs() + this.#rng.unit() * heartbeatIntervalMs);
  }

  async stop(): Promise<void> {
    this.kill();
  }

  /** Leaves at once, without a word to its own node. */
  kill(): void {
    if (this.#handlers === undefined) return;
    this.#handlers = undefined;
    this.#hub.onPortGone(this.self);
    this.#router.stop();
  }

  addresses(): readonly string[] {
    return [`/memory/${this.self}`];
  }

  async publish(kind: TopicKind, data: Uint8Array): Promise<PublishOutcome> {
    if (!this.isRunning) return { kind: 'queued' };
    const outcome = this.#router.publish(kind, data);
    if (this.#hub.isWatched) {
      const nowMs = this.#hub.clock.monotonicMs();
      const { id } = this.#hub.messages.intern(kind, TOPIC_KINDS.indexOf(kind), data, nowMs);
      const recipients = outcome.kind === 'sent' ? outcome.recipients : 0;
      this.#hub.tellPublication({ messageId: id, kind, node: this.self, bytes: data.byteLength, recipients });
    }
    return outcome;
  }

  /** Mesh peers on one topic. */
  meshSize(kind: TopicKind): number {
    return this.#router.meshSize(kind);
  }

  peers(): readonly PeerView[] {
    this.#views ??= Array.from(this.#ends.values(), (end) => new MemoryPeerView(end, this.#router, this.#pointsOf));
    return this.#views;
  }

  async open(peer: PeerKey, protocol: StreamProtocol, signal: AbortSignal): Promise<FrameStream> {
    signal.throwIfAborted();
    const end = this.#ends.get(peer);
    const connection = end?.isOpen === true ? end.link.connection : undefined;
    if (connection === undefined || end === undefined || !this.isRunning) throw new Error(`not connected to ${peer}`);
    this.#hub.trace.add(this.self, 'open', `${peer} ${protocol.name}`);
    return new Promise((resolve, reject) => {
      let isOpen = false;
      const settle = (): void => signal.removeEventListener('abort', onAbort);
      const [own, theirs] = createStreamPair(
        {
          peer,
          maxFrameBytes: protocol.maxFrameBytes,
          carry: (bytes, arrive) => this.#hub.carry(end, bytes, arrive),
          onClosed: () => {
            connection.streams.delete(own);
            if (isOpen) return;
            settle();
            reject(new Error(`${protocol.name}: the connection closed`));
          },
        },
        {
          peer: this.self,
          maxFrameBytes: this.#hub.portOf(peer)?.maxFrameBytes(protocol.name) ?? 0,
          carry: (bytes, arrive) => this.#hub.carry(end.other, bytes, arrive),
          onClosed: () => {
            connection.streams.delete(theirs);
            this.#hub.portOf(peer)?.onInboundClosed(this.self, protocol.name, theirs);
          },
        },
      );
      const onAbort = (): void => {
        own.abort(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      connection.streams.add(own);
      connection.streams.add(theirs);
      this.#hub.carry(end, OPEN_BYTES, () => {
        const accepted = this.#hub.portOf(peer)?.acceptStream(protocol.name, theirs) ?? false;
        if (!accepted) theirs.fail(new Error('refused'));
        this.#hub.carry(end.other, OPEN_BYTES, () => {
          settle();
          isOpen = accepted;
          if (accepted) resolve(own);
          else own.fail(new Error('refused'));
        });
      });
    });
  }

  handle(protocol: StreamProtocol, handler: (stream: FrameStream) => Promise<void>): void {
    if (this.#protocols.has(protocol.name)) throw new Error(`${protocol.name} has a handler`);
    this.#protocols.set(protocol.name, { protocol, handler });
  }

  penalize(peer: PeerKey, points: number, reason: string): void {
    if (this.isRefused(peer)) return; // for what it sent before the connection ended
    this.#hasPenalties = true;
    this.#hub.trace.add(this.self, 'penalized', `${peer} ${points} ${reason}`);
    if (this.#score.penalize(peer, points, this.#clock.monotonicMs()) === 'kept') return;
    this.#hub.trace.add(this.self, 'banned', `${peer} ${reason}`);
    this.#hub.disconnect(this.self, peer, `banned: ${reason}`);
  }

  async disconnect(peer: PeerKey, reason: string): Promise<void> {
    this.#hub.disconnect(this.self, peer, reason);
  }

  async connect(address: string): Promise<void> {
    const match = /^\/memory\/(.+)$/.exec(address);
    if (match === null) throw new Error(`malformed address ${address}`);
    this.#hub.link(this.self, match[1]!);
  }

  // What the hub and the other ports call.

  maxFrameBytes(protocol: string): number | undefined {
    return this.#protocols.get(protocol)?.protocol.maxFrameBytes;
  }

  onConnected(end: LinkEnd): void {
    this.#ends.set(end.peer, end);
    this.#views = undefined;
    this.#router.addPeer(end);
    this.#handlers?.onPeerConnected(end.peer);
  }

  onDisconnected(end: LinkEnd): void {
    if (this.#ends.get(end.peer) !== end) return;
    this.#ends.delete(end.peer);
    this.#views = undefined;
    this.#router.removePeer(end);
    this.#handlers?.onPeerDisconnected(end.peer);
  }

  acceptStream(name: string, stream: StreamEnd): boolean {
    const entry = this.#protocols.get(name);
    const key = `${stream.peer} ${name}`;
    const open = this.#inboundStreams.get(key) ?? 0;
    if (entry === undefined || !this.isRunning || open >= entry.protocol.maxInboundStreams) return false;
    this.#inboundStreams.set(key, open + 1);
    this.#accepted.add(stream);
    entry.handler(stream).then(
      () => stream.close(),
      (error: unknown) => stream.abort(error instanceof Error ? error : new Error(String(error))),
    );
    return true;
  }

  onInboundClosed(peer: PeerKey, name: string, stream: StreamEnd): void {
    if (!this.#accepted.delete(stream)) return;
    const key = `${peer} ${name}`;
    this.#inboundStreams.set(key, (this.#inboundStreams.get(key) ?? 1) - 1);
  }

  /** @returns whether the node's own code ran */
  receiveGossip(end: LinkEnd, gossip: Gossip): boolean {
    if (this.#handlers === undefined) return false;
    if (gossip.tag !== ITEM) return this.#router.receive(end, gossip);
    const item = gossip as GossipItem;
    if (item.data.byteLength > MAX_MESSAGE_BYTES) {
      this.penalize(end.peer, OVERLONG_POINTS, 'broken gossip stream');
      this.#hub.disconnect(this.self, end.peer, 'broken gossip stream');
      return true;
    }
    return this.#router.receive(end, item);
  }

  get place(): number {
    return this.#router.place;
  }

  countLost(kind: TopicKind): void {
    this.#hub.stats.of(this.self).kinds[kind].lost += 1;
  }

  #beatAt(atMs: number): void {
    this.#hub.clock.atQuietly(atMs, () => {
      if (!this.isRunning) return false;
      this.#router.heartbeat();
      this.#beatAt(atMs + this.#hub.gossip.heartbeatIntervalMs);
      return false;
    });
  }
}

/** Nodes ask for their peers all the time, and seldom for more than who they are: the rest is found when asked for. */
class MemoryPeerView implements PeerView {
  readonly peer: PeerKey;
  readonly #end: LinkEnd;
  readonly #router: GossipRouter<LinkEnd>;
  readonly #pointsOf: (peer: PeerKey) => number;

  constructor(end: LinkEnd, router: GossipRouter<LinkEnd>, pointsOf: (peer: PeerKey) => number) {
    this.peer = end.peer;
    this.#end = end;
    this.#router = router;
    this.#pointsOf = pointsOf;
  }

  get address(): string {
    return `/memory/${this.peer}`;
  }

  get direction(): 'inbound' | 'outbound' {
    return this.#end.isOutbound ? 'outbound' : 'inbound';
  }

  get connectedAtMs(): number {
    return this.#end.isOpen ? (this.#end.link.connection?.sinceMs ?? 0) : 0;
  }

  get mesh(): readonly TopicKind[] {
    return this.#router.meshOf(this.#end);
  }

  get score(): number {
    return -this.#pointsOf(this.peer);
  }
}

/** What negotiating a stream's protocol takes each way. */
const OPEN_BYTES = 64;

function linkKey(a: PeerKey, b: PeerKey): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
