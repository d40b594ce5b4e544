/** The answering side of a protocol whose streams stay open. */
import { Lru } from '../lru.ts';
import type { Clock, Network, PeerKey, StreamProtocol } from '../ports.ts';
import { type Answer, refuseMalformed } from './serve-requests.ts';

export interface ServeConversationDeps {
  readonly network: Network;
  readonly clock: Clock;
  /** Ends what waits for its turn. */
  readonly signal: AbortSignal;
}

/**
 * So many requests of a peer are answered at once, the others this far apart: a thousand that come in one piece would
 * hold up everything else. Who is honest asks again when it has the answer, and seldom twice a second.
 */
const BURST = 20;
const INTERVAL_MS = 100;
/** Who is forgotten has its burst again. */
const PEERS_REMEMBERED = 256;

/** Registers the protocol: `answer` gets each request of each stream in turn, and sends one frame. */
export function serveConversation(deps: ServeConversationDeps, protocol: StreamProtocol, answer: Answer): void {
  const { network, clock, signal } = deps;
  /** When all that a peer has had would have been answered, had its answers been `INTERVAL_MS` apart; monotonic. */
  const paidAt = new Lru<PeerKey, number>(PEERS_REMEMBERED);
  // Each of its streams waits with one request. More are of streams that it has given up.
  const maxWaitMs = protocol.maxInboundStreams * INTERVAL_MS;

  /** Virtual scheduling, as ITU-T I.371 has it: takes the peer's next turn. */
  const takeTurn = (peer: PeerKey): number => {
    const nowMs = clock.monotonicMs();
    const dueMs = Math.max(nowMs, paidAt.get(peer) ?? nowMs);
    const waitMs = Math.max(0, dueMs - nowMs - (BURST - 1) * INTERVAL_MS);
    if (waitMs > maxWaitMs) throw new Error('too many requests');
    paidAt.set(peer, dueMs + INTERVAL_MS);
    return waitMs;
  };

  network.handle(protocol, async (stream) => {
    for await (const request of stream.frames) {
      const waitMs = takeTurn(stream.peer);
      if (waitMs > 0) await clock.sleep(waitMs, signal);
      if ((await answer(request, stream)) === 'malformed') {
        refuseMalformed(network, protocol, stream);
        return;
      }
    }
    await stream.close();
  });
}
