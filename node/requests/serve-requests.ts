/** The answering side of a protocol with one request a stream. */
import type { FrameStream, Network, StreamProtocol } from '../ports.ts';

/** Gets a request, and sends what there is to send. */
export type Answer = (request: Uint8Array, stream: FrameStream) => Promise<'answered' | 'malformed'>;

/** Points for a request that no honest node sends. */
const MALFORMED_POINTS = 20;

/** Registers the protocol: `answer` gets the one request of each stream. */
export function serveRequests(network: Network, protocol: StreamProtocol, answer: Answer): void {
  network.handle(protocol, async (stream) => {
    for await (const request of stream.frames) {
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
