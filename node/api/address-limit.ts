/**
 * How many connections one address may have, so that nobody alone takes all there are: health checks, from other addresses,
 * go on being answered.
 */
import type { Server, Socket } from 'node:net';

/**
 * Cuts what comes above `max` from one address. Complexity: O(1) a connection; keeps a number for each address that has
 * one.
 */
export function limitPerAddress(server: Pick<Server, 'on'>, max: number): void {
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress;
    if (address === undefined) return; // gone already
    const count = (open.get(address) ?? 0) + 1;
    if (count > max) {
      socket.destroy();
      return;
    }
    open.set(address, count);
    socket.once('close', () => {
      const left = open.get(address)! - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
  });
}
