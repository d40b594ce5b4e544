/**
 * Back-pressure of a connection's socket.
 *
 * libp2p's TCP connection, as of @libp2p/tcp 11, hands its socket one piece when it is full, keeps the rest, and says
 * 'drain' as soon as that piece has gone, whereupon the layer above hands it all it has by then. To a peer that reads slowly
 * it so keeps what one drain after the other brings, without a bound.
 */
import type { MessageStream } from '@libp2p/interface';
import type { Uint8ArrayList } from 'uint8arraylist';

/** What libp2p's connections have beyond their published interface. */
interface Sending {
  sendData?: (data: Uint8ArrayList) => SendResult;
}

interface SendResult {
  readonly sentBytes: number;
  readonly canSendMore: boolean;
}

/**
 * From now on all that is sent goes to the socket at once, and 'drain' comes when all of it has gone.
 *
 * @throws Error where libp2p's connections are not built as this version expects
 */
export function writeWhole(connection: MessageStream): void {
  const inner: Sending = connection as object;
  const send = inner.sendData?.bind(connection);
  if (send === undefined) throw new Error('libp2p has changed: its connections write otherwise');
  inner.sendData = (data) => {
    let { sentBytes, canSendMore } = send(data);
    while (sentBytes < data.byteLength) {
      const rest = send(data.sublist(sentBytes));
      if (rest.sentBytes === 0) break; // a socket that takes nothing: what is left waits for its drain
      sentBytes += rest.sentBytes;
      canSendMore = rest.canSendMore;
    }
    return { sentBytes, canSendMore };
  };
}
