/** The answering side of a protocol whose streams stay open. */
import type { StreamProtocol } from '../ports.ts';
import { RateLimiter } from './rate-limiter.ts';
import { type Answer, refuseMalformed, type ServeDeps } from './serve-requests.ts';

/**
 * So many requests of a peer are answered at once, the others this far apart: a thousand that come in one piece would
 * hold up everything else. Who is honest asks again when it has the answer, and seldom twice a second.
 */
const BURST = 20;
const INTERVAL_MS = 100;

/** Registers the protocol: `answer` gets each request of each stream in turn, and sends one frame. */
export function serveConversation(deps: ServeDeps, protocol: StreamProtocol, answer: Answer): void {
  const { network, clock, signal } = deps;
  // Each of its streams waits with one request. More are of streams that it has given up.
  const maxWaitMs = protocol.maxInboundStreams * INTERVAL_MS;
  const limiter = new RateLimiter(clock, { burst: BURST, intervalMs: INTERVAL_MS, maxWaitMs });

  network.handle(protocol, async (stream) => {
    for await (const request of stream.frames) {
      const waitMs = limiter.take(stream.peer);
      if (waitMs > 0) await clock.sleep(waitMs, signal);
      if ((await answer(request, stream)) === 'malformed') {
        refuseMalformed(network, protocol, stream);
        return;
      }
    }
    await stream.close();
  });
}
