/**
 * The network in memory: a hub of links, and one `Network` port per node.
 *
 * Model. Every two nodes with a link hold one connection while both run, the link is not cut and neither bans the
 * other. All connected peers are in each other's mesh. A gossip message is marked seen by its content's hash before
 * it is handed in, and forwarded only when its verdict is `accept`. What travels over a connection arrives in order,
 * after the link's latency and a jitter; a message, not a stream frame, may be lost. A connection that ends takes
 * what is under way with it.
 *
 * Bounds are those of the real network: unsettled messages per peer, own messages kept while nobody is there,
 * penalty points (the same {@link PeerScore}).
 */

import { bytesToHex } from '../crypto/bytes.ts';
import { sha256 } from '../crypto/hash.ts';
import { PeerScore } from '../node/net/peer-score.ts';
import { SeenCache } from '../node/pipeline/seen-cache.ts';
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
import { createStreamPair, type StreamEnd } from './memory-stream.ts';
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
}

export const DEFAULT_LINK: LinkProfile = { latencyMs: [5, 60], jitterMs: 5, loss: 0 };

export interface HubOptions {
  readonly clock: VirtualClock;
  readonly rng: SeededRng;
  readonly trace: Trace;
  readonly link?: LinkProfile;
}

const REDIAL_MS = [200, 1000] as const;
const SEEN_MESSAGES = 65_536;
/** As `PUBLIC_NETWORK` and `DEVNET_NETWORK` have them. */
const MAX_UNSETTLED_PER_PEER = 1_024;
const MAX_QUEUED = 1_024;
const MESSAGE_TTL_MS = 10_000;
const REJECT_POINTS = 10;
const OVERLONG_POINTS = 20;
const MAX_MESSAGE_BYTES = 2_000_000;
const PEER_SCORE = { banPoints: 100, halfLifeMs: 300_000, banMs: 120_000, maxPeers: 4_096 } as const;

interface Link {
  readonly ends: readonly [PeerKey, PeerKey];
  readonly profile: LinkProfile;
  readonly latencyMs: number;
  isCut: boolean;
  connection: Connection | undefined;
  isDialling: boolean;
}

interface Connection {
  readonly link: Link;
  readonly dialler: PeerKey;
  readonly sinceMs: number;
  /** Earliest arrival of what is sent next to that end: keeps the order. */
  readonly arrivals: Map<PeerKey, number>;
  readonly streams: Set<StreamEnd>;
  isOpen: boolean;
}

/** Counts over all nodes since the beginning. */
export interface GossipCounts {
  sent: number;
  delivered: number;
  duplicates: number;
  lost: number;
}

export class MemoryHub {
  readonly counts: GossipCounts = { sent: 0, delivered: 0, duplicates: 0, lost: 0 };
  readonly #options: HubOptions;
  readonly #links = new Map<string, Link>();
  readonly #ports = new Map<PeerKey, MemoryNetwork>();

  constructor(options: HubOptions) {
    this.#options = options;
  }

  get clock(): VirtualClock {
    return this.#options.clock;
  }

  get trace(): Trace {
    return this.#options.trace;
  }

  /** A port for a node that starts; it replaces the one an earlier life of that node had. */
  createPort(self: PeerKey, clock: Clock): MemoryNetwork {
    this.#ports.get(self)?.kill();
    const port = new MemoryNetwork(this, self, clock);
    this.#ports.set(self, port);
    return port;
  }

  /** Lets two nodes connect. */
  link(a: PeerKey, b: PeerKey, profile: LinkProfile = this.#options.link ?? DEFAULT_LINK): void {
    if (a === b || this.#links.has(linkKey(a, b))) return;
    const [min, max] = profile.latencyMs;
    const latencyMs = this.#options.rng.fork(`link ${linkKey(a, b)}`).between(min, max);
    const ends = a < b ? ([a, b] as const) : ([b, a] as const);
    const link: Link = { ends, profile, latencyMs, isCut: false, connection: undefined, isDialling: false };
    this.#links.set(linkKey(a, b), link);
    this.#dial(link);
  }

  /** Cuts the link: the connection is gone at once, and none comes until it is healed. */
  cut(a: PeerKey, b: PeerKey): void {
    const link = this.#links.get(linkKey(a, b));
    if (link === undefined || link.isCut) return;
    link.isCut = true;
    this.#hangUp(link, 'link cut');
  }

  heal(a: PeerKey, b: PeerKey): void {
    const link = this.#links.get(linkKey(a, b));
    if (link === undefined || !link.isCut) return;
    link.isCut = false;
    this.#dial(link);
  }

  /** Cuts every link between two of the groups. Nodes in no group keep their links. */
  partition(groups: readonly (readonly PeerKey[])[]): void {
    for (const [at, group] of groups.entries()) {
      for (const other of groups.slice(at + 1)) for (const a of group) for (const b of other) this.cut(a, b);
    }
  }

  healAll(): void {
    for (const { ends } of this.#links.values()) this.heal(...ends);
  }

  portOf(peer: PeerKey): MemoryNetwork | undefined {
    return this.#ports.get(peer);
  }

  connectionsOf(peer: PeerKey): Connection[] {
    const connections: Connection[] = [];
    for (const { ends, connection } of this.#links.values()) {
      if (connection !== undefined && ends.includes(peer)) connections.push(connection);
    }
    return connections;
  }

  connectionBetween(a: PeerKey, b: PeerKey): Connection | undefined {
    return this.#links.get(linkKey(a, b))?.connection;
  }

  /** The node listens now: whoever has a link to it connects. */
  onPortStarted(peer: PeerKey): void {
    for (const link of this.#links.values()) if (link.ends.includes(peer)) this.#dial(link);
  }

  onPortGone(peer: PeerKey): void {
    for (const link of this.#links.values()) if (link.ends.includes(peer)) this.#hangUp(link, 'peer gone');
  }

  disconnect(a: PeerKey, b: PeerKey, reason: string): void {
    const link = this.#links.get(linkKey(a, b));
    if (link !== undefined) this.#hangUp(link, reason);
  }

  /** Brings something to the other end of the connection, in order, unless the connection ends first. */
  carry(connection: Connection, to: PeerKey, arrive: () => void): void {
    const { clock } = this;
    const { latencyMs, profile } = connection.link;
    const jitterMs = profile.jitterMs === 0 ? 0 : this.#options.rng.unit() * profile.jitterMs;
    const atMs = Math.max(clock.monotonicMs() + latencyMs + jitterMs, connection.arrivals.get(to) ?? 0);
    connection.arrivals.set(to, atMs);
    clock.after(atMs - clock.monotonicMs(), () => {
      if (connection.isOpen) arrive();
    });
  }

  isLost(connection: Connection): boolean {
    const { loss } = connection.link.profile;
    return loss > 0 && this.#options.rng.unit() < loss;
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
    if (link.connection !== undefined || link.isCut) return;
    if (portA?.isRunning !== true || portB?.isRunning !== true) return;
    if (portA.isRefused(b) || portB.isRefused(a)) {
      this.clock.after(PEER_SCORE.banMs / 10, () => this.#dial(link));
      return;
    }
    const connection: Connection = {
      link,
      dialler: this.#options.rng.unit() < 0.5 ? a : b,
      sinceMs: this.clock.nowMs(),
      arrivals: new Map(),
      streams: new Set(),
      isOpen: true,
    };
    link.connection = connection;
    this.trace.add(a, 'connected', b);
    portA.onConnected(b);
    portB.onConnected(a);
  }

  #hangUp(link: Link, reason: string): void {
    const { connection } = link;
    if (connection === undefined) return;
    const [a, b] = link.ends;
    connection.isOpen = false;
    link.connection = undefined;
    this.trace.add(a, 'disconnected', `${b}: ${reason}`);
    for (const stream of [...connection.streams]) stream.fail(new Error(`connection closed: ${reason}`));
    this.#ports.get(a)?.onDisconnected(b);
    this.#ports.get(b)?.onDisconnected(a);
    this.#dial(link);
  }
}

/** One node's `Network` port. */
export class MemoryNetwork implements Network {
  readonly self: PeerKey;
  readonly #hub: MemoryHub;
  readonly #clock: Clock;
  readonly #score = new PeerScore(PEER_SCORE);
  readonly #protocols = new Map<
    string,
    { readonly protocol: StreamProtocol; readonly handler: (stream: FrameStream) => Promise<void> }
  >();
  readonly #seen = new SeenCache<string>(SEEN_MESSAGES);
  readonly #unsettled = new Map<PeerKey, number>();
  readonly #inboundStreams = new Map<string, number>();
  readonly #accepted = new Set<StreamEnd>();
  #queued: { readonly kind: TopicKind; readonly data: Uint8Array; readonly id: string; readonly atMs: number }[] = [];
  #handlers: NetworkHandlers | undefined;

  constructor(hub: MemoryHub, self: PeerKey, clock: Clock) {
    this.#hub = hub;
    this.self = self;
    this.#clock = clock;
  }

  get isRunning(): boolean {
    return this.#handlers !== undefined;
  }

  isRefused(peer: PeerKey): boolean {
    return this.#score.isBanned(peer, this.#clock.monotonicMs());
  }

  async start(handlers: NetworkHandlers): Promise<void> {
    this.#handlers = handlers;
    this.#hub.onPortStarted(this.self);
  }

  async stop(): Promise<void> {
    this.kill();
  }

  /** Leaves at once, without a word to its own node. */
  kill(): void {
    if (this.#handlers === undefined) return;
    this.#handlers = undefined;
    this.#hub.onPortGone(this.self);
  }

  addresses(): readonly string[] {
    return [`/memory/${this.self}`];
  }

  async publish(kind: TopicKind, data: Uint8Array): Promise<PublishOutcome> {
    const id = contentId(kind, data);
    this.#seen.add(id);
    const connections = this.#connections();
    if (connections.length === 0) {
      this.#queued.push({ kind, data, id, atMs: this.#clock.monotonicMs() });
      if (this.#queued.length > MAX_QUEUED) this.#queued.shift();
      return { kind: 'queued' };
    }
    for (const connection of connections) this.#sendGossip(connection, kind, data, id);
    return { kind: 'sent', recipients: connections.length };
  }

  peers(): readonly PeerView[] {
    return this.#connections().map((connection) => {
      const peer = this.#otherEnd(connection);
      return {
        peer,
        address: `/memory/${peer}`,
        direction: connection.dialler === this.self ? 'outbound' : 'inbound',
        connectedAtMs: connection.sinceMs,
        mesh: TOPIC_KINDS,
        score: -this.#score.points(peer, this.#clock.monotonicMs()),
      };
    });
  }

  async open(peer: PeerKey, protocol: StreamProtocol, signal: AbortSignal): Promise<FrameStream> {
    signal.throwIfAborted();
    const connection = this.#hub.connectionBetween(this.self, peer);
    if (connection === undefined || !this.isRunning) throw new Error(`not connected to ${peer}`);
    this.#hub.trace.add(this.self, 'open', `${peer} ${protocol.name}`);
    return new Promise((resolve, reject) => {
      const settle = (): void => signal.removeEventListener('abort', onAbort);
      const [own, theirs] = createStreamPair(
        {
          peer,
          maxFrameBytes: protocol.maxFrameBytes,
          carry: (_bytes, arrive) => this.#hub.carry(connection, peer, arrive),
          onClosed: () => {
            connection.streams.delete(own);
            settle();
            reject(new Error(`${protocol.name}: the connection closed`)); // no effect once it is open
          },
        },
        {
          peer: this.self,
          maxFrameBytes: this.#hub.portOf(peer)?.maxFrameBytes(protocol.name) ?? 0,
          carry: (_bytes, arrive) => this.#hub.carry(connection, this.self, arrive),
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
      this.#hub.carry(connection, peer, () => {
        const accepted = this.#hub.portOf(peer)?.acceptStream(protocol.name, theirs) ?? false;
        if (!accepted) theirs.fail(new Error('refused'));
        this.#hub.carry(connection, this.self, () => {
          settle();
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

  onConnected(peer: PeerKey): void {
    const queued = this.#queued;
    this.#queued = [];
    const connection = this.#hub.connectionBetween(this.self, peer);
    const oldestMs = this.#clock.monotonicMs() - MESSAGE_TTL_MS;
    for (const { kind, data, id, atMs } of queued) {
      if (connection !== undefined && atMs >= oldestMs) this.#sendGossip(connection, kind, data, id);
    }
    this.#handlers?.onPeerConnected(peer);
  }

  onDisconnected(peer: PeerKey): void {
    this.#handlers?.onPeerDisconnected(peer);
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

  receiveGossip(from: PeerKey, kind: TopicKind, data: Uint8Array, id: string): void {
    if (this.#handlers === undefined || this.isRefused(from)) return;
    const { counts } = this.#hub;
    if (data.byteLength > MAX_MESSAGE_BYTES) {
      this.penalize(from, OVERLONG_POINTS, 'broken gossip stream');
      this.#hub.disconnect(this.self, from, 'broken gossip stream');
      return;
    }
    if (this.#seen.has(id)) {
      counts.duplicates += 1;
      return;
    }
    this.#seen.add(id);
    counts.delivered += 1;
    const waiting = this.#unsettled.get(from) ?? 0;
    if (waiting >= MAX_UNSETTLED_PER_PEER) return;
    this.#unsettled.set(from, waiting + 1);
    let isSettled = false;
    this.#handlers.onGossip({
      kind,
      from,
      data,
      settle: (outcome) => {
        if (isSettled) throw new Error(`${kind} message ${id} settled twice`);
        isSettled = true;
        this.#unsettled.set(from, (this.#unsettled.get(from) ?? 1) - 1);
        this.#hub.trace.add(this.self, outcome, `${kind} ${id.slice(0, 16)} from ${from}`);
        if (outcome === 'reject') this.penalize(from, REJECT_POINTS, `invalid ${kind}`);
        if (outcome !== 'accept' || !this.isRunning) return;
        for (const connection of this.#connections()) {
          if (this.#otherEnd(connection) !== from) this.#sendGossip(connection, kind, data, id);
        }
      },
    });
  }

  #sendGossip(connection: Connection, kind: TopicKind, data: Uint8Array, id: string): void {
    const peer = this.#otherEnd(connection);
    this.#hub.counts.sent += 1;
    if (this.#hub.isLost(connection)) {
      this.#hub.counts.lost += 1;
      return;
    }
    this.#hub.carry(connection, peer, () => this.#hub.portOf(peer)?.receiveGossip(this.self, kind, data, id));
  }

  #connections(): Connection[] {
    return this.isRunning ? this.#hub.connectionsOf(this.self) : [];
  }

  #otherEnd(connection: Connection): PeerKey {
    const [a, b] = connection.link.ends;
    return a === this.self ? b : a;
  }
}

function linkKey(a: PeerKey, b: PeerKey): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

/** As the real network: the topic is part of what identifies a message. */
function contentId(kind: TopicKind, data: Uint8Array): string {
  return `${kind}:${bytesToHex(sha256(data))}`;
}
