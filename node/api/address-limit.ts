/**
 * How many connections one address may have, so that nobody alone takes all there are: health checks, from other addresses,
 * go on being answered.
 */
import type { Server, Socket } from 'node:net';
import { UsageCounter } from '../../chain/usage-counter.ts';

/**
 * Cuts what comes above `max` from one address. Complexity: O(1) a connection; keeps a number for each address that has
 * one.
 */
export function limitPerAddress(server: Pick<Server, 'on'>, max: number): void {
  const open = new UsageCounter<string>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress;
    if (address === undefined) return; // gone already
    if (open.of(address) >= max) {
      socket.destroy();
      return;
    }
    open.change(address, 1);
    socket.once('close', () => open.change(address, -1));
  });
}
