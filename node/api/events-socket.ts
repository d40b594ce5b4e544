/**
 * `GET /v1/events`: what happens on the node, over WebSocket.
 *
 * Specification: hello first, then events in order, and a heartbeat at a fixed interval. A client that asked for
 * `?types=` gets those only, one that asked for `?sample=n` one in n of the transactions, by id. What a client has not taken
 * yet is bounded in bytes and in messages; one that reads too slowly is closed with 1013 and a reason, and can come back:
 * nothing is dropped silently from the middle. What a client says is dropped unread; one that does not stop is cut.
 *
 * Rationale: the events come from the process that validates blocks, so a slow reader must cost memory of a known
 * size and no waiting. The backend is listened to only while somebody is connected.
 */

import type { Clock, Logger } from '../ports.ts';
import { type ApiApp, PROBLEMS } from './api-app.ts';
import type { ApiBackend } from './backend.ts';
import { isSampled } from './limits.ts';
import { Problem, retryAfter } from './problem.ts';
import {
  type ChainEvent,
  EVENT_TYPES,
  EventsQuery,
  type EventType,
  type HeartbeatEvent,
  type HelloEvent,
  SocketMessage,
} from './schemas.ts';

/** Close codes of RFC 6455 and its IANA registry. */
const GOING_AWAY = 1001;
const TRY_AGAIN_LATER = 1013;

/** What the hub needs of a socket of `ws`. */
export interface EventSocket {
  send(text: string, sent: (error?: Error) => void): void;
  ping(): void;
  close(code: number, reason: string): void;
  terminate(): void;
  on(event: 'close' | 'message' | 'ping' | 'pong' | 'error', listener: () => void): unknown;
}

export interface EventLimits {
  readonly maxClients: number;
  /** Messages handed to one socket and not yet taken by the operating system. */
  readonly maxQueuedMessages: number;
  /** The same, in characters of JSON (all ASCII but memos, which events do not carry). */
  readonly maxQueuedBytes: number;
  readonly heartbeatMs: number;
  /** Of a client between two heartbeats, its pings among them. It has nothing to say; some keep a connection alive so. */
  readonly maxReceivedMessages: number;
  /** How long a closed client may take to answer before the connection is cut. */
  readonly closeTimeoutMs: number;
}

export const DEFAULT_EVENT_LIMITS: EventLimits = {
  maxClients: 64,
  maxQueuedMessages: 2000,
  // Twice the largest message: a block event of 5681 transaction ids is about 400 kB.
  maxQueuedBytes: 1_000_000,
  heartbeatMs: 15_000,
  maxReceivedMessages: 1_000,
  closeTimeoutMs: 1000,
};

interface Client {
  readonly socket: EventSocket;
  readonly types: ReadonlySet<EventType>;
  /** Of the `tx` events one in so many. */
  readonly sample: number;
  queuedMessages: number;
  queuedBytes: number;
  /** Answered the last ping. */
  alive: boolean;
  /** Since the last heartbeat. */
  receivedMessages: number;
  closing: boolean;
  cancelCut: () => void;
}

/** Fans the backend's events out to the sockets. Owns the list of clients. */
export class EventHub {
  readonly #backend: ApiBackend;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #limits: EventLimits;
  readonly #clients = new Set<Client>();
  #unsubscribe: (() => void) | undefined;
  #cancelHeartbeat: (() => void) | undefined;
  #closed = false;
  #onEmpty: (() => void) | undefined;

  constructor(deps: {
    readonly backend: ApiBackend;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly limits: EventLimits;
  }) {
    this.#backend = deps.backend;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#limits = deps.limits;
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** Why no further client can be taken, if so. */
  refusal(): Problem | undefined {
    if (this.#closed) return new Problem(503, 'stopping', 'the node is stopping', retryAfter(5));
    if (this.#clients.size < this.#limits.maxClients) return undefined;
    const detail = `${this.#limits.maxClients} clients are listening already`;
    return new Problem(503, 'too-many-clients', detail, retryAfter(10));
  }

  /** Takes over an open socket until it closes. */
  attach(socket: EventSocket, types: readonly EventType[], sample = 1): void {
    const client: Client = {
      socket,
      types: new Set(types),
      sample,
      queuedMessages: 0,
      queuedBytes: 0,
      alive: true,
      receivedMessages: 0,
      closing: false,
      cancelCut: () => {},
    };
    socket.on('pong', () => {
      client.alive = true;
    });
    const onReceived = (): void => {
      client.receivedMessages += 1;
      if (client.receivedMessages > this.#limits.maxReceivedMessages) socket.terminate();
    };
    socket.on('message', onReceived);
    socket.on('ping', onReceived);
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => this.#detach(client));
    this.#clients.add(client);
    if (this.#closed) {
      this.#closeClient(client, GOING_AWAY, 'the node is stopping');
      return;
    }
    this.#send(client, JSON.stringify(this.#hello(types)));
    this.#unsubscribe ??= this.#backend.subscribe(
      (event) => this.#publish(event),
      (id) => this.#wantsTx(id),
    );
    this.#cancelHeartbeat ??= this.#clock.after(this.#limits.heartbeatMs, () => this.#heartbeat());
  }

  /** Says goodbye to all; resolves when they are gone, at the latest after the close timeout. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stop();
    if (this.#clients.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    for (const client of this.#clients) this.#closeClient(client, GOING_AWAY, 'the node is stopping');
    await empty;
  }

  #hello(types: readonly EventType[]): HelloEvent {
    const { peerId, name, network, chainId } = this.#backend.identity;
    return {
      type: 'hello',
      node: peerId,
      name,
      network,
      chainId,
      height: this.#backend.head().height,
      types: [...types],
    };
  }

  #wantsTx(id: string): boolean {
    for (const { types, sample } of this.#clients) if (types.has('tx') && isSampled(id, sample)) return true;
    return false;
  }

  #publish(event: ChainEvent): void {
    let text: string | undefined;
    for (const client of this.#clients) {
      if (!client.types.has(event.type)) continue;
      if (event.type === 'tx' && !isSampled(event.id, client.sample)) continue;
      text ??= JSON.stringify(event);
      this.#send(client, text);
    }
  }

  #send(client: Client, text: string): void {
    if (client.closing) return;
    const { maxQueuedMessages, maxQueuedBytes } = this.#limits;
    // One message always fits, however large: an empty queue is not a slow client.
    const fits = client.queuedMessages < maxQueuedMessages && client.queuedBytes + text.length <= maxQueuedBytes;
    if (!fits && client.queuedMessages > 0) {
      this.#logger.info({ queued: client.queuedMessages, bytes: client.queuedBytes }, 'slow event client closed');
      this.#closeClient(client, TRY_AGAIN_LATER, `too slow: ${client.queuedMessages} messages not taken`);
      return;
    }
    client.queuedMessages += 1;
    client.queuedBytes += text.length;
    client.socket.send(text, () => {
      client.queuedMessages -= 1;
      client.queuedBytes -= text.length;
    });
  }

  #heartbeat(): void {
    const beat: HeartbeatEvent = {
      type: 'heartbeat',
      height: this.#backend.head().height,
      nowMs: this.#clock.nowMs(),
    };
    const text = JSON.stringify(beat);
    for (const client of [...this.#clients]) {
      if (!client.alive) {
        client.socket.terminate();
        continue;
      }
      client.alive = false;
      client.receivedMessages = 0;
      if (!client.closing) client.socket.ping();
      this.#send(client, text);
    }
    this.#cancelHeartbeat = this.#clock.after(this.#limits.heartbeatMs, () => this.#heartbeat());
  }

  #closeClient(client: Client, code: number, reason: string): void {
    if (client.closing) return;
    client.closing = true;
    client.cancelCut = this.#clock.after(this.#limits.closeTimeoutMs, () => client.socket.terminate());
    client.socket.close(code, reason);
  }

  #detach(client: Client): void {
    client.cancelCut();
    this.#clients.delete(client);
    if (this.#clients.size > 0) return;
    this.#stop();
    this.#onEmpty?.();
  }

  #stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#cancelHeartbeat?.();
    this.#cancelHeartbeat = undefined;
  }
}

/** @throws Problem 400 that names the unknown type */
export function parseEventTypes(text: string | undefined): readonly EventType[] {
  if (text === undefined || text === '') return EVENT_TYPES;
  return text.split(',').map((name) => {
    const type = EVENT_TYPES.find((known) => known === name.trim());
    if (type !== undefined) return type;
    throw new Problem(400, 'bad-request', `types: unknown '${name.slice(0, 40)}'; known are ${EVENT_TYPES.join(', ')}`);
  });
}

/**
 * `GET /v1/events`. A client that cannot be taken is refused before the upgrade, with a problem document; a plain GET
 * gets 426.
 */
export function addEventRoutes(app: ApiApp, hub: EventHub): void {
  app.route({
    method: 'GET',
    url: '/v1/events',
    schema: {
      operationId: 'streamEvents',
      tags: ['events'],
      summary: 'WebSocket of what happens on the node',
      description: 'One JSON message per frame: hello first, then events, and heartbeats. 1013: read too slowly',
      querystring: EventsQuery,
      response: {
        101: {
          description: 'The messages that follow',
          content: { 'application/json': { schema: SocketMessage } },
        },
        ...PROBLEMS,
      },
    },
    preHandler: async (request) => {
      parseEventTypes(request.query.types);
      const refusal = hub.refusal();
      if (request.ws && refusal !== undefined) throw refusal;
    },
    handler: async () => {
      throw new Problem(426, 'upgrade-required', 'this is a WebSocket', {
        headers: { upgrade: 'websocket', connection: 'upgrade' },
      });
    },
    wsHandler: (socket, request) => {
      const { types, sample } = request.query as { readonly types?: string; readonly sample?: number };
      hub.attach(socket, parseEventTypes(types), sample);
    },
  });
}
