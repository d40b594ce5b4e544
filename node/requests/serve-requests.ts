/** The answering side of a protocol with one request a stream. */
import type { FrameStream, Network, StreamProtocol } from '../ports.ts';

/** Points for a request that no honest node sends. */
const MALFORMED_POINTS = 20;

/** Registers the protocol: `answer` gets the one request of each stream, and sends what there is to send. */
export function serveRequests(
  network: Network,
  protocol: StreamProtocol,
  answer: (request: Uint8Array, stream: FrameStream) => Promise<'answered' | 'malformed'>,
): void {
  network.handle(protocol, async (stream) => {
    for await (const request of stream.frames) {
      if ((await answer(request, stream)) === 'malformed') {
        network.penalize(stream.peer, MALFORMED_POINTS, `${protocol.name}: malformed request`);
        stream.abort(new Error('malformed request'));
        return;
      }
      break; // one request a stream
    }
    await stream.close();
  });
}
