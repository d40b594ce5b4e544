/** The answering side of a protocol with one request a stream. */
import type { Clock, FrameStream, Network, StreamProtocol } from '../ports.ts';
import { type Pace, RateLimiter, type SharedBurst } from './rate-limiter.ts';

/** Gets a request, and sends what there is to send. */
export type Answer = (request: Uint8Array, stream: FrameStream) => Promise<'answered' | 'malformed'>;

/** Points for a request that no honest node sends. */
const MALFORMED_POINTS = 20;

export interface ServeDeps {
  readonly network: Network;
  readonly clock: Clock;
  /** Ends what waits for its turn. */
  readonly signal: AbortSignal;
}

/**
 * Registers the protocol: `answer` gets the one request of each stream, at the peer's pace where there is one.
 *
 * @param shared what peers may have beyond their steady paces, over all protocols that are given the same
 */
export function serveRequests(
  deps: ServeDeps,
  protocol: StreamProtocol,
  answer: Answer,
  pace?: Pace,
  shared?: SharedBurst,
): void {
  const { network, clock, signal } = deps;
  const limiter = pace && new RateLimiter(clock, pace, shared);
  network.handle(protocol, async (stream) => {
    for await (const request of stream.frames) {
      const waitMs = limiter?.take(stream.peer) ?? 0;
      if (waitMs > 0) await clock.sleep(waitMs, signal);
      if ((await answer(request, stream)) === 'malformed') {
        refuseMalformed(network, protocol, stream);
        return;
      }
      break; // one request a stream
    }
    await stream.close();
  });
}

/** Counts it against the peer, and gives up the stream. */
export function refuseMalformed(network: Network, protocol: StreamProtocol, stream: FrameStream): void {
  network.penalize(stream.peer, MALFORMED_POINTS, `${protocol.name}: malformed request`);
  stream.abort(new Error('malformed request'));
}
