/**
 * One request of a connection at a time. Node hands over all that it has read of one, more than a thousand in 64 KiB,
 * before anything else has its turn; the answers then wait in memory for the first to be sent.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { nextTurn } from '../adapters.ts';
import { onceClosed } from './api-app.ts';

/** The one being answered and those that wait for it. Clients of today send one and wait for its answer. */
export const MAX_UNANSWERED_REQUESTS = 16;

/**
 * A fastify hook that lets a request go on when the one before it on the connection has been answered, and the event loop
 * has had a turn since. Cuts the connection at the first request above the limit.
 * Complexity: O(1) a request; for each connection at most `MAX_UNANSWERED_REQUESTS` that wait.
 */
export function inTurn(): (request: FastifyRequest, reply: FastifyReply, go: () => void) => void {
  type Socket = FastifyRequest['raw']['socket'];
  /** What waits at connections on which a request is being answered. */
  const waiting = new WeakMap<Socket, (() => void)[]>();

  return ({ raw: { socket } }, reply, go) => {
    if (socket.destroyed) return; // what had been read with the one too many
    const start = (): void => {
      onceClosed(reply, () => void startNext(socket));
      go();
    };
    const others = waiting.get(socket);
    if (others === undefined) {
      waiting.set(socket, []);
      start();
    } else if (others.length + 1 < MAX_UNANSWERED_REQUESTS) others.push(start);
    else socket.destroy();
  };

  async function startNext(socket: Socket): Promise<void> {
    const start = waiting.get(socket)?.shift();
    if (start === undefined) {
      waiting.delete(socket);
      return;
    }
    await nextTurn();
    // Nobody is there, or the answer before was the last.
    if (socket.destroyed || socket.writableEnded) waiting.delete(socket);
    else start();
  }
}
