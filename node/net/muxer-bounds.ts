/**
 * What yamux, as of @libp2p/yamux 8, does without a bound: it keeps a data frame until all of it has come, however long its
 * header says that it will be, and only then looks at the window; and it answers each ping.
 */
import type { Clock } from '../ports.ts';

const HEADER_BYTES = 12;
const DATA = 0;
/** Pings that a peer may send for good, and in one piece: probes come every ten seconds or more. */
const PING_INTERVAL_MS = 1_000;
const PING_BURST_MS = 60_000;

/** What yamux's classes have beyond their published interface. */
interface Muxer {
  readonly decoder?: Decoder;
  handlePing?: (header: object) => void;
}

interface Decoder {
  /** What came and is no whole frame. */
  readonly buffer?: { readonly byteLength: number; get(index: number): number };
  emitFrames?: (bytes: unknown) => Generator<object>;
}

/**
 * Closes the connection of the muxer, which is yamux's, where a frame is longer than any window, or pings are too many.
 *
 * @param maxFrameBytes the largest window of a stream
 * @throws Error where yamux is not built as this version expects
 */
export function boundMuxer(muxer: object, maxFrameBytes: number, clock: Pick<Clock, 'monotonicMs'>): void {
  const inner = muxer as Muxer;
  boundFrames(inner.decoder, maxFrameBytes);
  boundPings(inner, clock);
}

function boundFrames(decoder: Decoder | undefined, maxFrameBytes: number): void {
  const emit = decoder?.emitFrames;
  const buffer = decoder?.buffer;
  if (typeof emit !== 'function' || typeof buffer?.get !== 'function') {
    throw new Error('yamux has changed: its muxer decodes no frames');
  }
  decoder!.emitFrames = function* (bytes) {
    yield* emit.call(decoder, bytes);
    if (buffer.byteLength < HEADER_BYTES || buffer.get(1) !== DATA) return;
    let length = 0;
    for (let at = 8; at < HEADER_BYTES; at++) length = length * 256 + buffer.get(at);
    if (length > maxFrameBytes) throw new Error(`a frame of ${length} bytes: no window has more than ${maxFrameBytes}`);
  };
}

function boundPings(muxer: Muxer, clock: Pick<Clock, 'monotonicMs'>): void {
  const handle = muxer.handlePing;
  if (typeof handle !== 'function') throw new Error('yamux has changed: its muxer handles no pings');
  let paidUntilMs = Number.NEGATIVE_INFINITY;
  muxer.handlePing = (header) => {
    const nowMs = clock.monotonicMs();
    paidUntilMs = Math.max(paidUntilMs, nowMs) + PING_INTERVAL_MS;
    if (paidUntilMs - nowMs > PING_BURST_MS) throw new Error('too many pings');
    handle.call(muxer, header);
  };
}
