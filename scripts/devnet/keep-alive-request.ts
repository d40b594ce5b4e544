/**
 * HTTP requests over connections that stay open, for who makes hundreds a second: Node's `fetch` takes a sender
 * more processor time, most of it for streams and signals that nobody here looks at.
 */
import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { HttpAnswer, HttpRequest } from '../client.ts';

/** @returns a sender with connections of its own; they end with the process, or when the other side ends them */
export function createKeepAliveRequest(): HttpRequest {
  const agent = new Agent({ keepAlive: true });
  return (url, { method, headers, body, signal }) =>
    new Promise<HttpAnswer>((resolve, reject) => {
      const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
      const outgoing = request(url, { agent, method, headers: { ...headers, ...length }, signal }, (incoming) =>
        resolve(answerOf(incoming)),
      );
      outgoing.once('error', reject);
      outgoing.end(body);
    });
}

function answerOf(incoming: IncomingMessage): HttpAnswer {
  const status = incoming.statusCode ?? 0;
  return {
    status,
    ok: status >= 200 && status < 300,
    headers: {
      get(name) {
        const value = incoming.headers[name.toLowerCase()];
        return value === undefined ? null : String(value);
      },
    },
    text: () => text(incoming),
  };
}
