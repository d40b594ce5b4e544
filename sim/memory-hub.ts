/**
 * The network in memory: a hub of links, which makes one `Network` port (`memory-network.ts`) per node.
 *
 * Model. Every two nodes with a link hold one connection while both run, the link is not cut and neither bans the
 * other. Gossip goes its way by `gossip-router.ts`. What travels over a connection arrives in order, on a whole
 * millisecond, after the time sending takes and its bytes take, the link's latency and a jitter; a gossip message, not a control
 * message or a stream frame, may be lost. A connection that ends takes what is under way with it. Where a link is cut
 * one way, what is sent that way waits, as TCP would go on sending it, until the cut is healed or the connection's
 * pings have timed out.
 *
 * Bound: what waits at one end of a link that is cut one way.
 */
import type { Clock, PeerKey } from '../node/ports.ts';
import { DeliveryQueue } from './delivery-queue.ts';
import { DEVNET_GOSSIP, type GossipParams } from './gossip-params.ts';
import { type Delivery, GossipStats } from './gossip-stats.ts';
import { type Carrier, DEFAULT_LINK, FRAME, type Link, LinkEnd, type LinkProfile, type Payload } from './link.ts';
import { BAN_MS, MemoryNetwork } from './memory-network.ts';
import { type GossipItem, ITEM, MessageTable } from './message-table.ts';
import type { SeededRng } from './seeded-rng.ts';
import type { Trace } from './trace.ts';
import type { VirtualClock } from './virtual-clock.ts';

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
/** What waits at one end of a link that is cut one way; the oldest gossip message makes room. */
const MAX_HELD = 4_096;

/** Counts over all nodes since the beginning. */
export interface GossipCounts {
  readonly sent: number;
  readonly delivered: number;
  readonly duplicates: number;
  readonly lost: number;
}

/**
 * Owns links, connections and what is under way on them; what a node does with what arrives, and whom it bans, is its
 * port's. Time is the world's clock: no call waits.
 */
export class MemoryHub implements Carrier {
  readonly stats = new GossipStats();
  readonly gossip: GossipParams;
  readonly messages: MessageTable;
  readonly #options: HubOptions;
  readonly #links = new Map<string, Link>();
  readonly #linksOf = new Map<PeerKey, Link[]>();
  readonly #ports = new Map<PeerKey, MemoryNetwork>();
  readonly #queue: DeliveryQueue<LinkEnd, Payload>;
  readonly #onDelivery = new Set<(delivery: Delivery) => void>();
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
      this.clock.after(BAN_MS / 10, () => this.#dial(link));
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

function linkKey(a: PeerKey, b: PeerKey): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
