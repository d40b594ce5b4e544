/** A link between two nodes, the connection over it and its two ends; and what a node's port and the hub ask of each other. */
import type { PeerKey, StreamProtocol, TopicKind } from '../node/ports.ts';
import type { GossipParams } from './gossip-params.ts';
import { type Gossip, GossipPeer } from './gossip-router.ts';
import type { GossipStats } from './gossip-stats.ts';
import type { StreamEnd } from './memory-stream.ts';
import type { GossipItem, MessageTable } from './message-table.ts';
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

/** A stream's frame: calls `arrive` at the other end. */
export const FRAME = -1;
export interface Frame {
  readonly tag: typeof FRAME;
  readonly arrive: () => void;
}

export type Payload = Gossip | Frame;

export interface Link {
  readonly ends: readonly [dialler: PeerKey, other: PeerKey];
  readonly profile: LinkProfile;
  readonly latencyMs: number;
  /** Who holds it cut; it stays so until all have let go. */
  readonly cutBy: Set<object>;
  /** Nodes from which nothing gets through. */
  readonly mutedFrom: Set<PeerKey>;
  connection: Connection | undefined;
  isDialling: boolean;
}

export interface Connection {
  readonly link: Link;
  readonly sinceMs: number;
  readonly ends: readonly [LinkEnd, LinkEnd];
  readonly streams: Set<StreamEnd>;
}

/**
 * One node's end of a connection: what is sent to it comes to `port`. It has by itself all that sending from it takes,
 * so that a send looks at one object and not at the link, its profile and the other end as well.
 */
export class LinkEnd extends GossipPeer {
  readonly port: LinkPort;
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

  constructor(port: LinkPort, peer: LinkPort, isOutbound: boolean, link: Link) {
    super(peer.self, isOutbound, peer.place);
    this.port = port;
    this.link = link;
    this.other = this; // until it is paired
    const { latencyMs, profile } = link;
    this.latencyMs = latencyMs;
    this.jitterMs = profile.jitterMs;
    this.loss = profile.loss;
    this.bytesPerSecond = profile.bytesPerSecond;
  }
}

/** A node's port, as the hub and the other ports see it. */
export interface LinkPort {
  readonly self: PeerKey;
  /** Where messages keep what its node knows of them. */
  readonly place: number;
  /** Until when it puts on the wire what it has sent. The hub's. */
  busyUntilMs: number;
  controlUntilMs: number;
  /** @returns whether the node's own code ran */
  receiveGossip(end: LinkEnd, gossip: Gossip): boolean;
  onConnected(end: LinkEnd): void;
  onDisconnected(end: LinkEnd): void;
  countLost(kind: TopicKind): void;
  /** Undefined: it does not speak the protocol. */
  served(protocol: string): StreamProtocol | undefined;
  acceptStream(protocol: string, stream: StreamEnd): boolean;
  onInboundClosed(peer: PeerKey, protocol: string, stream: StreamEnd): void;
}

/** The hub, as a port sees it. */
export interface Carrier {
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly gossip: GossipParams;
  readonly messages: MessageTable;
  readonly stats: GossipStats;
  /** Lets two nodes connect; `a` dials. */
  link(a: PeerKey, b: PeerKey): void;
  disconnect(a: PeerKey, b: PeerKey, reason: string): void;
  onPortStarted(peer: PeerKey): void;
  onPortGone(peer: PeerKey): void;
  portOf(peer: PeerKey): LinkPort | undefined;
  send(from: LinkEnd, payload: Payload, bytes: number): void;
  carry(from: LinkEnd, bytes: number, arrive: () => void): void;
  tellDelivery(item: GossipItem, node: PeerKey, from: PeerKey, hop: number): void;
}
