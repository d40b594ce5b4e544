/** How much goes through the sockets of peers: the count, and the metric that shows it. */
import type { MessageStream } from '@libp2p/interface';
import { Counter, type Registry } from 'prom-client';

/**
 * Bytes through the sockets of all connections since the node started: what all protocols send, encrypted and framed, and
 * Noise's handshake, without TCP's and IP's headers. What waited to be written when a connection broke counts as sent, and
 * what a peer sends before the handshake asks for it counts twice.
 */
export interface SocketBytes {
  sent: number;
  received: number;
}

/** Counts from now on what is sent and received. */
export function countSocketBytes(socket: MessageStream, bytes: SocketBytes): void {
  const send = socket.send.bind(socket);
  socket.send = (data) => {
    bytes.sent += data.byteLength;
    return send(data);
  };
  socket.addEventListener('message', ({ data }) => {
    bytes.received += data.byteLength;
  });
}

/** Shows `bytes` in `registry`, read when it is scraped. */
export function showSocketBytes(registry: Registry, bytes: SocketBytes): void {
  const shown: SocketBytes = { sent: 0, received: 0 };
  new Counter({
    name: 'grapevine_network_bytes_total',
    help: 'Bytes through the sockets of peers: all protocols, encrypted and framed, without the headers of TCP and IP',
    labelNames: ['direction'],
    registers: [registry],
    collect() {
      for (const direction of ['sent', 'received'] as const) {
        this.inc({ direction }, bytes[direction] - shown[direction]);
        shown[direction] = bytes[direction];
      }
    },
  });
}
