/** Free TCP ports on loopback. */
import { createServer } from 'node:net';

/**
 * The first free port at or above `wanted` that is not in `taken`.
 * @throws Error when there is none
 */
export async function findFreePort(wanted: number, taken: ReadonlySet<number>): Promise<number> {
  for (let port = wanted; port <= 65_535; port++) {
    if (!taken.has(port) && (await isFree(port))) return port;
  }
  throw new Error(`no free port at or above ${wanted}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
