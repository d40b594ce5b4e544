/**
 * One node's `Network` port in memory: its gossip router, its streams and whom it bans. What leaves it goes by the hub.
 *
 * Bounds are those of the real network: penalty points (the same {@link PeerScore}), inbound streams by protocol, the
 * longest message and frame, and, in the router, unsettled messages per peer and own ones kept while nobody is there.
 */
import { PeerScore } from '../node/net/peer-score.ts';
import type {
  Clock,
  FrameStream,
  GossipMessage,
  GossipOutcome,
  Network,
  NetworkHandlers,
  PeerKey,
  PeerView,
  PublishOutcome,
  StreamProtocol,
  TopicKind,
} from '../node/ports.ts';
import { type Gossip, GossipRouter, type RouterPort } from './gossip-router.ts';
import type { Carrier, LinkEnd, LinkPort } from './link.ts';
import { createStreamPair, type StreamEnd } from './memory-stream.ts';
import { type GossipItem, ITEM } from './message-table.ts';
import type { SeededRng } from './seeded-rng.ts';

export const BAN_MS = 120_000;
const PEER_SCORE = { banPoints: 100, halfLifeMs: 300_000, banMs: BAN_MS, maxPeers: 4_096 } as const;
const REJECT_POINTS = 10;
const OVERLONG_POINTS = 20;
const MAX_MESSAGE_BYTES = 2_000_000;
/** What negotiating a stream's protocol takes each way. */
const OPEN_BYTES = 64;

/** One node's `Network` port. */
export class MemoryNetwork implements Network, LinkPort, RouterPort<LinkEnd> {
  readonly self: PeerKey;
  /** Until when it puts on the wire what it has sent. The hub's. */
  busyUntilMs = 0;
  controlUntilMs = 0;
  readonly #hub: Carrier;
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

  constructor(hub: Carrier, self: PeerKey, clock: Clock, rng: SeededRng) {
    this.#hub = hub;
    this.self = self;
    this.#clock = clock;
    this.#rng = rng;
    this.#router = new GossipRouter<LinkEnd>({
      params: hub.gossip,
      table: hub.messages,
      rng,
      counts: hub.stats.of(self),
      clock: hub.clock,
      port: this,
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
    return this.#router.publish(kind, data);
  }

  /** Mesh peers on one topic. */
  meshSize(kind: TopicKind): number {
    return this.#router.meshSize(kind);
  }

  peers(): readonly PeerView[] {
    this.#views ??= Array.from(this.#ends.values(), (end) => new MemoryPeerView(end, this.#router, this));
    return this.#views;
  }

  async open(peer: PeerKey, protocol: StreamProtocol, signal: AbortSignal): Promise<FrameStream> {
    signal.throwIfAborted();
    const end = this.#ends.get(peer);
    const connection = end?.isOpen === true ? end.link.connection : undefined;
    if (connection === undefined || end === undefined || !this.isRunning) throw new Error(`not connected to ${peer}`);
    this.#hub.trace.add(this.self, 'open', `${peer} ${protocol.name}`);
    const served = this.#hub.portOf(peer)?.served(protocol.name);
    return new Promise((resolve, reject) => {
      let isOpen = false;
      const settle = (): void => signal.removeEventListener('abort', onAbort);
      const [own, theirs] = createStreamPair(
        {
          peer,
          maxSentBytes: protocol.maxRequestBytes,
          maxReceivedBytes: protocol.maxFrameBytes,
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
          maxSentBytes: served?.maxFrameBytes ?? 0,
          maxReceivedBytes: served?.maxRequestBytes ?? 0,
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

  // What the router calls.

  send(to: LinkEnd, gossip: Gossip, bytes: number): void {
    this.#hub.send(to, gossip, bytes);
  }

  onMessage(message: GossipMessage): void {
    this.#handlers?.onGossip(message);
  }

  onNew(item: GossipItem, from: LinkEnd, hop: number): void {
    this.#hub.tellDelivery(item, this.self, from.peer, hop);
  }

  onSettled(item: GossipItem, from: LinkEnd, outcome: GossipOutcome): void {
    // Of a good batch there is an entry for each transaction that was new, with the peer that gave it.
    if (item.kind !== 'tx' || outcome !== 'accept') {
      this.#hub.trace.add(this.self, outcome, `${item.kind} ${item.id.slice(0, 16)} from ${from.peer}`);
    }
    if (outcome === 'reject') this.penalize(from.peer, REJECT_POINTS, `invalid ${item.kind}`);
  }

  get hasPenalties(): boolean {
    return this.#hasPenalties;
  }

  penaltyPoints(peer: PeerKey): number {
    return this.#score.points(peer, this.#clock.monotonicMs());
  }

  // What the hub and the other ports call.

  served(protocol: string): StreamProtocol | undefined {
    return this.#protocols.get(protocol)?.protocol;
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
  readonly #port: Pick<MemoryNetwork, 'penaltyPoints'>;

  constructor(end: LinkEnd, router: GossipRouter<LinkEnd>, port: Pick<MemoryNetwork, 'penaltyPoints'>) {
    this.peer = end.peer;
    this.#end = end;
    this.#router = router;
    this.#port = port;
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
    return -this.#port.penaltyPoints(this.peer);
  }
}
