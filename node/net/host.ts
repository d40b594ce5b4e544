/** The libp2p host: transports, encryption, multiplexing and the limits that keep strangers from filling it. */
import type { Identify } from '@libp2p/identify';
import { identify } from '@libp2p/identify';
import type { Libp2p, PrivateKey } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import type { Libp2pOptions } from 'libp2p';
import { createLibp2p } from 'libp2p';
import type { Clock, PeerKey } from '../ports.ts';
import { noiseEncryption } from './encryption.ts';
import { probedYamux } from './probed-muxer.ts';
import type { SocketBytes } from './socket-bytes.ts';

export interface HostOptions {
  readonly maxConnections: number;
  /** New connections per second from one IP address; libp2p's default of 5 resets the dials of a devnet on one host. */
  readonly inboundConnectionThreshold: number;
  /** Connections not yet upgraded; libp2p's default is 10. */
  readonly maxIncomingPendingConnections: number;
  readonly dialTimeoutMs: number;
  /** Gossipsub opens its streams one after another: a peer that negotiates slowly holds up all others this long. */
  readonly negotiationTimeoutMs: number;
  /** How often a connection is probed; one that does not answer is closed: a pulled cable sends no reset. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** yamux grows the window of a fast stream up to this; must stay below `maxReadBufferBytes`. */
  readonly maxStreamWindowBytes: number;
  /** A paused stream takes in a full window: beyond this it is reset. */
  readonly maxReadBufferBytes: number;
  /** yamux's default is unbounded: a stream whose peer does not read is reset beyond this. */
  readonly maxWriteBufferBytes: number;
  /** Of a connection, all its streams and the muxer itself: beyond this it is closed. */
  readonly maxConnectionWriteBufferBytes: number;
  /** Streams of all protocols open at once on one connection, each way. */
  readonly maxStreamsPerConnection: number;
}

export interface HostInit<Pubsub> {
  readonly privateKey: PrivateKey;
  readonly listen: readonly string[];
  /** Replaces the listen addresses in what peers are told; empty: the listen addresses. */
  readonly announce: readonly string[];
  readonly options: HostOptions;
  readonly clock: Clock;
  readonly isRefused: (peer: PeerKey) => boolean;
  /** Is counted up. */
  readonly socketBytes: SocketBytes;
  readonly pubsub: NonNullable<Libp2pOptions<{ pubsub: Pubsub }>['services']>['pubsub'];
}

export type Host<Pubsub> = Libp2p<{ identify: Identify; pubsub: Pubsub }>;

/** A host that is not started: handlers are registered before the first peer can see which protocols there are. */
export function createHost<Pubsub>(init: HostInit<Pubsub>): Promise<Host<Pubsub>> {
  const { options } = init;
  return createLibp2p<{ identify: Identify; pubsub: Pubsub }>({
    start: false,
    privateKey: init.privateKey,
    nodeInfo: { userAgent: 'grapevine' },
    addresses: { listen: [...init.listen], announce: [...init.announce] },
    transports: [
      tcp({ maxConnections: options.maxConnections, dialOpts: { noDelay: true }, listenOpts: { noDelay: true } }),
    ],
    connectionEncrypters: [noiseEncryption(init.socketBytes, options.maxConnectionWriteBufferBytes)],
    streamMuxers: [
      probedYamux(
        {
          maxInboundStreams: options.maxStreamsPerConnection,
          maxOutboundStreams: options.maxStreamsPerConnection,
          streamOptions: {
            maxStreamWindowSize: options.maxStreamWindowBytes,
            maxReadBufferLength: options.maxReadBufferBytes,
            maxWriteBufferLength: options.maxWriteBufferBytes,
          },
        },
        init.clock,
        { intervalMs: options.pingIntervalMs, timeoutMs: options.pingTimeoutMs },
      ),
    ],
    connectionManager: {
      maxConnections: options.maxConnections,
      inboundConnectionThreshold: options.inboundConnectionThreshold,
      maxIncomingPendingConnections: options.maxIncomingPendingConnections,
      dialTimeout: options.dialTimeoutMs,
      addressDialTimeout: options.dialTimeoutMs,
      outboundStreamProtocolNegotiationTimeout: options.negotiationTimeoutMs,
      inboundStreamProtocolNegotiationTimeout: options.negotiationTimeoutMs,
      reconnectRetries: 0, // the address book redials
    },
    connectionMonitor: { enabled: false }, // see probed-muxer.ts
    connectionGater: {
      denyDialPeer: (peer) => init.isRefused(peer.toString()),
      denyDialMultiaddr: () => false, // devnets dial private addresses
      denyInboundEncryptedConnection: (peer) => init.isRefused(peer.toString()),
      denyOutboundEncryptedConnection: (peer) => init.isRefused(peer.toString()),
    },
    services: { identify: identify(), pubsub: init.pubsub },
  });
}
