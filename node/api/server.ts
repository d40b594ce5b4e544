/** The HTTP API's server: limits, hooks, routes, and its start and stop. */
import { lookup } from 'node:dns/promises';
import type { Socket } from 'node:net';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import websocket from '@fastify/websocket';
import fastify, { type FastifyInstance } from 'fastify';
import type { Clock, Logger } from '../ports.ts';
import { type AccessRules, checkOrigin } from './access.ts';
import { limitPerAddress } from './address-limit.ts';
import { type ApiApp, onceClosed } from './api-app.ts';
import type { ApiBackend } from './backend.ts';
import { addEventRoutes, DEFAULT_EVENT_LIMITS, EventHub, type EventLimits } from './events-socket.ts';
import { OPENAPI_OPTIONS } from './openapi.ts';
import {
  answerWithProblems,
  PROBLEM_MEDIA_TYPE,
  Problem,
  problemDocument,
  problemFromError,
  sendProblem,
} from './problem.ts';
import { inTurn } from './request-turns.ts';
import { ResponseSlots } from './response-slots.ts';
import { addAccountRoutes } from './routes-accounts.ts';
import { addAgreementRoutes } from './routes-agreement.ts';
import { addBlockRoutes } from './routes-blocks.ts';
import { addHealthRoutes } from './routes-health.ts';
import { addNodeRoutes } from './routes-node.ts';
import { addTransactionRoutes } from './routes-transactions.ts';
import { compileSerializer, compileValidator } from './schema-compilers.ts';
import { STATUS_TEXT } from './status-text.ts';

export interface ApiServerOptions {
  /** Address to listen on. Anything but loopback closes the administrative calls unless there is a token. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Empty counts as absent. */
  readonly adminToken?: string;
  readonly maxBodyBytes?: number;
  /** In all; one address may have half of them. */
  readonly maxConnections?: number;
  /** From the first byte of a request to its last. */
  readonly requestTimeoutMs?: number;
  /** From when an answer is ready to when its reader has taken all but what the operating systems keep of it. */
  readonly sendTimeoutMs?: number;
  readonly events?: Partial<EventLimits>;
}

export interface ApiServerDeps {
  readonly backend: ApiBackend;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Prometheus text. */
  readonly metrics: () => Promise<string>;
  readonly options: ApiServerOptions;
}

export interface ApiServer {
  /**
   * Listens.
   *
   * @returns the port, also where 0 was asked for
   * @throws ApiListenError when the address can't be had
   */
  start(): Promise<{ readonly port: number }>;
  /** Closes sockets and connections; in-flight requests are answered first, for a short while. */
  stop(): Promise<void>;
}

const DEFAULT_MAX_BODY_BYTES = 64 * 1024;
const DEFAULT_MAX_CONNECTIONS = 512;
const DEFAULT_REQUEST_TIMEOUT_MS = 15_000;
/** As long as our client waits for an answer. A certificate of 20 MB then needs 6 Mbit/s. */
const DEFAULT_SEND_TIMEOUT_MS = 30_000;
const MAX_HEADER_BYTES = 16 * 1024;
/** A full block is some 3 MB of JSON and a fifth of a second of work. */
const MAX_PAGES_AT_ONCE = 16;
/** How long a socket that broke the rules may take to read the answer. */
const LINGER_MS = 1000;
/** Longest path parameter: an address, an id or a peer id, with room for a mistake that gets a helpful answer. */
const MAX_PARAM_LENGTH = 200;
/** Clients say nothing on the event socket; what they say is read and dropped. */
const MAX_CLIENT_MESSAGE_BYTES = 1024;

/** The address can't be listened on; `code` is the operating system's, `EADDRINUSE` when it is taken. */
export class ApiListenError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ApiListenError';
    this.code = code;
  }
}

/** Builds nothing and listens to nothing before `start`, which is called once. `stop` may be called without it. */
export function createApiServer(deps: ApiServerDeps): ApiServer {
  const { host, port } = deps.options;
  let built: BuiltApi | undefined;
  return {
    async start() {
      built = await buildApi(deps);
      const { maxConnections = DEFAULT_MAX_CONNECTIONS } = deps.options;
      built.app.server.maxConnections = maxConnections;
      limitPerAddress(built.app.server, Math.ceil(maxConnections / 2));
      try {
        await built.app.listen({ host: await oneAddress(host), port });
      } catch (error) {
        await built.close();
        throw listenError(error, host, port);
      }
      const address = built.app.server.address();
      if (address === null || typeof address === 'string') throw new Error('the API listens on no TCP port');
      deps.logger.info({ host, port: address.port }, 'API listens');
      return { port: address.port };
    },
    async stop() {
      await built?.close();
    },
  };
}

/** For `localhost`, Fastify opens a second server that has none of our limits and handlers, on the other address of it. */
async function oneAddress(host: string): Promise<string> {
  return host === 'localhost' ? (await lookup(host, { order: 'ipv4first' })).address : host;
}

export interface BuiltApi {
  readonly app: FastifyInstance;
  readonly hub: EventHub;
  close(): Promise<void>;
}

/** The application without a port; tests call it through `app.inject`. */
export async function buildApi(deps: ApiServerDeps): Promise<BuiltApi> {
  const { backend, clock, logger, options } = deps;
  const access: AccessRules = { host: options.host, adminToken: options.adminToken || undefined };
  const limits = { ...DEFAULT_EVENT_LIMITS, ...options.events };
  const hub = new EventHub({ backend, clock, logger, limits });

  const requestTimeoutMs = options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS;
  const sendTimeoutMs = options.sendTimeoutMs ?? DEFAULT_SEND_TIMEOUT_MS;
  const takeTurn = inTurn();
  const bare = fastify({
    logger: false,
    bodyLimit: options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: true,
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      // Node swaps the two timeouts where this one, 60 s by default, is the longer: bodies would be waited for longer.
      headersTimeout: requestTimeoutMs,
      // How often it looks; by default every 30 s.
      connectionsCheckingInterval: Math.min(requestTimeoutMs, 5000),
    },
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    // What the router refuses before there is a route: bad escapes, over-long parameters.
    frameworkErrors: (error, request, reply) => {
      takeTurn(request, reply, () => sendProblem(reply, problemFromError(error)));
    },
    clientErrorHandler: answerBrokenRequests(clock),
  });
  const app: ApiApp = bare.withTypeProvider<TypeBoxTypeProvider>();
  app.setValidatorCompiler(compileValidator);
  app.setSerializerCompiler(compileSerializer);
  // JSON only: text/plain is what a cross-site form can send without asking.
  app.removeContentTypeParser('text/plain');
  answerWithProblems(bare, logger);
  await app.register(swagger, OPENAPI_OPTIONS);
  await app.register(websocket, {
    options: { maxPayload: MAX_CLIENT_MESSAGE_BYTES, perMessageDeflate: false },
    // The hub closes its sockets itself, with a reason, before the application closes.
    preClose(done) {
      this.websocketServer.close();
      done();
    },
  });
  // After the plugin's own hook, which is what makes a refused upgrade close its socket.
  app.addHook('onRequest', takeTurn);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
    checkOrigin(request, access);
    if (request.headers.upgrade !== undefined && request.routeOptions.url !== '/v1/events') {
      throw new Problem(400, 'bad-request', 'only /v1/events can be upgraded');
    }
  });

  app.addHook('onSend', async (request, reply) => {
    if (reply.statusCode === 413) lingerAfterAnswer(request.raw.socket, clock);
    // Whoever does not read keeps the answer in our memory, and one of the slots for large ones.
    const cancel = clock.after(sendTimeoutMs, () => {
      logger.info({ method: request.method, url: request.url }, 'cut a client that did not take its answer');
      request.raw.socket.destroy();
    });
    onceClosed(reply, cancel);
  });

  const pages = new ResponseSlots('blocks and lists', MAX_PAGES_AT_ONCE);
  addTransactionRoutes(app, { backend, access });
  addAccountRoutes(app, { backend, access, pages });
  addBlockRoutes(app, { backend, access, pages });
  addAgreementRoutes(app, { backend, access });
  addNodeRoutes(app, { backend, access, pages });
  addHealthRoutes(app, { backend, access, metrics: deps.metrics });
  addEventRoutes(app, hub);
  app.get('/openapi.json', { schema: { hide: true } }, async () => bare.swagger());
  await app.ready();

  return {
    app: bare,
    hub,
    async close() {
      await hub.close();
      await bare.close();
    },
  };
}

/** What is not HTTP, or not in time, gets an answer too, where the socket can still take one. */
function answerBrokenRequests(clock: Clock): (error: Error & { readonly code?: string }, socket: Socket) => void {
  /** Sockets that have been told what is wrong and are on their way out; the rest of what they sent is not heard. */
  const dismissed = new WeakSet<Socket>();
  return (error, socket) => {
    if (dismissed.has(socket)) return;
    dismissed.add(socket);
    answerBrokenRequest(error, socket, clock);
  };
}

function answerBrokenRequest(error: Error & { readonly code?: string }, socket: Socket, clock: Clock): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const problem = brokenRequestProblem(error.code);
  const body = JSON.stringify(problemDocument(problem));
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_TEXT[problem.status]}\r\ncontent-type: ${PROBLEM_MEDIA_TYPE}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
  // Closed at once with data unread, the kernel sends a reset, which may overtake the answer: read on for a moment.
  destroyLater(socket, clock);
  socket.resume();
}

/**
 * Node closes a refused request's socket with the answer, while the rest of the body is on its way: again a reset that
 * may overtake it. Here the socket stays half open for a moment instead, and nothing more is read from it.
 */
function lingerAfterAnswer(socket: Socket, clock: Clock): void {
  socket.destroySoon = () => {
    socket.end();
    socket.pause();
    destroyLater(socket, clock);
  };
}

/** However much still comes: a timeout of the socket would begin anew with each byte. */
function destroyLater(socket: Socket, clock: Clock): void {
  socket.once(
    'close',
    clock.after(LINGER_MS, () => socket.destroy()),
  );
}

function brokenRequestProblem(code: string | undefined): Problem {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new Problem(431, 'headers-too-large', `the headers are larger than ${MAX_HEADER_BYTES} bytes`);
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new Problem(408, 'request-timeout', 'the request took too long to arrive');
  }
  return new Problem(400, 'bad-request', 'this is not HTTP/1.1');
}

function listenError(error: unknown, host: string, port: number): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  const what =
    error.code === 'EADDRINUSE'
      ? `port ${port} on ${host} is in use: stop what uses it, or choose another with --api-port`
      : error.code === 'EACCES'
        ? `port ${port} on ${host} is not permitted: choose one above 1023`
        : error.code === 'EADDRNOTAVAIL'
          ? `${host} is not an address of this machine`
          : error.message;
  return new ApiListenError(error.code, `the API can't listen: ${what}`, { cause: error });
}
