import dns, { type LookupAddress } from 'node:dns';
import { request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createSystemClock } from '../../../node/adapters.ts';
import { DEFAULT_EVENT_LIMITS } from '../../../node/api/events-socket.ts';
import type { ChainEvent } from '../../../node/api/schemas.ts';
import { ApiListenError, type ApiServer, type ApiServerOptions, createApiServer } from '../../../node/api/server.ts';
import type { Clock } from '../../../node/ports.ts';
import { eventually } from '../../eventually.ts';
import { silentLogger } from '../../loggers.ts';
import { ManualClock } from '../../manual-clock.ts';
import { ADDRESS, BLOCK_ID, FakeBackend } from './fake-backend.ts';

/** The default of a second is too little beside other work. */
const WAIT = { timeout: 20_000 };

const FINAL: ChainEvent = { type: 'final', id: BLOCK_ID, height: '5' };
type Found = (error: null, addresses: readonly LookupAddress[]) => void;
const started: ApiServer[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()));
});

async function start(options: Partial<ApiServerOptions> = {}, clock: Clock = createSystemClock()) {
  const backend = new FakeBackend();
  const server = createApiServer({
    backend,
    clock,
    logger: silentLogger,
    metrics: async () => '',
    options: { host: '127.0.0.1', port: 0, ...options },
  });
  started.push(server);
  const { port } = await server.start();
  return { backend, server, port, url: `http://127.0.0.1:${port}` };
}

interface RawAnswer {
  readonly status: number;
  readonly type: string;
  readonly code: string;
}

/** Sends bytes, reads until the server closes. */
function exchange(port: number, text: string): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => {
      const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
      resolve({
        status: Number(answer.slice(9, 12)),
        type: /content-type: (\S+)/i.exec(answer)?.[1] ?? '',
        code: JSON.parse(body).code,
      });
    });
  });
}

const PROBLEM = 'application/problem+json';

describe('start and stop', () => {
  it('serves on the port it says, and answers no more after stop', async () => {
    const { server, url } = await start();
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    await server.stop();
    await expect(fetch(`${url}/healthz`)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
  });

  it('says that a port is in use', async () => {
    const { port } = await start();
    const error = await start({ port }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiListenError);
    expect(error).toMatchObject({ code: 'EADDRINUSE' });
    expect(String(error)).toContain(`port ${port} on 127.0.0.1 is in use`);
  });

  it('says that an address is not its own', async () => {
    const error = await start({ host: '192.0.2.1' }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'ApiListenError', code: 'EADDRNOTAVAIL' });
  });

  it('listens on one address of localhost, as Fastify’s server for the other has none of the limits', async () => {
    const everyAddress = vi.spyOn(dns, 'lookup').mockImplementation(((
      host: string,
      _options: unknown,
      found: Found,
    ) => {
      const addresses = host === 'localhost' ? ['127.0.0.1', '127.0.0.2'] : [host];
      found(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      );
    }) as never);
    onTestFinished(() => everyAddress.mockRestore());
    const { port, url } = await start({ host: 'localhost' });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    await expect(fetch(`http://127.0.0.2:${port}/healthz`)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
  });

  it('stops while a client holds a connection open', async () => {
    const { server, port } = await start();
    const idle = connect(port, '127.0.0.1');
    const closed = new Promise((resolve) => idle.on('close', resolve));
    await new Promise((resolve) => idle.on('connect', resolve));
    await server.stop();
    await closed;
    expect(idle.destroyed).toBe(true);
  });
});

describe('bad input over a socket', () => {
  const SIZE = 10 * 1024 * 1024;

  /** Posts 10 MB, keeping count of what the server let through before it closed. */
  function postTooMuch(
    port: number,
    headers: Record<string, string | number>,
  ): Promise<{ status: number; sent: number }> {
    return new Promise((resolve, reject) => {
      let status = 0;
      let socket: Socket | undefined;
      const post = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/v1/transactions', headers });
      post.on('socket', (s) => {
        socket = s;
      });
      post.on('response', (response) => {
        status = response.statusCode ?? 0;
        response.resume();
      });
      post.on('error', (error: NodeJS.ErrnoException) => {
        // The server closes while the rest of the body is on its way.
        if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
      });
      post.on('close', () => resolve({ status, sent: socket?.bytesWritten ?? 0 }));
      const chunk = Buffer.alloc(64 * 1024, 0x30);
      let left = SIZE;
      const write = () => {
        while (left > 0 && !post.destroyed) {
          left -= chunk.length;
          if (!post.write(chunk)) {
            post.once('drain', write);
            return;
          }
        }
        post.end();
      };
      write();
    });
  }

  it.each([
    ['announced', { 'content-length': SIZE }],
    ['chunked', { 'transfer-encoding': 'chunked' }],
  ])('answers a 10 MB body (%s) with 413 and reads only its beginning', async (_how, headers) => {
    const { port, backend, url } = await start();
    const { status, sent } = await postTooMuch(port, { 'content-type': 'application/octet-stream', ...headers });
    expect(status).toBe(413);
    // What fits into the kernel's buffers on loopback goes out before the connection closes; the rest never does.
    expect(sent).toBeLessThan(SIZE);
    expect(backend.calls).toEqual([]);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it('answers what is not HTTP, headers without end, and a request that never ends', async () => {
    const { port } = await start({ requestTimeoutMs: 200 });
    expect(await exchange(port, 'hello\r\n\r\n')).toEqual({ status: 400, type: PROBLEM, code: 'bad-request' });
    const long = `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`;
    expect(await exchange(port, long)).toEqual({ status: 431, type: PROBLEM, code: 'headers-too-large' });
    const slow =
      'POST /v1/transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{';
    expect(await exchange(port, slow)).toEqual({ status: 408, type: PROBLEM, code: 'request-timeout' });
  });

  it('upgrades nothing but the event socket', async () => {
    const { port } = await start();
    const head = 'host: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 100\r\n\r\n';
    const answer = await exchange(port, `POST /v1/transactions HTTP/1.1\r\ncontent-type: application/json\r\n${head}`);
    expect(answer).toMatchObject({ status: 400, code: 'bad-request' });
  });

  it('tells the miner when the caller hangs up', async () => {
    const { backend, port } = await start();
    backend.mine = (_blocks, signal) => {
      backend.mineSignal = signal;
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve({ kind: 'mined', blocks: [] }));
      });
    };
    const post = httpRequest({
      port,
      host: '127.0.0.1',
      method: 'POST',
      path: '/v1/mine',
      headers: { 'content-type': 'application/json' },
    });
    post.on('error', () => {});
    post.end('{"blocks":1000}');
    await eventually('mining began', () => backend.mineSignal !== undefined, 20_000);
    expect(backend.mineSignal?.aborted).toBe(false);
    post.destroy();
    await eventually('mining was told', () => backend.mineSignal?.aborted === true, 20_000);
  });
});

describe('requests sent before the answer to the last', () => {
  const GET = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;

  /** A connection that sends all of them at once. */
  function pipeline(port: number, paths: readonly string[]) {
    const socket = connect(port, '127.0.0.1', () => socket.write(paths.map(GET).join('')));
    let text = '';
    socket.setEncoding('utf8').on('error', () => {}); // 'close' follows
    socket.on('data', (data: string) => {
      text += data;
    });
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    return { socket, closed, statuses: () => [...text.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status) };
  }

  it('are answered one after the other, in order, each when the last has been sent', async () => {
    const { backend, port, url } = await start();
    const releases: (() => void)[] = [];
    const account = backend.account.bind(backend);
    backend.account = async (...args) => {
      await new Promise<void>((resolve) => releases.push(resolve));
      return account(...args);
    };
    const one = `/v1/accounts/${ADDRESS}`;
    const { statuses, socket } = pipeline(port, [one, '/nothing', one, '/%zz', one, '/healthz']);
    for (const [begun, sent] of [[], ['200', '404'], ['200', '404', '200', '400']].entries()) {
      await eventually('the next one is asked for', () => releases.length === begun + 1, 20_000);
      // Another connection is answered meanwhile, and nothing more of this one.
      expect((await fetch(`${url}/healthz`)).status).toBe(200);
      expect(releases).toHaveLength(begun + 1);
      await eventually('the ones before are answered', () => statuses().length === sent.length, 20_000);
      expect(statuses()).toEqual(sent);
      releases[begun]!();
    }
    await eventually('all are answered', () => statuses().length === 6, 20_000);
    expect(statuses()).toEqual(['200', '404', '200', '400', '200', '200']);
    expect(socket.destroyed).toBe(false);
    socket.destroy();
  });

  it('leave the event loop a turn between them', async () => {
    const { backend, port } = await start();
    const seen: string[] = [];
    const { account } = backend;
    backend.account = async (...args) => {
      seen.push('request');
      setImmediate(() => seen.push('turn'));
      return account.apply(backend, args);
    };
    const { statuses, socket } = pipeline(
      port,
      Array.from({ length: 10 }, () => `/v1/accounts/${ADDRESS}`),
    );
    await eventually('all are answered', () => statuses().length === 10 && seen.at(-1) === 'turn', 20_000);
    expect(seen).toEqual(Array.from({ length: 10 }, () => ['request', 'turn']).flat());
    socket.destroy();
  });

  it.each(['/v1/blocks/5', '/%zz'])('cost the connection when there are more than 16 (%s)', async (path) => {
    const { backend, port, url } = await start();
    const isReady = Promise.withResolvers<void>();
    const { account } = backend;
    backend.account = async (...args) => {
      await isReady.promise;
      return account.apply(backend, args);
    };
    const most = pipeline(port, [`/v1/accounts/${ADDRESS}`, ...Array.from({ length: 15 }, () => path)]);
    const more = pipeline(port, [`/v1/accounts/${ADDRESS}`, ...Array.from({ length: 1000 }, () => path)]);
    await more.closed;
    isReady.resolve();
    await eventually('sixteen are answered', () => most.statuses().length === 16, 20_000);
    expect(most.socket.destroyed).toBe(false);
    expect(more.statuses()).toEqual([]);
    // Of those of the connection that was cut none was begun but the first.
    const blocks = backend.calls.filter(([name]) => name === 'block').length;
    expect(blocks).toBe(path === '/v1/blocks/5' ? 15 : 0);
    // One that has been answered counts no more.
    most.socket.write(GET('/healthz').repeat(16));
    await eventually('sixteen more are answered', () => most.statuses().length === 32, 20_000);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    most.socket.destroy();
  });

  it('are not begun where the client is gone', async () => {
    const { backend, port, url } = await start();
    const isReady = Promise.withResolvers<void>();
    const { account } = backend;
    let isAsked = false;
    backend.account = async (...args) => {
      isAsked = true;
      await isReady.promise;
      return account.apply(backend, args);
    };
    const { socket, closed } = pipeline(port, [`/v1/accounts/${ADDRESS}`, '/v1/blocks/5']);
    await eventually('the first is asked for', () => isAsked, 20_000);
    socket.destroy();
    await closed;
    for (let turn = 0; turn < 5; turn++) expect((await fetch(`${url}/healthz`)).status).toBe(200);
    isReady.resolve();
    for (let turn = 0; turn < 5; turn++) expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect(backend.calls.map(([name]) => name)).toEqual(['account']);
  });
});

describe('answers that are not taken', () => {
  /** As large as certificates may be: more than the kernel's buffers hold. */
  async function startWithLargeCertificates(clock?: Clock) {
    const { backend, ...rest } = await start({}, clock);
    const certificate = (await backend.certificate(5n, undefined))!;
    const large = { ...certificate, headers: Array.from({ length: 50_000 }, () => 'ab'.repeat(180)) };
    backend.certificate = async () => large as never;
    return { backend, ...rest };
  }

  /** Asks, and reads the beginning of the first answer only. */
  async function askSilently(port: number, times = 1): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {}); // 'close' follows
    socket.write('GET /v1/agreement/certificate/5 HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(times));
    const head = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    socket.pause();
    expect(head.toString('latin1', 0, 12)).toBe('HTTP/1.1 200');
    return socket;
  }

  const statusOf = async (url: string): Promise<number> => {
    const answer = await fetch(`${url}/v1/agreement/certificate/5`);
    await answer.arrayBuffer();
    return answer.status;
  };

  it('lets a certificate count as one of two of an address until its reader has it or is gone', async () => {
    const { port, url } = await startWithLargeCertificates();
    const readers = [await askSilently(port), await askSilently(port)];
    expect(await statusOf(url)).toBe(429);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    readers[0]!.destroy();
    await vi.waitFor(async () => expect(await statusOf(url)).toBe(200), WAIT);
    // Whoever reads it all makes room without closing the connection.
    readers[1]!.resume();
    const other = await askSilently(port);
    await vi.waitFor(async () => expect(await statusOf(url)).toBe(200), WAIT);
    expect(readers[1]!.destroyed).toBe(false);
    for (const socket of [...readers, other]) socket.destroy();
  });

  it('cuts who has not taken an answer after 30 s', async () => {
    const clock = new ManualClock();
    const { port, url } = await startWithLargeCertificates(clock);
    const readers = [await askSilently(port), await askSilently(port)];
    clock.advance(29_999);
    expect(await statusOf(url)).toBe(429);
    clock.advance(1);
    await vi.waitFor(async () => expect(await statusOf(url)).toBe(200), WAIT);
    for (const socket of readers) {
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.resume();
      await closed;
    }
  });

  it('gives each of two answers of a connection 30 s of its own', async () => {
    const clock = new ManualClock();
    const { port, backend } = await startWithLargeCertificates(clock);
    const whole = JSON.stringify(await backend.certificate(5n, undefined)).length;
    const socket = await askSilently(port, 2);
    clock.advance(29_999);
    const isInSecond = new Promise<void>((resolve) => {
      socket.on('data', () => {
        if (socket.bytesRead < 1.01 * whole) return;
        socket.pause();
        resolve();
      });
    });
    socket.resume();
    await isInSecond;
    clock.advance(29_999);
    expect(clock.pending).toBe(1);
    const closed = new Promise((resolve) => socket.on('close', resolve));
    clock.advance(1);
    socket.removeAllListeners('data').resume();
    await closed;
    expect(socket.bytesRead).toBeLessThan(1.99 * whole);
  });

  it('keeps no timer of an answer that was taken, be it a refused upgrade', async () => {
    const clock = new ManualClock();
    const { url } = await start({}, clock);
    expect(await statusOf(url)).toBe(200);
    await vi.waitFor(() => expect(clock.pending).toBe(0), WAIT);
    await expect(listen(url, '?types=nonsense')).rejects.toThrow('HTTP 400');
    await vi.waitFor(() => expect(clock.pending).toBe(0), WAIT);
  });

  it('collects no certificate beside that of a reader who is gone, and none for who is gone before its turn', async () => {
    const clock = new ManualClock();
    const { backend, port, url } = await start({}, clock);
    const { certificate } = backend;
    const waiting: (() => void)[] = [];
    backend.certificate = async (height, state) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return certificate.call(backend, height, state);
    };
    const sockets = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    // The first to be answered is the one there is no room for.
    await Promise.race(
      sockets.map((socket) => {
        socket.write('GET /v1/agreement/certificate/5 HTTP/1.1\r\nhost: localhost\r\n\r\n');
        return new Promise((resolve) => socket.once('data', resolve));
      }),
    );
    await eventually('one is being collected', () => waiting.length === 1, 20_000);
    for (const socket of sockets) socket.destroy();
    // The server hears of it some time between these.
    for (let turn = 0; turn < 10; turn++) expect(await statusOf(url)).toBe(429);
    waiting[0]!();
    backend.certificate = certificate;
    await vi.waitFor(async () => expect(await statusOf(url)).toBe(200), WAIT);
    expect(waiting).toHaveLength(1);
    await vi.waitFor(() => expect(clock.pending).toBe(0), WAIT); // nobody is there whom a deadline could cut
  });
});

interface Client {
  readonly socket: WebSocket;
  readonly messages: { readonly type: string }[];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

function listen(url: string, query = '', headers: Record<string, string> = {}): Promise<Client> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/events${query}`, { headers });
    const messages: { type: string }[] = [];
    const closed = new Promise<{ code: number; reason: string }>((done) => {
      socket.on('close', (code, reason) => done({ code, reason: reason.toString() }));
    });
    socket.on('message', (data) => messages.push(JSON.parse(data.toString())));
    socket.on('unexpected-response', (_request, response) => reject(new Error(`HTTP ${response.statusCode}`)));
    socket.on('error', reject);
    socket.on('open', () => resolve({ socket, messages, closed }));
  });
}

describe('GET /v1/events', () => {
  it('carries hello, events of the types asked for, and heartbeats', async () => {
    const { backend, url } = await start({ events: { heartbeatMs: 50 } });
    const all = await listen(url);
    const blocks = await listen(url, '?types=final');
    await eventually('subscribed', () => backend.listeners.size === 1, 20_000);
    backend.emit({ ...FINAL, type: 'agreed', source: { height: '4', id: BLOCK_ID }, votes: 4, n: 5 });
    backend.emit(FINAL);
    const types = (client: Client) => client.messages.map((message) => message.type);
    await eventually('events arrived', () => types(all).includes('final') && types(blocks).includes('final'), 20_000);
    expect(types(all).filter((type) => type !== 'heartbeat')).toEqual(['hello', 'agreed', 'final']);
    expect(types(blocks).filter((type) => type !== 'heartbeat')).toEqual(['hello', 'final']);
    await eventually('heartbeat', () => types(all).includes('heartbeat'), 20_000);
    all.socket.close();
    blocks.socket.close();
    await eventually('unsubscribed', () => backend.listeners.size === 0, 20_000);
  });

  it('closes a client that stops reading with 1013', async () => {
    const { backend, url } = await start({ events: { maxQueuedBytes: 500_000, closeTimeoutMs: 20_000 } });
    const client = await listen(url);
    await eventually('hello', () => client.messages.length === 1, 20_000);
    client.socket.pause();
    const block: ChainEvent = {
      type: 'block',
      id: BLOCK_ID,
      height: '5',
      parent: BLOCK_ID,
      miner: '',
      timestampMs: '0',
      source: 'peer',
      txCount: 1000,
      transactions: Array.from({ length: 1000 }, () => BLOCK_ID),
    };
    const before = process.memoryUsage().arrayBuffers;
    // The kernel's buffers take some megabytes first.
    for (let emitted = 0; emitted < 5000; emitted += 1) {
      backend.emit(block);
      await nextTurn();
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50_000_000);
    client.socket.resume();
    const { code, reason } = await client.closed;
    expect([code, reason]).toEqual([1013, expect.stringContaining('too slow')]);
    expect(client.messages.length).toBeLessThan(5000);
  });

  it('refuses too many clients, foreign sites, unknown types, and plain GETs', async () => {
    const { url } = await start({ events: { maxClients: 1 } });
    await expect(listen(url, '', { origin: 'https://evil.example' })).rejects.toThrow('HTTP 403');
    await expect(listen(url, '?types=nonsense')).rejects.toThrow('HTTP 400');
    const first = await listen(url);
    await expect(listen(url)).rejects.toThrow('HTTP 503');
    const plain = await fetch(`${url}/v1/events`);
    expect([plain.status, plain.headers.get('content-type')]).toEqual([426, expect.stringContaining(PROBLEM)]);
    first.socket.close();
    await first.closed;
  });

  it('cuts a client that sends too much', async () => {
    const { url } = await start();
    const client = await listen(url);
    client.socket.send('x'.repeat(2000));
    expect((await client.closed).code).toBe(1009);
    const talker = await listen(url);
    for (let at = 0; at <= DEFAULT_EVENT_LIMITS.maxReceivedMessages; at++) talker.socket.send('');
    expect((await talker.closed).code).toBe(1006); // without a goodbye
  });

  it('says goodbye when the node stops', async () => {
    const { url, server } = await start();
    const client = await listen(url);
    await eventually('hello', () => client.messages.length === 1, 20_000);
    const [closed] = await Promise.all([client.closed, server.stop()]);
    expect(closed).toEqual({ code: 1001, reason: 'the node is stopping' });
  });
});
