/**
 * What a composed node needs of the world. Production adapters are in `node/adapters.ts`, `node/net/` and `node/store/`;
 * the simulation brings others. No service touches a timer, a socket, a disk or randomness by another way; what a process
 * does before there is a node may (`identity-file.ts`, `make-directory.ts`).
 */
import type { HeaderBody } from '../chain/types.ts';
import type { SignatureParts } from '../crypto/signature.ts';

/** Milliseconds. `nowMs` is wall-clock time, `monotonicMs` never runs backwards and has no meaningful origin. */
export interface Clock {
  nowMs(): number;
  monotonicMs(): number;
  /** Calls `fn` once after `delayMs`; the disposer cancels. */
  after(delayMs: number, fn: () => void): () => void;
  /** Resolves after `delayMs`; rejects with the signal's reason when aborted. */
  sleep(delayMs: number, signal: AbortSignal): Promise<void>;
}

export interface Rng {
  /** Uniform in [0, 1). Not for keys. */
  unit(): number;
  /** Cryptographically strong in production, seeded in simulation. */
  bytes(length: number): Uint8Array;
}

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(bindings: object): Logger;
}

/** A peer, by its libp2p peer id in text form. */
export type PeerKey = string;

/** What travels by gossip. Whatever has something for each kind is a table over it, so that a new one is not forgotten. */
export const TOPIC_KINDS = ['tx', 'block', 'vote', 'evidence'] as const;
export type TopicKind = (typeof TOPIC_KINDS)[number];

/** A gossip message awaiting its verdict. The network forwards nothing before `settle` is called. */
export interface GossipMessage {
  readonly kind: TopicKind;
  readonly from: PeerKey;
  readonly data: Uint8Array;
  /** Called exactly once. */
  settle(outcome: GossipOutcome): void;
}

/**
 * `accept` forwards, `ignore` does not, `reject` also counts against the sender. `unread`: there was no room to look at it;
 * another peer's copy is taken as if this one had not come, or a peer that is first could silence anybody.
 */
export type GossipOutcome = 'accept' | 'ignore' | 'reject' | 'unread';

export interface PeerView {
  readonly peer: PeerKey;
  readonly address: string;
  readonly direction: 'inbound' | 'outbound';
  readonly connectedAtMs: number;
  /** Topics whose mesh includes the peer. */
  readonly mesh: readonly TopicKind[];
  readonly score: number;
}

/** One stream with a peer: length-prefixed frames, each at most the protocol's limit for its sender. */
export interface FrameStream {
  readonly peer: PeerKey;
  /** Frames in order; ends when the peer closes its side, throws on reset, abort or an over-long frame. */
  readonly frames: AsyncIterable<Uint8Array>;
  /** Resolves when the frame is handed to the transport and there is room for more. */
  send(frame: Uint8Array): Promise<void>;
  /** Closes the write side; the peer sees the end of frames. */
  close(): Promise<void>;
  abort(error: Error): void;
}

export interface StreamProtocol {
  /** e.g. `/grapevine/headers/1` */
  readonly name: string;
  /** Of a frame from the side that opened the stream. */
  readonly maxRequestBytes: number;
  /** Of a frame from the other. */
  readonly maxFrameBytes: number;
  /** Streams of this protocol a peer may have open with us at once. */
  readonly maxInboundStreams: number;
  /**
   * Requests follow one another for as long as the connection lasts: no limit to the time before a frame begins, but one
   * frame at a time; who sends more than two ahead of the reader loses the stream, the answering side too.
   */
  readonly staysOpen?: true;
}

export type PublishOutcome = { readonly kind: 'sent'; readonly recipients: number } | { readonly kind: 'queued' };

export interface NetworkHandlers {
  onGossip(message: GossipMessage): void;
  onPeerConnected(peer: PeerKey): void;
  onPeerDisconnected(peer: PeerKey): void;
}

export interface Network {
  readonly self: PeerKey;
  /** Begins listening and dialling. `handlers` are called from then on. */
  start(handlers: NetworkHandlers): Promise<void>;
  stop(): Promise<void>;
  /** Own dialable addresses, with peer id. */
  addresses(): readonly string[];
  /**
   * Publishes to the topic's mesh. Before a mesh exists the message is kept (bounded, oldest dropped and counted)
   * and sent as soon as a peer subscribes: the outcome is then `queued`.
   */
  publish(kind: TopicKind, data: Uint8Array): Promise<PublishOutcome>;
  peers(): readonly PeerView[];
  /** Opens a stream. Rejects when the peer is gone, does not speak the protocol, or the signal aborts. */
  open(peer: PeerKey, protocol: StreamProtocol, signal: AbortSignal): Promise<FrameStream>;
  handle(protocol: StreamProtocol, handler: (stream: FrameStream) => Promise<void>): void;
  /** Counts against the peer; at the threshold it is disconnected and refused for a while. */
  penalize(peer: PeerKey, points: number, reason: string): void;
  /** True for a peer that has reached the threshold, while it is kept out. */
  isRefused(peer: PeerKey): boolean;
  disconnect(peer: PeerKey, reason: string): Promise<void>;
  /** Adds an address to the book and dials it. Throws on a malformed address. */
  connect(address: string): Promise<void>;
}

/** One ECDSA check: 32-byte digest, 64-byte compact signature, 33-byte compressed key. */
export type SignatureItem = SignatureParts;

/** `urgent`: blocks and votes, checked first. `bulk`: transactions, refused where too many wait. */
export type VerifyPriority = 'urgent' | 'bulk';

/** Batched, possibly on other threads; one verdict per item, in order. Malformed input is false, never a throw. */
export interface SignatureVerifier {
  /** `priority` is `urgent` where it is not given. Rejects with VerifierBusyError where a bulk request is refused. */
  verify(items: readonly SignatureItem[], priority?: VerifyPriority): Promise<readonly boolean[]>;
  /** It remembers good signatures itself: the node need not. Default false. */
  readonly remembers?: boolean;
}

export interface PowSolution {
  readonly nonce: bigint;
  readonly hashes: number;
}

/** Searches nonces for one header at a time. */
export interface PowSolver {
  /**
   * Resolves with a nonce whose header id is at or below the target in `header.bits`; rejects when the signal
   * aborts. A new call replaces the one before it.
   */
  solve(header: Omit<HeaderBody, 'nonce'>, signal: AbortSignal): Promise<PowSolution>;
  /** Hashes per second over the last few seconds, idle time included. */
  hashRate(): number;
  close(): Promise<void>;
}
