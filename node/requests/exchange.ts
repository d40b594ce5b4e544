/**
 * The asking side of a protocol with one request a stream: each is bounded in time between frames and in all, and fails
 * in one of three ways.
 */
import type { Clock, Network, PeerKey, StreamProtocol } from '../ports.ts';

/** What the peer did wrong. `stalled` and `gone` are no proof of malice; `invalid` is. */
export class PeerFault extends Error {
  readonly kind: 'stalled' | 'gone' | 'invalid';

  constructor(kind: PeerFault['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PeerFault';
    this.kind = kind;
  }
}

export interface RequestDeps {
  readonly network: Pick<Network, 'open'>;
  readonly clock: Clock;
  /** A peer that sends no frame for this long has stalled; default {@link STALL_MS}. */
  readonly stallMs?: number;
}

/** Points for each fault. A stall may be the network's: ten at a time, as links that flap bring, leave the mesh be. */
export const FAULT_POINTS: Readonly<Record<PeerFault['kind'], number>> = { invalid: 100, stalled: 5, gone: 0 };

/** A peer that sends no frame for this long has stalled. */
export const STALL_MS = 3000;
/** A peer that keeps us waiting this long in all has stalled, however often it sends something. */
export const PATIENCE_MS = 12_000;

/** Sends one request frame and yields the reply's frames; every failure becomes a {@link PeerFault}. */
export async function* exchange(
  deps: RequestDeps,
  peer: PeerKey,
  protocol: StreamProtocol,
  request: Uint8Array,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { network, clock, stallMs = STALL_MS } = deps;
  const attempt = new AbortController();
  const onAbort = (): void => attempt.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort, { once: true });
  let cancelStall = (): void => {};
  let isStalled = false;
  let waitedMs = 0;
  let armedAtMs = 0;
  const arm = (): void => {
    armedAtMs = clock.monotonicMs();
    cancelStall = clock.after(Math.min(stallMs, PATIENCE_MS - waitedMs), () => {
      isStalled = true;
      attempt.abort(new Error('no answer in time'));
    });
  };
  const disarm = (): void => {
    cancelStall();
    waitedMs += clock.monotonicMs() - armedAtMs;
  };
  try {
    arm();
    const stream = await network.open(peer, protocol, attempt.signal);
    const abortStream = (): void => stream.abort(new Error('request given up'));
    attempt.signal.addEventListener('abort', abortStream, { once: true });
    let isDone = false;
    try {
      await stream.send(request);
      await stream.close();
      for await (const frame of stream.frames) {
        disarm();
        yield frame;
        arm(); // the time the caller takes is not the peer's
      }
      isDone = true;
    } finally {
      attempt.signal.removeEventListener('abort', abortStream);
      if (!isDone) stream.abort(new Error('request given up'));
    }
  } catch (error) {
    if (error instanceof PeerFault) throw error;
    signal.throwIfAborted();
    if (isStalled) throw new PeerFault('stalled', `${protocol.name}: no answer in time`);
    throw new PeerFault('gone', `${protocol.name}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  } finally {
    cancelStall();
    signal.removeEventListener('abort', onAbort);
  }
}
