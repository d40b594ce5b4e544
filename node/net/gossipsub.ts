/**
 * The library, and what in its inner state has to be mended. The one file that imports it.
 *
 * It answers IWANT with messages that have no verdict yet, and in random order; it names a message to the same peer again
 * and again; it refuses newcomers for good where all have a full mesh; it reads whatever a peer sends, as fast as it comes
 * and without a turn of the event loop in between; what it has handed in once it drops for two minutes, looked at or not,
 * and it tells the mesh to send no more copies of it before that; and after a stream breaks, while the connection lives, it
 * never opens another.
 */
import type {
  GossipSub,
  GossipSubComponents,
  GossipsubMessage,
  GossipsubOpts,
  TopicValidatorResult,
} from '@chainsafe/libp2p-gossipsub';
import { gossipsub } from '@chainsafe/libp2p-gossipsub';
import { MAX_BLOCK_BYTES } from '../../chain/params.ts';
import type { Clock, PeerKey } from '../ports.ts';
import { MESSAGE_ID_BYTES } from './gossip-bounds.ts';
import type { MeshDegrees } from './mesh-degrees.ts';
import { MIN_IDONTWANT_BYTES } from './message-cache.ts';

export type {
  GossipSub,
  GossipSubComponents,
  GossipsubMessage,
  GossipsubOpts,
  TopicValidatorResult,
} from '@chainsafe/libp2p-gossipsub';
export { StrictNoSign } from '@chainsafe/libp2p-gossipsub';

/** One RPC carries one message, or the answer to an IWANT, which we keep below this; see `answerInOrder`. */
export const MAX_RPC_BYTES = 2 * MAX_BLOCK_BYTES;
/** Gossipsub drops all RPCs of a peer with a lower score. */
export const GRAYLIST_SCORE = -80;
/** Heartbeats without gossip streams after which a peer that had them is disconnected. */
const LOST_AFTER_HEARTBEATS = 4;
/** Heartbeats after which a peer that never opened gossip streams is asked again. */
const RETRY_AFTER_HEARTBEATS = 8;

/** libp2p's, one object for each of a peer's streams. */
interface GossipPeerId {
  toString(): PeerKey;
}

/** What gossipsub's class has beyond its published interface, as of @libp2p/gossipsub 17. */
export interface GossipRouter extends GossipSub, MessageNamer {
  readonly peers: ReadonlyMap<PeerKey, unknown>;
  readonly mesh: ReadonlyMap<string, ReadonlySet<PeerKey>>;
  readonly score: { score(peer: PeerKey): number };
  /** Read anew at each decision; none is kept. */
  readonly opts: { -readonly [degree in keyof MeshDegrees]: number } & { Dscore: number };
  handleGraft(peer: PeerKey, graft: readonly unknown[]): Promise<unknown>;
  handleReceivedRpc(from: GossipPeerId, rpc: ReceivedRpc): Promise<void>;
  pipePeerReadStream(peer: GossipPeerId, frames: AsyncIterable<unknown>): Promise<void>;
  readonly seenCache: { readonly entries: Map<string, unknown> };
  readonly fastMsgIdCache: { readonly entries: Map<string, unknown> } | undefined;
  readonly mcache: {
    readonly msgs: ReadonlyMap<string, { readonly validated: boolean }>;
    put(id: unknown, message: object, validated?: boolean): boolean;
    getWithIWantCount(id: string, peer: PeerKey): unknown;
  };
  handleIWant(peer: PeerKey, iwant: readonly unknown[]): { readonly data?: Uint8Array }[];
  isStarted(): boolean;
  reportMessageValidationResult(id: string, source: PeerKey, outcome: TopicValidatorResult): void;
  sendIDontWants(id: Uint8Array, topic: string, source: PeerKey): void;
}

/** Messages of a topic that a peer can ask for. */
interface Ihave {
  readonly topicID: string;
  readonly messageIDs: readonly Uint8Array[];
}

/** What of an RPC is counted. */
interface ReceivedRpc {
  readonly subscriptions?: readonly unknown[];
  readonly messages: readonly unknown[];
  readonly control?: {
    readonly graft?: readonly unknown[];
    readonly prune?: readonly unknown[];
    readonly ihave?: readonly NamedMessages[];
    readonly iwant?: readonly NamedMessages[];
    readonly idontwant?: readonly NamedMessages[];
  };
}

interface NamedMessages {
  readonly messageIDs?: readonly Uint8Array[];
}

export interface CreateGossipsubOptions {
  readonly settings: Partial<GossipsubOpts>;
  /** Mesh peers with which a GRAFT is refused. */
  readonly Dmax: number;
  /** Topics whose messages a peer that has been told of them knows for good. */
  readonly isNamedOnce: (topic: string) => boolean;
  readonly clock: Pick<Clock, 'after'>;
  /** An RPC came, of so much; false: it is not to be looked at, and nothing after it. */
  readonly mayReceive: (peer: PeerKey, units: number) => boolean;
}

/** @throws Error when gossipsub is not as this file knows it */
export function createGossipsub(options: CreateGossipsubOptions, components: GossipSubComponents): GossipRouter {
  const router = gossipsub(options.settings)(components) as GossipRouter;
  sendOnlySettled(router);
  answerInOrder(router);
  nameOnce(router, options.isNamedOnce);
  takeInUpTo(router, options.Dmax);
  readInTurns(router, options);
  if (!(router.seenCache?.entries instanceof Map) || !(router.fastMsgIdCache?.entries instanceof Map)) {
    throw new Error('this version of gossipsub has other caches of what it has seen');
  }
  if (typeof router.sendIDontWants !== 'function') throw new Error('this version of gossipsub has no IDONTWANT');
  return router;
}

/**
 * Tells the mesh, but for who sent it, to send no copies of the message. Gossipsub would say so before anybody knows
 * whether there is room for it, and where there is none nobody would send it any more; hence it is told never to.
 */
export function wantNoCopies(router: GossipRouter, { msg, msgId, propagationSource }: GossipsubMessage): void {
  if (msg.data.byteLength < MIN_IDONTWANT_BYTES) return;
  router.sendIDontWants(Buffer.from(msgId, 'hex'), msg.topic, propagationSource.toString());
}

/** Another copy of the message counts as new. Its id by `fastMsgIdFn` and by `msgIdFn` are the same with us. */
export function forgetSeen(router: GossipRouter, id: string): void {
  router.seenCache.entries.delete(id);
  router.fastMsgIdCache?.entries.delete(id);
}

/** RPCs of one peer that are looked at in one turn of the event loop: some of them hold thousands of messages. */
const RPCS_PER_TURN = 32;
/** An honest peer sends none without anything in it, none that does not decode, and names no message in other lengths. */
const IDLE_RPC_UNITS = 10;
/** Ids named in IHAVE, IWANT or IDONTWANT that cost as much as a message. */
const IDS_PER_UNIT = 16;

/**
 * Gossipsub looks at all RPCs that have come in one chunk, one after the other, and each costs the same few microseconds
 * where it is a single byte; what does not decode it forgets, and ids it keeps in whatever length they come. Here the others
 * have their turn in between, each RPC and each part of it is counted, one with ids that nothing can have is not looked at,
 * and nothing more is read of a peer that may send no more or has gone.
 */
function readInTurns(router: GossipRouter, { clock, mayReceive }: CreateGossipsubOptions): void {
  if (typeof router.pipePeerReadStream !== 'function' || typeof router.handleReceivedRpc !== 'function') {
    throw new Error('this version of gossipsub reads its streams in another way');
  }
  const ended = new WeakSet<object>();
  /** Of whom the frame that was read last has decoded. */
  const decoded = new WeakSet<object>();
  const count = (peer: GossipPeerId, units: number): boolean => {
    const isRead = mayReceive(peer.toString(), units);
    if (!isRead) ended.add(peer);
    return isRead;
  };
  const read = router.pipePeerReadStream.bind(router);
  router.pipePeerReadStream = (peer, frames) => read(peer, inTurns(peer, frames));
  const handle = router.handleReceivedRpc.bind(router);
  router.handleReceivedRpc = async (from, rpc) => {
    decoded.add(from);
    const parts = partsOf(rpc);
    if (count(from, parts === 0 ? IDLE_RPC_UNITS : 1 + parts) && parts > 0) await handle(from, rpc);
  };
  async function* inTurns<T>(peer: GossipPeerId, frames: AsyncIterable<T>): AsyncGenerator<T> {
    let read = 0;
    for await (const frame of frames) {
      decoded.delete(peer);
      yield frame; // comes back when gossipsub is done with it
      if (!decoded.has(peer)) count(peer, IDLE_RPC_UNITS);
      if (ended.has(peer) || !router.peers.has(peer.toString())) return;
      if (++read % RPCS_PER_TURN === 0) await new Promise<void>((resolve) => clock.after(0, resolve));
    }
  }
}

/** What of an RPC there is to look at, in units of a message; 0: nothing, or an id of another length than ids have. */
export function partsOf({ messages, subscriptions = [], control = {} }: ReceivedRpc): number {
  const { graft = [], prune = [], ihave = [], iwant = [], idontwant = [] } = control;
  const named = [...ihave, ...iwant, ...idontwant];
  let ids = 0;
  for (const { messageIDs = [] } of named) {
    if (messageIDs.some((id) => id.length !== MESSAGE_ID_BYTES)) return 0;
    ids += messageIDs.length;
  }
  return messages.length + subscriptions.length + graft.length + prune.length + named.length + ids / IDS_PER_UNIT;
}

/**
 * Gossipsub answers IWANT from its cache whether or not the message has its verdict. Here: only with what was accepted.
 *
 * @throws Error when gossipsub's cache is not as this file knows it
 */
function sendOnlySettled({ mcache }: GossipRouter): void {
  if (typeof mcache?.getWithIWantCount !== 'function' || !(mcache.msgs instanceof Map)) {
    throw new Error('this version of gossipsub has another message cache');
  }
  const original = mcache.getWithIWantCount.bind(mcache);
  mcache.getWithIWantCount = (id, peer) => (mcache.msgs.get(id)?.validated === true ? original(id, peer) : null);
}

/**
 * Gossipsub shuffles the ids of IHAVE and of IWANT. A sender's transactions that arrive in another order than they were
 * sent in have gaps in their nonces; a peer parks few of those, and has the rest with their block only (TX-10). Here an
 * IWANT is answered in the order in which the messages came, and with the first `MAX_RPC_BYTES` of them, which the peer
 * accepts: gossipsub puts all into one RPC however large.
 *
 * @throws Error when gossipsub is not as this file knows it
 */
function answerInOrder(router: GossipRouter): void {
  const cache = router.mcache;
  if (typeof cache?.put !== 'function' || typeof router.handleIWant !== 'function') {
    throw new Error('this version of gossipsub answers IWANT in another way');
  }
  const arrivals = new WeakMap<object, number>();
  let arrived = 0;
  const put = cache.put.bind(cache);
  cache.put = (id, message, validated) => {
    const isNew = put(id, message, validated);
    if (isNew) arrivals.set(message, arrived++);
    return isNew;
  };
  const answer = router.handleIWant.bind(router);
  router.handleIWant = (peer, iwant) => {
    const messages = answer(peer, iwant).sort((a, b) => (arrivals.get(a) ?? arrived) - (arrivals.get(b) ?? arrived));
    let bytes = 0;
    const tooMuch = messages.findIndex(({ data }, at) => {
      bytes += data?.byteLength ?? 0;
      return at > 0 && bytes > MAX_RPC_BYTES;
    });
    return tooMuch < 0 ? messages : messages.slice(0, tooMuch);
  };
}

/** What of gossipsub names messages to peers outside the mesh. */
export interface MessageNamer {
  readonly streamsOutbound: ReadonlyMap<PeerKey, object>;
  pushGossip(peer: PeerKey, ihave: Ihave): void;
}

/**
 * Gossipsub names a message by IHAVE at each heartbeat of its window, 22 bytes each time, also to a peer to which it named
 * it before: in a small net, where all who are not in the mesh hear IHAVE, to each of them twice. Streams lose nothing, so
 * that once is enough where a peer that has been told knows for good: a block or a vote for which it has no room it
 * forgets, and wants it again. The window is for those who were not chosen, and for what had its verdict late.
 *
 * @param isNamedOnce whether a topic's messages are named once
 * @throws Error when gossipsub is not as this file knows it
 */
export function nameOnce(router: MessageNamer, isNamedOnce: (topic: string) => boolean): void {
  if (typeof router.pushGossip !== 'function' || !(router.streamsOutbound instanceof Map)) {
    throw new Error('this version of gossipsub names messages in another way');
  }
  /** By the stream that it went over; the cache has one object for each message's id. */
  const named = new WeakMap<object, WeakSet<Uint8Array>>();
  const push = router.pushGossip.bind(router);
  router.pushGossip = (peer, ihave) => {
    const stream = router.streamsOutbound.get(peer);
    if (stream === undefined || !isNamedOnce(ihave.topicID)) {
      push(peer, ihave);
      return;
    }
    const before = named.get(stream) ?? new WeakSet();
    named.set(stream, before);
    const messageIDs = ihave.messageIDs.filter((id) => !before.has(id));
    for (const id of messageIDs) before.add(id);
    if (messageIDs.length > 0) push(peer, { topicID: ihave.topicID, messageIDs });
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

/**
 * Gossipsub makes a peer's streams once, when it connects. Where its outbound one has gone (full buffer, restart that
 * overlapped), gossipsub is told again that the peer connected. Where the peer itself has gone from the router while the
 * connection lives, the other end does not know: the connection has to go.
 */
export class StreamRepair {
  readonly #gossipsub: { readonly router: GossipRouter; readonly components: GossipSubComponents };
  readonly #on: { streamLost(peer: PeerKey): void; graylisted(peer: PeerKey): void };
  /** Connected peer → heartbeats without gossip streams. Rebuilt at each heartbeat from the connections. */
  #missing = new Map<PeerKey, { readonly heartbeats: number; readonly wasThere: boolean }>();

  /**
   * @param on `streamLost`: the peer's stream has gone, and gossipsub would not open another by itself; `graylisted`:
   *   gossipsub's score for the peer fell so low that it listens to nothing from it
   */
  constructor(
    gossipsub: { readonly router: GossipRouter; readonly components: GossipSubComponents },
    on: { streamLost(peer: PeerKey): void; graylisted(peer: PeerKey): void },
  ) {
    this.#gossipsub = gossipsub;
    this.#on = on;
  }

  onHeartbeat(): void {
    const { router, components } = this.#gossipsub;
    const before = this.#missing;
    this.#missing = new Map();
    for (const connection of components.connectionManager.getConnections()) {
      const peer = connection.remotePeer.toString();
      if (connection.status !== 'open' || this.#missing.has(peer)) continue;
      if (router.score.score(peer) < GRAYLIST_SCORE) this.#on.graylisted(peer);
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
        if (heartbeats === LOST_AFTER_HEARTBEATS) this.#on.streamLost(peer);
        continue;
      }
      // 1, 2, 4, 8 … heartbeats apart: a peer that does not speak gossipsub is left alone soon.
      const due = (heartbeats & (heartbeats - 1)) === 0 && (present || heartbeats >= RETRY_AFTER_HEARTBEATS);
      if (!due) continue;
      for (const topology of components.registrar.getTopologies(router.protocols[0]!)) {
        topology.onConnect?.(connection.remotePeer, connection);
      }
    }
  }
}
