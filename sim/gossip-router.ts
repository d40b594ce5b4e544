/**
 * One node's gossipsub, as `node/net/gossip-settings.ts` sets it up and `@libp2p/gossipsub` 17 carries it out.
 *
 * Specification. Per topic a mesh of D peers (Dlo, Dhi, Dout), kept at a heartbeat whose phase is drawn per node;
 * GRAFT, PRUNE and the back-off after it; a peer that subscribes is grafted at once below Dlo. What arrives is marked
 * seen, then handed in, and forwarded to the mesh after `settle('accept')`, except to those who have sent it or said
 * IDONTWANT. IHAVE names, at the heartbeat, what was accepted lately to peers outside the mesh; IWANT is answered
 * with what was accepted. Own messages go to the mesh, or with flood publishing to all peers; while there is none
 * they wait.
 *
 * Left out: the score (peers with many penalty points go below zero and leave the mesh, time in the mesh counts, the rest
 * does not), opportunistic grafting, peer exchange, fanout (every node joins every topic), broken IWANT promises. What
 * an IHAVE of more than 5,000 ids leaves out counts as named.
 *
 * Complexity: a copy that is no news costs O(1) and no allocation. A heartbeat is O(peers + messages in the window).
 */
import {
  GOSSIP_THRESHOLD,
  MAX_IDONTWANT_IDS,
  MAX_IHAVE_IDS,
  MESH_SECONDS_CAP,
  MESH_SECONDS_WEIGHT,
  POINTS_WEIGHT,
  TOLERATED_POINTS,
} from '../node/net/gossip-bounds.ts';
import {
  type Clock,
  type GossipMessage,
  type GossipOutcome,
  type PeerKey,
  type PublishOutcome,
  TOPIC_KINDS,
  type TopicKind,
} from '../node/ports.ts';
import type { GossipParams } from './gossip-params.ts';
import type { KindCounts, NodeCounts } from './gossip-stats.ts';
import { type GossipItem, ITEM, type MessageTable } from './message-table.ts';
import type { SeededRng } from './seeded-rng.ts';
import { shuffle } from './topology.ts';

const SUBSCRIBE = 1;
const GRAFT = 2;
const PRUNE = 3;
const IHAVE = 4;
const IWANT = 5;
const IDONTWANT = 6;
type ControlTag = 1 | 2 | 3 | 4 | 5 | 6;

/** A control message. `topics` are indices; `items` what IHAVE, IWANT and IDONTWANT name. */
export class Control {
  readonly tag: ControlTag;
  readonly topics: readonly number[];
  readonly items: readonly GossipItem[];

  constructor(tag: ControlTag, topics: readonly number[], items: readonly GossipItem[]) {
    this.tag = tag;
    this.topics = topics;
    this.items = items;
  }
}

export type Gossip = GossipItem | Control;

const ALL_TOPIC_INDICES: readonly number[] = TOPIC_KINDS.map((_, index) => index);
/** By how many they are: of IHAVE's topics only their number is looked at, for its bytes. */
const FIRST_TOPICS: readonly (readonly number[])[] = [...ALL_TOPIC_INDICES, TOPIC_KINDS.length].map((count) =>
  ALL_TOPIC_INDICES.slice(0, count),
);
const TX = TOPIC_KINDS.indexOf('tx');

/** `/grapevine/<16 hex>/<kind>/1`, about. */
const TOPIC_BYTES = 33;
/** Tags and lengths of the RPC, the message, its data and its topic. */
const MESSAGE_FRAMING_BYTES = 14;
/** 20 bytes, tag and length. */
const ID_BYTES = 22;
/** Tags and lengths of the RPC and of the control message. */
const CONTROL_FRAMING_BYTES = 8;

const MAX_IHAVES_PER_HEARTBEAT = 10;
const MAX_QUEUED = 1_024;
const BACKOFF_TICKS = 15;

/** What a node knows of a message; 0: nothing. Gone: rejected, ignored, or out of the message cache. */
const PENDING = 1;
const VALID = 2;
const GONE = 3;

/** A peer as a router sees it, for as long as the connection lasts. */
export class GossipPeer {
  readonly peer: PeerKey;
  readonly isOutbound: boolean;
  /** Where messages keep what that node knows of them. */
  readonly place: number;
  isSubscribed = false;
  /** The bits of the topics in whose mesh it is. */
  meshTopics = 0;
  /** Per topic, while it is in the mesh: since when. */
  readonly meshSinceMs = TOPIC_KINDS.map(() => 0);
  /** Per topic; 0: none. Outlives the connection. */
  backoffUntilMs = TOPIC_KINDS.map(() => 0);
  /** What it does not want, and the heartbeat at which it said so. */
  idontwant: Map<GossipItem, number> | undefined;
  /** Messages that await their verdict. With the votes, evidence. */
  unsettledBlocks = 0;
  unsettledVotes = 0;
  unsettledTxs = 0;
  ihaves = 0;
  asked = 0;
  idontwants = 0;
  /** IHAVE to go out with this heartbeat. */
  gossipItems: GossipItem[] | undefined;
  gossipTopics = 0;
  /** The heartbeat at which it last heard IHAVE of batches of transactions. */
  txGossipTick = -1;

  constructor(peer: PeerKey, isOutbound: boolean, place: number) {
    this.peer = peer;
    this.isOutbound = isOutbound;
    this.place = place;
  }

  isInMesh(topic: number): boolean {
    return (this.meshTopics & (1 << topic)) !== 0;
  }
}

export interface RouterDeps<P extends GossipPeer> {
  readonly params: GossipParams;
  readonly table: MessageTable;
  readonly rng: SeededRng;
  readonly counts: NodeCounts;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly port: RouterPort<P>;
}

/** The port that a router works for, as the router sees it. */
export interface RouterPort<P extends GossipPeer> {
  send(to: P, gossip: Gossip, bytes: number): void;
  onMessage(message: GossipMessage): void;
  /** The first copy has come, and is to be handed in. */
  onNew(item: GossipItem, from: P, hop: number): void;
  onSettled(item: GossipItem, from: P, outcome: GossipOutcome): void;
  /** False until there has been a penalty: no score is below zero then. */
  readonly hasPenalties: boolean;
  penaltyPoints(peer: PeerKey): number;
}

/** What a heartbeat tells whom, by peer the topics. */
interface MeshChanges<P> {
  readonly grafts: Map<P, number[]>;
  readonly prunes: Map<P, number[]>;
}

/**
 * For one life of a node; `stop` forgets what it knew of every message. It has no timer and no wire: its port calls
 * `heartbeat`, hands it what arrives, and carries what it sends.
 */
export class GossipRouter<P extends GossipPeer> {
  /** Where messages keep what this node knows of them. */
  readonly place: number;
  readonly #params: GossipParams;
  readonly #table: MessageTable;
  readonly #rng: SeededRng;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #port: RouterPort<P>;
  readonly #counts: NodeCounts;
  readonly #kindCounts: readonly KindCounts[];
  readonly #peers: P[] = [];
  readonly #mesh: readonly P[][] = TOPIC_KINDS.map(() => []);
  readonly #backoffs = new Map<PeerKey, number[]>();
  /** In order of arrival. Few at a time, and soon settled: a Map would get a new table with every one that leaves it empty. */
  readonly #pending: PendingMessage<P>[] = [];
  #unsettledTxs = 0;
  /** Newest first; one entry per heartbeat. */
  readonly #history: GossipItem[][];
  #queued: { readonly item: GossipItem; readonly atMs: number }[] = [];
  /** Batches of transactions that IHAVE named at the last heartbeat. */
  #named: ReadonlySet<GossipItem> = NOTHING;
  #ticks = 0;
  #isStopped = false;

  constructor({ params, table, rng, counts, clock, port }: RouterDeps<P>) {
    this.#params = params;
    this.#table = table;
    this.#rng = rng;
    this.#clock = clock;
    this.#port = port;
    this.#counts = counts;
    this.#kindCounts = TOPIC_KINDS.map((kind) => counts.kinds[kind]);
    this.#history = Array.from({ length: params.mcacheLength }, () => []);
    this.place = table.takePlace();
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    for (const pending of this.#pending.splice(0)) pending.isPending = false;
    this.#table.givePlaceBack(this.place);
  }

  addPeer(peer: P): void {
    let backoff = this.#backoffs.get(peer.peer);
    if (backoff === undefined) {
      backoff = TOPIC_KINDS.map(() => 0);
      this.#backoffs.set(peer.peer, backoff);
    }
    peer.backoffUntilMs = backoff;
    this.#peers.push(peer);
    this.#control(peer, SUBSCRIBE, ALL_TOPIC_INDICES, NO_ITEMS);
  }

  removePeer(peer: P): void {
    const at = this.#peers.indexOf(peer);
    if (at !== -1) this.#peers.splice(at, 1);
    for (const topic of ALL_TOPIC_INDICES) this.#removeFromMesh(peer, topic);
  }

  meshOf(peer: P): TopicKind[] {
    return TOPIC_KINDS.filter((_, topic) => peer.isInMesh(topic));
  }

  meshSize(kind: TopicKind): number {
    return this.#mesh[TOPIC_KINDS.indexOf(kind)]!.length;
  }

  publish(kind: TopicKind, data: Uint8Array): PublishOutcome {
    const nowMs = this.#clock.monotonicMs();
    const item = this.#table.intern(kind, TOPIC_KINDS.indexOf(kind), data, nowMs);
    if (!this.#hasSubscriber()) {
      this.#queued.push({ item, atMs: nowMs });
      if (this.#queued.length > MAX_QUEUED) this.#queued.shift();
      return { kind: 'queued' };
    }
    return { kind: 'sent', recipients: this.#publish(item, nowMs) };
  }

  /** @returns whether the node was told something: its promises have to run before time goes on */
  receive(from: P, gossip: Gossip): boolean {
    if (gossip.tag === ITEM) return this.#receiveItem(from, gossip as GossipItem);
    const { tag, topics, items } = gossip as Control;
    switch (tag) {
      case SUBSCRIBE:
        this.#onSubscribe(from);
        break;
      case GRAFT:
        this.#onGraft(from, topics);
        break;
      case PRUNE:
        this.#onPrune(from, topics);
        break;
      case IHAVE:
        this.#onIhave(from, items);
        break;
      case IWANT:
        this.#onIwant(from, items);
        break;
      default:
        this.#onIdontwant(from, items);
    }
    return false;
  }

  heartbeat(): void {
    const params = this.#params;
    const now = this.#clock.monotonicMs();
    this.#ticks += 1;
    for (const peer of this.#peers) {
      peer.ihaves = 0;
      peer.asked = 0;
      peer.idontwants = 0;
      if (peer.idontwant !== undefined) {
        for (const [item, tick] of peer.idontwant) {
          if (this.#ticks - tick < params.mcacheLength) break; // in order of ticks
          peer.idontwant.delete(item);
        }
        if (peer.idontwant.size === 0) peer.idontwant = undefined;
      }
    }
    if (this.#ticks % BACKOFF_TICKS === 0) this.#clearBackoffs(now);
    let changes: MeshChanges<P> | undefined;
    for (const topic of ALL_TOPIC_INDICES) {
      if (this.#isMeshInOrder(topic)) continue;
      changes ??= { grafts: new Map(), prunes: new Map() };
      this.#keepMesh(topic, now, changes);
    }
    this.#emitGossip();
    if (changes !== undefined) {
      for (const [peer, topics] of changes.grafts) this.#control(peer, GRAFT, topics, NO_ITEMS);
      for (const [peer, topics] of changes.prunes) this.#control(peer, PRUNE, topics, NO_ITEMS);
    }
    this.#shift();
    this.#expirePending(now);
    this.#flushQueued(now);
  }

  /** Called by a message that is settled. */
  settled(pending: PendingMessage<P>, outcome: GossipOutcome): void {
    const { item, sender, sources } = pending;
    const wasPending = pending.isPending;
    if (wasPending) this.#release(pending);
    this.#port.onSettled(item, sender, outcome);
    if (!wasPending || this.#isStopped) return;
    if (outcome === 'unread') item.forget(this.place);
    else item.setState(this.place, outcome === 'accept' ? VALID : GONE);
    if (outcome !== 'accept') return;
    const port = this.#port;
    const bytes = bytesOf(item);
    let copies = 0;
    for (const peer of this.#mesh[item.topic]!) {
      if (peer === sender || sources?.includes(peer) === true) continue;
      if (peer.idontwant?.has(item) === true) {
        this.#kindCounts[item.topic]!.spared += 1;
        continue;
      }
      port.send(peer, item, bytes);
      copies += 1;
    }
    this.#countSent(item, copies);
  }

  #isSeen(item: GossipItem, nowMs: number): boolean {
    const seenAt = item.seenAt(this.place);
    return seenAt !== 0 && nowMs - seenAt < this.#params.seenTtlMs;
  }

  #markSeen(item: GossipItem, state: number, hop: number, nowMs: number): void {
    item.see(this.place, Math.floor(nowMs) + 1, state, hop); // 0 is never
    item.lastNewMs = nowMs;
    this.#history[0]!.push(item);
  }

  // Messages.

  #publish(item: GossipItem, nowMs: number): number {
    if (this.#isSeen(item, nowMs)) return 0; // gossipsub publishes nothing twice
    this.#markSeen(item, VALID, 0, nowMs);
    this.#kindCounts[item.topic]!.published += 1;
    const params = this.#params;
    const mesh = this.#mesh[item.topic]!;
    let recipients: readonly P[] = mesh;
    if (params.floodPublish) {
      recipients = this.#subscribers();
    } else if (mesh.length < params.D) {
      const others = this.#subscribers().filter((peer) => !peer.isInMesh(item.topic));
      recipients = [...mesh, ...shuffle(others, this.#rng).slice(0, params.D - mesh.length)];
    }
    for (const peer of recipients) this.#sendItem(peer, item);
    return recipients.length;
  }

  #receiveItem(from: P, item: GossipItem): boolean {
    const counts = this.#kindCounts[item.topic]!;
    const nowMs = this.#clock.monotonicMs();
    counts.received += 1;
    if (this.#isSeen(item, nowMs)) {
      counts.duplicates += 1;
      if (item.state(this.place) === PENDING) {
        const pending = this.#pending.find((each) => each.item === item);
        if (pending !== undefined) pending.sources = [...(pending.sources ?? []), from];
      }
      return false;
    }
    counts.first += 1;
    const hop = item.hop(from.place) + 1;
    this.#markSeen(item, PENDING, hop, nowMs);
    this.#port.onNew(item, from, hop);
    const isTaken = this.#hasRoomFor(from, item);
    if (isTaken) this.#take(from, item, nowMs);
    else if (item.kind === 'tx') item.setState(this.place, GONE);
    else item.forget(this.place);
    // Of what was forgotten, copies are wanted.
    if (item.data.byteLength >= this.#params.idontwantMinBytes && this.#isSeen(item, nowMs)) {
      const only = [item];
      for (const peer of this.#mesh[item.topic]!) if (peer !== from) this.#control(peer, IDONTWANT, NO_TOPICS, only);
    }
    return isTaken;
  }

  #take(from: P, item: GossipItem, nowMs: number): void {
    this.#count(from, item, 1);
    const message = new PendingMessage(this, item, from, nowMs);
    this.#pending.push(message);
    this.#port.onMessage(message);
  }

  #hasRoomFor(from: P, item: GossipItem): boolean {
    const params = this.#params;
    if (item.kind === 'block') return from.unsettledBlocks < params.maxUnsettledBlocksPerPeer;
    if (item.kind !== 'tx') return from.unsettledVotes < params.maxUnsettledPerPeer;
    return from.unsettledTxs < params.maxUnsettledPerPeer && this.#unsettledTxs < params.maxUnsettled;
  }

  #count(from: P, { kind }: GossipItem, change: 1 | -1): void {
    if (kind === 'block') from.unsettledBlocks += change;
    else if (kind !== 'tx') from.unsettledVotes += change;
    else {
      from.unsettledTxs += change;
      this.#unsettledTxs += change;
    }
  }

  #sendItem(peer: P, item: GossipItem): void {
    this.#countSent(item, 1);
    this.#port.send(peer, item, bytesOf(item));
  }

  #countSent(item: GossipItem, copies: number): void {
    const counts = this.#kindCounts[item.topic]!;
    counts.sent += copies;
    counts.payloadBytes += copies * item.data.byteLength;
    counts.wireBytes += copies * bytesOf(item);
  }

  #release(pending: PendingMessage<P>): void {
    pending.isPending = false;
    const at = this.#pending.indexOf(pending);
    if (at !== -1) this.#pending.splice(at, 1);
    this.#count(pending.sender, pending.item, -1);
  }

  #expirePending(nowMs: number): void {
    const expiredMs = nowMs - this.#params.messageTtlMs;
    for (let first = this.#pending[0]; first !== undefined && first.sinceMs <= expiredMs; first = this.#pending[0]) {
      this.#release(first);
      first.item.setState(this.place, GONE);
    }
  }

  #shift(): void {
    const history = this.#history;
    const oldest = history.pop()!;
    for (const item of oldest) {
      if (item.state(this.place) === VALID) item.setState(this.place, GONE);
    }
    oldest.length = 0;
    history.unshift(oldest);
  }

  #hasSubscriber(): boolean {
    return this.#peers.some((peer) => peer.isSubscribed);
  }

  #subscribers(): P[] {
    return this.#peers.filter((peer) => peer.isSubscribed);
  }

  #flushQueued(nowMs: number): void {
    if (this.#queued.length === 0 || !this.#hasSubscriber()) return;
    for (const { item } of this.#queued.splice(0)) this.#publish(item, nowMs);
  }

  // Control messages.

  #control(peer: P, tag: ControlTag, topics: readonly number[], items: readonly GossipItem[]): void {
    const counts = this.#counts;
    const bytes = CONTROL_FRAMING_BYTES + topics.length * (TOPIC_BYTES + 4) + items.length * ID_BYTES;
    counts.control[CONTROL_NAMES[tag]!] += 1;
    counts.controlBytes += bytes;
    this.#port.send(peer, new Control(tag, topics, items), bytes);
  }

  #onSubscribe(from: P): void {
    from.isSubscribed = true;
    if (this.#params.graftOnSubscribe) {
      const now = this.#clock.monotonicMs();
      const grafted: number[] = [];
      for (const topic of ALL_TOPIC_INDICES) {
        const mesh = this.#mesh[topic]!;
        if (mesh.length >= this.#params.Dlo || from.isInMesh(topic)) continue;
        if (from.backoffUntilMs[topic] !== 0 || this.#isBelow(0, from, now)) continue;
        this.#addToMesh(from, topic, now);
        grafted.push(topic);
      }
      if (grafted.length > 0) this.#control(from, GRAFT, grafted, NO_ITEMS);
    }
    this.#flushQueued(this.#clock.monotonicMs());
  }

  #onGraft(from: P, topics: readonly number[]): void {
    const params = this.#params;
    const now = this.#clock.monotonicMs();
    const pruned: number[] = [];
    for (const topic of topics) {
      if (from.isInMesh(topic)) continue;
      const isBackedOff = now < from.backoffUntilMs[topic]!;
      const isFull = this.#mesh[topic]!.length >= params.Dmax && !from.isOutbound;
      if (isBackedOff || isFull || this.#isBelow(0, from, now)) {
        this.#backOff(from, topic, now);
        pruned.push(topic);
      } else {
        this.#addToMesh(from, topic, now);
      }
    }
    if (pruned.length > 0) this.#control(from, PRUNE, pruned, NO_ITEMS);
  }

  #onPrune(from: P, topics: readonly number[]): void {
    const now = this.#clock.monotonicMs();
    for (const topic of topics) {
      this.#removeFromMesh(from, topic);
      this.#backOff(from, topic, now);
    }
  }

  #onIhave(from: P, items: readonly GossipItem[]): void {
    const now = this.#clock.monotonicMs();
    from.ihaves += 1;
    if (from.ihaves > MAX_IHAVES_PER_HEARTBEAT || this.#isBelow(GOSSIP_THRESHOLD, from, now)) return;
    let wanted: GossipItem[] | undefined;
    for (const item of items) {
      if (this.#isSeen(item, now)) continue;
      wanted ??= [];
      wanted.push(item);
    }
    if (wanted === undefined) return;
    if (wanted.length + from.asked > MAX_IHAVE_IDS) {
      wanted = shuffle(wanted, this.#rng).slice(0, MAX_IHAVE_IDS - from.asked);
    }
    from.asked += wanted.length;
    if (wanted.length > 0) this.#control(from, IWANT, NO_TOPICS, wanted);
  }

  #onIwant(from: P, items: readonly GossipItem[]): void {
    if (this.#isBelow(GOSSIP_THRESHOLD, from, this.#clock.monotonicMs())) return;
    for (const item of items) {
      if (item.state(this.place) !== VALID) continue; // only what was accepted, as `sendOnlySettled`
      if (from.idontwant?.has(item) === true) continue;
      this.#kindCounts[item.topic]!.iwantSent += 1;
      this.#sendItem(from, item);
    }
  }

  #onIdontwant(from: P, items: readonly GossipItem[]): void {
    from.idontwant ??= new Map();
    for (const item of items) {
      if (from.idontwants >= MAX_IDONTWANT_IDS) return;
      from.idontwants += 1;
      from.idontwant.delete(item); // so that the map stays in order of ticks
      from.idontwant.set(item, this.#ticks);
    }
  }

  // The mesh.

  #isBelow(threshold: number, peer: P, nowMs: number): boolean {
    return this.#port.hasPenalties && this.#score(peer, nowMs) < threshold;
  }

  #score(peer: P, nowMs: number): number {
    const points = this.#port.penaltyPoints(peer.peer);
    let score = -POINTS_WEIGHT * Math.max(0, points - TOLERATED_POINTS);
    for (const topic of ALL_TOPIC_INDICES) {
      if (!peer.isInMesh(topic)) continue;
      const seconds = Math.floor((nowMs - peer.meshSinceMs[topic]!) / 1000);
      score += MESH_SECONDS_WEIGHT * Math.min(MESH_SECONDS_CAP, seconds);
    }
    return score;
  }

  #addToMesh(peer: P, topic: number, nowMs: number): void {
    peer.meshTopics |= 1 << topic;
    peer.meshSinceMs[topic] = nowMs;
    this.#mesh[topic]!.push(peer);
  }

  #removeFromMesh(peer: P, topic: number): void {
    if (!peer.isInMesh(topic)) return;
    peer.meshTopics &= ~(1 << topic);
    const mesh = this.#mesh[topic]!;
    mesh.splice(mesh.indexOf(peer), 1);
  }

  #backOff(peer: P, topic: number, nowMs: number): void {
    peer.backoffUntilMs[topic] = Math.max(peer.backoffUntilMs[topic]!, nowMs + this.#params.pruneBackoffMs);
  }

  #clearBackoffs(nowMs: number): void {
    const slackMs = this.#params.heartbeatIntervalMs;
    for (const backoff of this.#backoffs.values()) {
      for (const topic of ALL_TOPIC_INDICES) if (backoff[topic]! + slackMs < nowMs) backoff[topic] = 0;
    }
  }

  /** There is nothing to do for it at a heartbeat, as nearly always. */
  #isMeshInOrder(topic: number): boolean {
    const { Dlo, Dhi, Dout } = this.#params;
    const mesh = this.#mesh[topic]!;
    if (mesh.length < Dlo || mesh.length > Dhi || this.#port.hasPenalties) return false;
    let outbound = 0;
    for (const peer of mesh) {
      if (peer.isOutbound) outbound += 1;
      if (outbound >= Dout) return true;
    }
    return outbound >= Dout;
  }

  #keepMesh(topic: number, nowMs: number, { grafts, prunes }: MeshChanges<P>): void {
    const { D, Dlo, Dhi, Dout } = this.#params;
    const mesh = this.#mesh[topic]!;
    const prune = (peer: P): void => {
      this.#backOff(peer, topic, nowMs);
      this.#removeFromMesh(peer, topic);
      pushTo(prunes, peer, topic);
    };
    const graft = (peer: P): void => {
      this.#addToMesh(peer, topic, nowMs);
      pushTo(grafts, peer, topic);
    };
    if (this.#port.hasPenalties) for (const peer of [...mesh]) if (this.#score(peer, nowMs) < 0) prune(peer);

    let candidates: P[] | undefined;
    const candidatesNow = (): P[] => {
      candidates ??= shuffle(
        this.#peers.filter(
          (peer) =>
            peer.isSubscribed &&
            !peer.isInMesh(topic) &&
            peer.backoffUntilMs[topic] === 0 &&
            !this.#isBelow(0, peer, nowMs),
        ),
        this.#rng,
      );
      return candidates;
    };
    if (mesh.length < Dlo) for (const peer of candidatesNow().splice(0, D - mesh.length)) graft(peer);
    if (mesh.length > Dhi) for (const peer of this.#excess(mesh, nowMs)) prune(peer);
    if (mesh.length >= Dlo) {
      const outbound = mesh.reduce((count, peer) => (peer.isOutbound ? count + 1 : count), 0);
      if (outbound < Dout) {
        const found = candidatesNow().filter((peer) => peer.isOutbound);
        for (const peer of found.slice(0, Dout - outbound)) graft(peer);
      }
    }
  }

  /** Whom to prune: Dscore are kept by score, the others up to D at random, Dout of them ones we dialled. */
  #excess(mesh: readonly P[], nowMs: number): P[] {
    const { D, Dscore, Dout } = this.#params;
    const byScore = mesh
      .map((peer) => ({ peer, score: this.#score(peer, nowMs) }))
      .sort((a, b) => b.score - a.score)
      .map(({ peer }) => peer);
    const ordered = [...byScore.slice(0, Dscore), ...shuffle(byScore.slice(Dscore), this.#rng)];
    const outbound = ordered.slice(0, D).filter(({ isOutbound }) => isOutbound).length;
    if (outbound < Dout) {
      // Gossipsub moves D − outbound of them, not Dout − outbound, to the front: so do we.
      const kept = ordered.slice(0, D).filter(({ isOutbound }) => isOutbound);
      const moved = ordered.slice(D).filter(({ isOutbound }) => isOutbound);
      const first = [...moved.slice(0, D - outbound).reverse(), ...kept];
      return [...first, ...ordered.filter((peer) => !first.includes(peer))].slice(D);
    }
    return ordered.slice(D);
  }

  // Lazy gossip.

  #emitGossip(): void {
    const { mcacheGossip, Dlazy, gossipFactor, namesOnce } = this.#params;
    const items: (GossipItem[] | undefined)[] = [];
    for (let at = 0; at < mcacheGossip; at++) {
      for (const item of this.#history[at]!) {
        if (item.state(this.place) !== VALID) continue;
        const ofTopic = items[item.topic];
        if (ofTopic === undefined) items[item.topic] = [item];
        else ofTopic.push(item);
      }
    }
    const before = this.#named;
    if (namesOnce) this.#named = items[TX] === undefined ? NOTHING : new Set(items[TX]);
    const receivers: P[] = [];
    for (const topic of ALL_TOPIC_INDICES) {
      const all = items[topic];
      if (all === undefined) continue;
      const fresh = topic !== TX || before.size === 0 ? all : all.filter((item) => !before.has(item));
      const candidates: P[] = [];
      const now = this.#clock.monotonicMs();
      for (const peer of this.#peers) {
        if (!peer.isSubscribed || peer.isInMesh(topic)) continue;
        if (!this.#isBelow(GOSSIP_THRESHOLD, peer, now)) candidates.push(peer);
      }
      const target = Math.floor(Math.max(Dlazy, gossipFactor * candidates.length));
      const chosen = target >= candidates.length ? candidates : pick(candidates, target, this.#rng);
      for (const peer of chosen) {
        const named = peer.txGossipTick === this.#ticks - 1 ? fresh : all;
        if (topic === TX) peer.txGossipTick = this.#ticks;
        if (named.length === 0) continue;
        if (peer.gossipItems === undefined) {
          peer.gossipItems = named;
          receivers.push(peer);
        } else {
          peer.gossipItems = [...peer.gossipItems, ...named];
        }
        peer.gossipTopics += 1;
      }
    }
    for (const peer of receivers) {
      const named = peer.gossipItems!;
      const some = named.length > MAX_IHAVE_IDS ? named.slice(0, MAX_IHAVE_IDS) : named;
      this.#control(peer, IHAVE, FIRST_TOPICS[peer.gossipTopics]!, some);
      peer.gossipItems = undefined;
      peer.gossipTopics = 0;
    }
  }
}

const NOTHING: ReadonlySet<GossipItem> = new Set();
const NO_ITEMS: readonly GossipItem[] = [];
const NO_TOPICS: readonly number[] = [];
const CONTROL_NAMES = ['subscribe', 'subscribe', 'graft', 'prune', 'ihave', 'iwant', 'idontwant'] as const;

function pushTo<K>(map: Map<K, number[]>, key: K, value: number): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** `count` of them at random, by the first steps of a Fisher–Yates shuffle; reorders `items`. */
function pick<T>(items: T[], count: number, rng: SeededRng): T[] {
  for (let at = 0; at < count; at++) {
    const other = at + Math.floor(rng.unit() * (items.length - at));
    const item = items[at]!;
    items[at] = items[other]!;
    items[other] = item;
  }
  items.length = count;
  return items;
}

/** On the wire: data, topic and framing. */
function bytesOf(item: GossipItem): number {
  return item.data.byteLength + TOPIC_BYTES + MESSAGE_FRAMING_BYTES;
}

/** A message that awaits its verdict. */
class PendingMessage<P extends GossipPeer> implements GossipMessage {
  readonly item: GossipItem;
  readonly sender: P;
  readonly sinceMs: number;
  /** Who sent it too, while it waited. */
  sources: P[] | undefined;
  /** False once it is settled, or has waited too long. */
  isPending = true;
  readonly #router: GossipRouter<P>;
  #isSettled = false;

  constructor(router: GossipRouter<P>, item: GossipItem, sender: P, sinceMs: number) {
    this.#router = router;
    this.item = item;
    this.sender = sender;
    this.sinceMs = sinceMs;
  }

  get kind(): TopicKind {
    return this.item.kind;
  }

  get from(): PeerKey {
    return this.sender.peer;
  }

  get data(): Uint8Array {
    return this.item.data;
  }

  settle(outcome: GossipOutcome): void {
    if (this.#isSettled) throw new Error(`${this.kind} message ${this.item.id} settled twice`);
    this.#isSettled = true;
    this.#router.settled(this, outcome);
  }
}
