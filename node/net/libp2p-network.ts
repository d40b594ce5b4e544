import type { Connection, IdentifyResult, PeerId, PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import type { Registry } from 'prom-client';
import type { ChainId } from '../../chain/types.ts';
import type {
  Clock,
  FrameStream,
  Logger,
  Network,
  NetworkHandlers,
  PeerKey,
  PeerView,
  PublishOutcome,
  Rng,
  StreamProtocol,
  TopicKind,
} from '../ports.ts';
import type { AddressBookOptions, AddressStore } from './address-book.ts';
import { AddressBook } from './address-book.ts';
import { Gossip } from './gossip.ts';
import type { GossipOptions } from './gossip-settings.ts';
import type { Host, HostOptions } from './host.ts';
import { createHost } from './host.ts';
import { identityOfSeed } from './identity.ts';
import { meshDegrees } from './mesh-degrees.ts';
import type { PeerScoreOptions } from './peer-score.ts';
import { PeerScore } from './peer-score.ts';
import { type SocketBytes, showSocketBytes } from './socket-bytes.ts';
import type { FrameStreamOptions } from './streams.ts';
import { createFrameStream } from './streams.ts';

export interface NetworkOptions {
  readonly host: HostOptions;
  readonly gossip: GossipOptions;
  readonly addressBook: AddressBookOptions;
  readonly peerScore: PeerScoreOptions;
  readonly stream: FrameStreamOptions;
  /** Opening a stream takes at most this. */
  readonly openMs: number;
  /** `stop` returns after this even where libp2p does not. */
  readonly stopMs: number;
}

/** For nets of strangers. */
export const PUBLIC_NETWORK: NetworkOptions = {
  host: {
    maxConnections: 128,
    inboundConnectionThreshold: 20,
    maxIncomingPendingConnections: 64,
    dialTimeoutMs: 3_000,
    negotiationTimeoutMs: 3_000,
    pingIntervalMs: 10_000,
    pingTimeoutMs: 10_000,
    maxStreamWindowBytes: 1024 * 1024,
    maxReadBufferBytes: 4 * 1024 * 1024,
    maxWriteBufferBytes: 4 * 1024 * 1024,
    maxConnectionWriteBufferBytes: 8 * 1024 * 1024,
    maxStreamsPerConnection: 128,
  },
  gossip: {
    ...meshDegrees(4),
    closedNet: [],
    Dlazy: 3,
    floodPublish: true,
    heartbeatIntervalMs: 700,
    messageTtlMs: 10_000,
    maxUnsettledPerPeer: 1_024,
    maxUnsettled: 8_192,
    maxUnsettledBlocksPerPeer: 32,
    maxQueued: 1_024,
    maxQueuedBytes: 8 * 1024 * 1024,
    pruneBackoffMs: 30_000,
    unsubscribeBackoffMs: 5_000,
    maxOutboundBufferBytes: 8 * 1024 * 1024,
    trustPrivateAddresses: false,
  },
  addressBook: {
    maxAddresses: 1_000,
    maxAddressesPerPeer: 8,
    targetConnections: 12,
    maxParallelDials: 8,
    minRedialMs: 250,
    maxRedialMs: 30_000,
    stableMs: 10_000,
    maxFailures: 100,
  },
  peerScore: { banPoints: 100, halfLifeMs: 300_000, banMs: 600_000, maxPeers: 4_096 },
  stream: { inactivityMs: 30_000, frameMs: 10_000, closeMs: 5_000 },
  openMs: 5_000,
  stopMs: 1_000,
};

/**
 * For many nodes on one machine or in one container network: all from one address, and often restarted. Mesh degrees
 * by measurement (docs/PERFORMANCE.md): with 3 a node receives each message about twice, at one in ten lost too.
 */
export const DEVNET_NETWORK: NetworkOptions = {
  ...PUBLIC_NETWORK,
  host: { ...PUBLIC_NETWORK.host, inboundConnectionThreshold: 1_000, maxIncomingPendingConnections: 256 },
  gossip: {
    ...PUBLIC_NETWORK.gossip,
    ...meshDegrees(3),
    floodPublish: false,
    heartbeatIntervalMs: 500,
    pruneBackoffMs: 5_000,
    unsubscribeBackoffMs: 1_000,
    trustPrivateAddresses: true,
  },
  addressBook: { ...PUBLIC_NETWORK.addressBook, maxRedialMs: 5_000 },
  peerScore: { ...PUBLIC_NETWORK.peerScore, banMs: 120_000 },
};

export interface NetworkDeps {
  /** Ed25519 seed, 32 bytes: the peer id. */
  readonly identitySeed: Uint8Array;
  /** Multiaddrs, e.g. `/ip4/127.0.0.1/tcp/0`. */
  readonly listen: readonly string[];
  /** What peers are told instead of the listen addresses. */
  readonly announce?: readonly string[];
  readonly bootstrap: readonly string[];
  readonly topics: { readonly chainId: ChainId };
  readonly clock: Clock;
  readonly rng: Rng;
  readonly logger: Logger;
  readonly options: NetworkOptions;
  readonly addressStore: AddressStore;
  /** A handler of the node's has thrown: the node's own bug. */
  readonly onHandlerFailure: (error: unknown) => void;
  /** The network's metrics go here; one registry serves one network. */
  readonly metricsRegistry?: Registry;
}

/** Points for a message that no honest peer could have sent: a peer is banned after 11 in quick succession. */
const REJECT_POINTS = 10;
/** A frame that made gossipsub close the stream. */
const BROKEN_STREAM_POINTS = 20;

/**
 * The `Network` port on libp2p. `self` is known at once; everything else begins with `start`.
 *
 * @throws RangeError when the seed is not 32 bytes
 */
export function createLibp2pNetwork(deps: NetworkDeps): Network {
  return new Libp2pNetwork(deps);
}

class Libp2pNetwork implements Network {
  readonly self: PeerKey;
  readonly #deps: NetworkDeps;
  readonly #privateKey: PrivateKey;
  readonly #score: PeerScore;
  readonly #gossip: Gossip;
  readonly #book: AddressBook;
  readonly #protocols = new Map<
    string,
    { protocol: StreamProtocol; handler: (stream: FrameStream) => Promise<void> }
  >();
  /** Peers we hung up on: their disconnection is not followed by a quick redial. */
  readonly #hungUp = new Set<PeerKey>();
  readonly #socketBytes: SocketBytes = { sent: 0, received: 0 };
  #host: Host<unknown> | undefined;
  #handlers: NetworkHandlers | undefined;
  #state: 'new' | 'started' | 'stopped' = 'new';

  constructor(deps: NetworkDeps) {
    this.#deps = deps;
    this.#privateKey = identityOfSeed(deps.identitySeed);
    this.self = peerIdFromPrivateKey(this.#privateKey).toString();
    this.#score = new PeerScore(deps.options.peerScore);
    this.#gossip = new Gossip({
      chainId: deps.topics.chainId,
      options: deps.options.gossip,
      clock: deps.clock,
      logger: deps.logger,
      metricsRegistry: deps.metricsRegistry,
      penaltyPoints: (peer) => this.#score.points(peer, deps.clock.monotonicMs()),
      isRefused: (peer) => this.isRefused(peer),
      onMessage: (message) => this.#handlers?.onGossip(message),
      onHandlerFailure: deps.onHandlerFailure,
      onReject: (peer, kind) => this.penalize(peer, REJECT_POINTS, `invalid ${kind}`),
      onStreamLost: (peer) => {
        this.penalize(peer, BROKEN_STREAM_POINTS, 'broken gossip stream');
        this.#disconnect(peer, 'broken gossip stream');
      },
      onGraylisted: (peer) => this.penalize(peer, deps.options.peerScore.banPoints, 'gossip score'),
      onTooMuch: (peer) => this.#disconnect(peer, 'too many messages'),
    });
    if (deps.metricsRegistry !== undefined) showSocketBytes(deps.metricsRegistry, this.#socketBytes);
    this.#book = new AddressBook({
      self: this.self,
      bootstrap: deps.bootstrap,
      store: deps.addressStore,
      clock: deps.clock,
      rng: deps.rng,
      logger: deps.logger,
      options: deps.options.addressBook,
      dial: async (addresses, signal) => {
        const connection = await this.#startedHost().dial(
          addresses.map((address) => multiaddr(address)),
          { signal },
        );
        return connection.remotePeer.toString();
      },
    });
  }

  async start(handlers: NetworkHandlers): Promise<void> {
    if (this.#state !== 'new') throw new Error(`network is ${this.#state}`);
    this.#state = 'started';
    this.#handlers = handlers;
    const host = await createHost({
      privateKey: this.#privateKey,
      listen: this.#deps.listen,
      announce: this.#deps.announce ?? [],
      options: this.#deps.options.host,
      clock: this.#deps.clock,
      isRefused: (peer) => this.isRefused(peer),
      socketBytes: this.#socketBytes,
      pubsub: this.#gossip.service,
    });
    this.#host = host;
    for (const { protocol } of this.#protocols.values()) await this.#register(protocol);
    host.addEventListener('peer:connect', this.#onConnect);
    host.addEventListener('peer:disconnect', this.#onDisconnect);
    host.addEventListener('peer:identify', this.#onIdentify);
    await host.start();
    this.#gossip.start();
    await this.#book.start();
  }

  async stop(): Promise<void> {
    if (this.#state !== 'started') return;
    this.#state = 'stopped';
    const host = this.#host;
    const { clock, options } = this.#deps;
    const stopping = (async () => {
      await this.#book.stop();
      this.#gossip.stop();
      for (const connection of host?.getConnections() ?? []) abortOpenStreams(connection, 'stopping');
      await host?.stop();
    })();
    let cancelAbort: (() => void) | undefined;
    let cancelWait: (() => void) | undefined;
    // Peers that don't answer the goodbye lose their connection first, then we stop waiting.
    const waited = new Promise<void>((resolve) => {
      cancelAbort = clock.after(options.stopMs / 2, () => {
        for (const connection of host?.getConnections() ?? []) connection.abort(new Error('stopping'));
      });
      cancelWait = clock.after(options.stopMs, resolve);
    });
    try {
      await Promise.race([stopping, waited]);
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'network did not stop cleanly');
    } finally {
      stopping.catch(() => undefined); // when it fails after we stopped waiting
      cancelAbort?.();
      cancelWait?.();
      host?.removeEventListener('peer:connect', this.#onConnect);
      host?.removeEventListener('peer:disconnect', this.#onDisconnect);
      host?.removeEventListener('peer:identify', this.#onIdentify);
      this.#handlers = undefined;
    }
  }

  addresses(): readonly string[] {
    return this.#host?.getMultiaddrs().map((address) => address.toString()) ?? [];
  }

  publish(kind: TopicKind, data: Uint8Array): Promise<PublishOutcome> {
    return this.#gossip.publish(kind, data);
  }

  peers(): readonly PeerView[] {
    const views = new Map<PeerKey, PeerView>();
    for (const connection of this.#host?.getConnections() ?? []) {
      const peer = connection.remotePeer.toString();
      if (connection.status !== 'open' || views.has(peer)) continue;
      views.set(peer, {
        peer,
        address: connection.remoteAddr.toString(),
        direction: connection.direction,
        connectedAtMs: connection.timeline.open,
        mesh: this.#gossip.meshOf(peer),
        score: this.#gossip.scoreOf(peer),
      });
    }
    return [...views.values()];
  }

  async open(peer: PeerKey, protocol: StreamProtocol, signal: AbortSignal): Promise<FrameStream> {
    signal.throwIfAborted();
    const connection = this.#connectionTo(peer);
    if (connection === undefined) throw new Error(`not connected to ${peer}`);
    // A controller of its own: libp2p would leave listeners on a signal that outlives the stream.
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const { clock, options } = this.#deps;
    const cancel = clock.after(options.openMs, () => controller.abort(new Error(`opening ${protocol.name} timed out`)));
    try {
      const stream = await connection.newStream([protocol.name], { signal: controller.signal });
      return createFrameStream(stream, peer, protocol, 'asking', clock, options.stream);
    } finally {
      cancel();
      signal.removeEventListener('abort', onAbort);
    }
  }

  handle(protocol: StreamProtocol, handler: (stream: FrameStream) => Promise<void>): void {
    if (this.#protocols.has(protocol.name)) throw new Error(`${protocol.name} has a handler`);
    this.#protocols.set(protocol.name, { protocol, handler });
    if (this.#host === undefined) return;
    this.#register(protocol).catch((error: unknown) => {
      this.#deps.logger.error({ err: error, protocol: protocol.name }, 'protocol not registered');
    });
  }

  penalize(peer: PeerKey, points: number, reason: string): void {
    if (this.isRefused(peer)) return; // for what was on its way when the ban came
    const outcome = this.#score.penalize(peer, points, this.#deps.clock.monotonicMs());
    this.#deps.logger.debug({ peer, points, reason, outcome }, 'peer penalized');
    if (outcome === 'kept') return;
    this.#deps.logger.warn({ peer, reason }, 'peer banned');
    for (const connection of this.#connectionsTo(peer)) {
      this.#hungUp.add(peer);
      connection.abort(new Error(reason)); // no goodbye: that would wait for the peer
    }
  }

  async disconnect(peer: PeerKey, reason: string): Promise<void> {
    const connections = this.#connectionsTo(peer);
    if (connections.length === 0) return;
    this.#deps.logger.debug({ peer, reason }, 'disconnecting');
    this.#hungUp.add(peer);
    for (const connection of connections) abortOpenStreams(connection, reason);
    await Promise.all(
      connections.map((connection) => connection.close().catch((error: Error) => connection.abort(error))),
    );
  }

  async connect(address: string): Promise<void> {
    await this.#book.add(address);
  }

  #startedHost(): Host<unknown> {
    if (this.#host === undefined) throw new Error('network is not started');
    return this.#host;
  }

  isRefused(peer: PeerKey): boolean {
    return this.#score.isBanned(peer, this.#deps.clock.monotonicMs());
  }

  #connectionsTo(peer: PeerKey): Connection[] {
    return this.#host?.getConnections().filter((connection) => connection.remotePeer.toString() === peer) ?? [];
  }

  #connectionTo(peer: PeerKey): Connection | undefined {
    return this.#connectionsTo(peer).find((connection) => connection.status === 'open');
  }

  #disconnect(peer: PeerKey, reason: string): void {
    this.disconnect(peer, reason).catch((error: unknown) => {
      this.#deps.logger.warn({ err: error, peer }, 'peer not disconnected');
    });
  }

  async #register(protocol: StreamProtocol): Promise<void> {
    const entry = this.#protocols.get(protocol.name)!;
    const { clock, options, logger } = this.#deps;
    await this.#startedHost().handle(
      protocol.name,
      async (stream, connection) => {
        const peer = connection.remotePeer.toString();
        const frames = createFrameStream(stream, peer, protocol, 'answering', clock, options.stream);
        try {
          await entry.handler(frames);
          await frames.close();
        } catch (error) {
          logger.debug({ err: error, peer, protocol: protocol.name }, 'stream failed');
          frames.abort(error as Error);
        }
      },
      { maxInboundStreams: protocol.maxInboundStreams },
    );
  }

  readonly #onConnect = (event: CustomEvent<PeerId>): void => {
    const peer = event.detail.toString();
    this.#hungUp.delete(peer);
    const connection = this.#connectionTo(peer);
    const dialled = connection?.direction === 'outbound' ? connection.remoteAddr.toString() : undefined;
    this.#book.onConnected(peer, dialled);
    this.#notify(() => this.#handlers?.onPeerConnected(peer));
  };

  readonly #onDisconnect = (event: CustomEvent<PeerId>): void => {
    const peer = event.detail.toString();
    this.#book.onDisconnected(peer, this.#hungUp.delete(peer));
    this.#notify(() => this.#handlers?.onPeerDisconnected(peer));
  };

  readonly #onIdentify = (event: CustomEvent<IdentifyResult>): void => {
    const { peerId, listenAddrs } = event.detail;
    this.#book.onIdentified(
      peerId.toString(),
      listenAddrs.map((address) => address.toString()),
    );
  };

  /** libp2p would swallow what a handler throws. */
  #notify(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#deps.onHandlerFailure(error);
    }
  }
}

/** Closing a connection closes its streams in good order, and a peer would take half an answer for a whole one. */
function abortOpenStreams(connection: Connection, reason: string): void {
  for (const stream of connection.streams) {
    const ours = stream.protocol.startsWith('/grapevine/');
    if (ours && stream.writeStatus === 'writable') stream.abort(new Error(reason));
  }
}
