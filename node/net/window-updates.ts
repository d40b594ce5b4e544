/**
 * Yamux, as of @libp2p/yamux 8, answers every data frame with a window update: as many frames again, each of which is
 * encrypted, written to the socket and read by itself. The other implementations send one when half of the window has
 * been used (hashicorp/yamux `sendWindowUpdate`; libp2p/rust-yamux #109), which the specification leaves to the
 * receiver, and so does this.
 */
import { StreamState } from '@libp2p/yamux/stream';

/** What yamux's classes have beyond their published interface. */
interface StreamMaker {
  _newStream?: (...init: unknown[]) => YamuxStream;
}

interface YamuxStream {
  readonly state: StreamState;
  /** Bytes that the peer may send, and what that is after an update. */
  readonly recvWindowCapacity: number;
  readonly recvWindow: number;
  sendWindowUpdate?: () => void;
}

/**
 * The streams of the muxer, which is yamux's, update their windows by halves.
 * @throws Error where yamux is not built as this version expects
 */
export function updateWindowsByHalves(muxer: object): void {
  const maker = muxer as StreamMaker;
  const make = maker._newStream;
  if (typeof make !== 'function') throw new Error('yamux has changed: its muxer makes no streams');
  maker._newStream = (...init) => {
    const stream = make.apply(muxer, init);
    const send = stream.sendWindowUpdate;
    if (typeof send !== 'function' || !(stream.recvWindowCapacity > 0 && stream.recvWindow > 0)) {
      throw new Error('yamux has changed: its streams have no windows');
    }
    stream.sendWindowUpdate = () => {
      // An update also opens the stream, and accepts it: those have to go out.
      const isHalfUsed = 2 * stream.recvWindowCapacity <= stream.recvWindow;
      if (isHalfUsed || stream.state !== StreamState.Established) send.call(stream);
    };
    return stream;
  };
}
