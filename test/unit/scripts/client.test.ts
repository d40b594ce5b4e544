import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { chainIdFromBytes, decodeTx, makeTx } from '../../../chain/codec.ts';
import type { Tx } from '../../../chain/types.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import type { SubmitOutcome } from '../../../node/api/backend.ts';
import type { ChainEvent, TransactionStatus } from '../../../node/api/schemas.ts';
import { type ApiServer, type ApiServerOptions, createApiServer } from '../../../node/api/server.ts';
import {
  type ClientEvent,
  GrapevineClient,
  type GrapevineClientOptions,
  GrapevineError,
  type HttpRequest,
} from '../../../scripts/client.ts';
import { devAccount } from '../../../scripts/dev-accounts.ts';
import { createKeepAliveRequest } from '../../../scripts/devnet/keep-alive-request.ts';
import { runLoad, settleLoad } from '../../../scripts/load.ts';
import { eventually } from '../../eventually.ts';
import { silentLogger } from '../../loggers.ts';
import { ADDRESS, BLOCK_ID, bytesOf, CHAIN_ID, FakeBackend, HUGE, OTHER, TX_ID } from '../api/fake-backend.ts';

const started: ApiServer[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()));
});

async function startNode(options: Partial<ApiServerOptions> = {}, backend = new FakeBackend(), request?: HttpRequest) {
  const server = createApiServer({
    backend,
    clock: createSystemClock(),
    logger: silentLogger,
    metrics: async () => 'grapevine_peers 4\n',
    options: { host: '127.0.0.1', port: 0, ...options },
  });
  started.push(server);
  const { port } = await server.start();
  const client = new GrapevineClient({ url: `http://127.0.0.1:${port}/`, ...(request && { request }) });
  return { backend, server, port, client };
}

const errorOf = async (promise: Promise<unknown>): Promise<GrapevineError> => {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(GrapevineError);
  return error as GrapevineError;
};

/** Of the usual size; nobody looks at its signature. */
function txWithNonce(nonce: number): Tx {
  const { publicKey, address } = devAccount(0);
  const body = { chainId: chainIdFromBytes(new Uint8Array(32)), publicKey, nonce: BigInt(nonce), to: address };
  return makeTx({ ...body, amount: 1n, fee: 1n, memo: new Uint8Array(8) }, new Uint8Array(64));
}

const status = (state: TransactionStatus['state'], more: Partial<TransactionStatus> = {}): TransactionStatus => ({
  id: TX_ID,
  state,
  parked: false,
  confirmations: 0,
  ...more,
});

describe.each([
  ['fetch', undefined],
  ['connections that stay open', createKeepAliveRequest()],
])('GrapevineClient by %s', (_, request) => {
  const start = (options: Partial<ApiServerOptions> = {}, backend = new FakeBackend()) =>
    startNode(options, backend, request);
  const open = (options: GrapevineClientOptions) => new GrapevineClient({ ...options, ...(request && { request }) });

  it('reads everything there is to read', async () => {
    const { client, backend } = await start();
    expect((await client.status()).network.chainId).toBe(CHAIN_ID);
    expect((await client.tip()).quorum).toBe(4);
    expect(await client.genesis()).toEqual(backend.genesis);
    expect((await client.account(ADDRESS)).balance).toBe(HUGE);
    expect((await client.history(ADDRESS, { limit: 5, before: '5.1' })).next).toBe('5.0');
    expect((await client.block(5n)).id).toBe(BLOCK_ID);
    expect((await client.block(BLOCK_ID)).height).toBe('5');
    expect((await client.blocks({ from: 9n, limit: 2 })).blocks).toHaveLength(1);
    expect((await client.mempool({ limit: 3 })).count).toBe(1);
    expect((await client.transaction(TX_ID)).state).toBe('mined');
    expect((await client.peers()).peers).toHaveLength(1);
    expect(await client.metrics()).toContain('grapevine_peers');
    expect(await client.readiness()).toEqual({ ready: true, missing: [] });
    backend.ready = { ready: false, missing: ['sync'] };
    expect(await client.readiness()).toEqual({ ready: false, missing: ['sync'] });
    expect(await client.connectPeer('/ip4/1.2.3.4/tcp/5')).toEqual({ address: '/ip4/1.2.3.4/tcp/5' });
    await client.disconnectPeer('12D3KooWOther');
    expect((await client.mine(2)).blocks).toEqual([{ height: '7', id: BLOCK_ID }]);
    expect(backend.calls).toContainEqual(['history', ADDRESS, 5, { height: 5n, index: 1 }]);
    expect(backend.calls).toContainEqual(['blocks', 9n, 2]);
  });

  it('builds, signs and sends a transfer the node can read', async () => {
    const { client, backend } = await start();
    const sender = devAccount(1);
    const sent = await client.sendTransaction({ secretKey: sender.secretKey, to: OTHER, amount: 5n, memo: 'hé' });
    expect(sent).toMatchObject({ id: TX_ID, state: 'pending', parked: false, nonce: 4n, fee: 1000n });
    const hex = backend.calls.find(([name]) => name === 'submitTransaction')?.[1] as string;
    const decoded = decodeTx(Buffer.from(hex, 'hex'));
    expect(decoded).toMatchObject({
      ok: true,
      value: { chainId: CHAIN_ID, from: sender.address, nonce: 4n, amount: 5n, fee: 1000n },
    });
    expect(decoded.ok && Buffer.from(decoded.value.memo).toString()).toBe('hé');
  });

  it('throws the reason code when the node refuses', async () => {
    const { client, backend } = await start();
    backend.submit = { kind: 'refused', reason: 'tx/balance-low', id: TX_ID };
    const refused = await errorOf(client.submit(new Uint8Array(3)));
    expect(refused).toMatchObject({ code: 'tx/balance-low', status: 422, problem: { id: TX_ID } });
    backend.submit = { kind: 'overloaded', retryAfterS: 3 };
    expect(await errorOf(client.submit(new Uint8Array(3)))).toMatchObject({ code: 'overloaded', retryAfterS: 3 });
    const bad = await errorOf(client.sendTransaction({ secretKey: devAccount(0).secretKey, to: 'gv1x', amount: 1n }));
    expect(bad).toMatchObject({ code: 'client/bad-argument', status: 0 });
  });

  it('sends no more of a batch once the node takes no more, so that none stands behind a gap, and says what was taken', async () => {
    const { client, backend } = await start();
    // 356 of them fill the first of two requests.
    const txs = Array.from({ length: 400 }, (_, nonce) => txWithNonce(nonce));
    const taken = { kind: 'accepted', id: TX_ID, parked: false } as const;
    const busy = { kind: 'overloaded', retryAfterS: 3 } as const;
    const send = async (submits: SubmitOutcome[]) => {
      backend.submits = submits;
      backend.calls.length = 0;
      const results = await client.submitBatch(txs);
      return { results, asked: backend.calls.filter(([call]) => call === 'submitTransaction').length };
    };
    const inPart = await send([...Array.from({ length: 355 }, () => taken), busy]);
    expect(inPart.asked).toBe(356);
    expect(inPart.results).toHaveLength(400);
    expect(inPart.results.findIndex((result) => 'code' in result)).toBe(355);
    expect(inPart.results[399]).toMatchObject({ id: txs[399]!.id, code: 'overloaded' });
    const firstOnly = await send([
      ...Array.from({ length: 356 }, () => taken),
      ...Array.from({ length: 44 }, () => busy),
    ]);
    expect(firstOnly.asked).toBe(400);
    expect(firstOnly.results.map((result) => 'state' in result)).toEqual(txs.map((_, at) => at < 356));
    expect(firstOnly.results[356]).toMatchObject({ id: txs[356]!.id, code: 'overloaded', retryAfterS: 3 });
    backend.submit = busy;
    expect(await errorOf(client.submitBatch(txs))).toMatchObject({ code: 'overloaded', retryAfterS: 3 });
  });

  it('is refused administration without the token, and allowed it with the token', async () => {
    const { port, client } = await start({ adminToken: 'secret' });
    expect(await errorOf(client.mine())).toMatchObject({ code: 'unauthorized', status: 401 });
    const admin = open({ url: `http://127.0.0.1:${port}`, token: 'secret' });
    expect((await admin.mine()).blocks).toHaveLength(1);
  });

  it('says that no node answers, that something else does, and that the address is none', async () => {
    const { client, server } = await start();
    await server.stop();
    expect(await errorOf(client.status())).toMatchObject({
      code: 'client/no-answer',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    for (const [status, type, body] of [
      [404, 'text/html', '<html>'],
      [200, 'text/html', '<html>'],
      [200, 'application/json', 'null'],
      [400, 'application/problem+json', '<html>'],
      [400, 'application/problem+json', 'null'],
      [400, 'application/problem+json', '{"code":1}'],
    ] as const) {
      const other = createServer((_request, response) => {
        response.writeHead(status, { 'content-type': type }).end(body);
      });
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
      const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
      expect(await errorOf(open({ url }).status())).toMatchObject({ code: 'client/not-grapevine', status });
      await new Promise((resolve) => other.close(resolve));
    }
    expect(() => open({ url: '127.0.0.1:7401' })).toThrow(GrapevineError);
    expect(() => open({ url: 'ftp://x' })).toThrow(GrapevineError);
  });

  it.each([
    ['7', 7],
    ['0', 1],
    ['3000000', 60],
    ['-1', undefined],
    ['Wed, 21 Oct 2026 07:28:00 GMT', undefined],
  ])('told by what stands before a node to come again (Retry-After: %s) believes %s seconds', async (text, seconds) => {
    const proxy = createServer((_, response) => response.writeHead(429, { 'retry-after': text }).end());
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    const client = open({ url: `http://127.0.0.1:${port}` });
    expect(await errorOf(client.status())).toMatchObject({ status: 429, retryAfterS: seconds });
    await new Promise((resolve) => proxy.close(resolve));
  });

  it('gives up on a node that does not answer in time', async () => {
    const { port, backend } = await start();
    backend.status = () => new Promise(() => {});
    const client = open({ url: `http://127.0.0.1:${port}`, timeoutMs: 50 });
    expect(await errorOf(client.status())).toMatchObject({ code: 'client/timeout' });
  });
});

describe('waitFor', () => {
  it('waits until the transaction has come so far, even where it is not known yet', async () => {
    const { client, backend } = await startNode();
    backend.statuses = [undefined, status('pending'), status('mined'), status('agreed'), status('final')];
    expect((await client.waitFor(TX_ID, 'agreed', { pollMs: 1 })).state).toBe('agreed');
    expect(backend.statuses).toHaveLength(1);
  });

  it('throws the reason of a dropped transaction', async () => {
    const { client, backend } = await startNode();
    backend.statuses = [status('pending'), status('dropped', { reason: 'tx/expired' })];
    expect(await errorOf(client.waitFor(TX_ID, 'mined', { pollMs: 1 }))).toMatchObject({ code: 'tx/expired' });
  });

  it('says how far it came when time is up', async () => {
    const { client, backend } = await startNode();
    backend.statuses = [status('pending', { parked: true })];
    const error = await errorOf(client.waitFor(TX_ID, 'mined', { pollMs: 1, timeoutMs: 20 }));
    expect(error.code).toBe('client/timeout');
    expect(error.message).toContain('parked');
  });
});

describe('events', () => {
  const final = (height: string): ChainEvent => ({ type: 'final', id: BLOCK_ID, height });
  const agreed: ChainEvent = {
    type: 'agreed',
    id: BLOCK_ID,
    height: '1',
    source: { height: '0', id: BLOCK_ID },
    votes: 4,
    n: 5,
  };

  it('follows the node across a restart, and ends with the loop', async () => {
    const first = await startNode();
    const seen: ClientEvent[] = [];
    const lost: string[] = [];
    const following = (async () => {
      for await (const event of first.client.events(['final'], { onReconnect: (why) => lost.push(why) })) {
        seen.push(event);
        if (event.type === 'final' && event.height === '2') break;
      }
    })();
    await eventually('hello', () => seen.length === 1, 20_000);
    first.backend.emit(agreed);
    first.backend.emit(final('1'));
    await eventually('first event', () => seen.length === 2, 20_000);
    await first.server.stop();
    const second = await startNode({ port: first.port });
    await eventually('reconnected', () => second.backend.listeners.size === 1, 20_000);
    second.backend.emit(final('2'));
    await following;
    expect(seen.map((event) => event.type)).toEqual(['hello', 'final', 'hello', 'final']);
    expect(lost).toContain('the node is stopping');
    await eventually('the node forgot us', () => second.backend.listeners.size === 0, 20_000);
  });

  it('fails at once where no node answers', async () => {
    const { client, server } = await startNode();
    await server.stop();
    const error = await errorOf(client.events().next());
    expect(error.code).toBe('client/no-answer');
  });

  it('ends when its signal aborts', async () => {
    const { client, backend } = await startNode();
    const stop = new AbortController();
    const seen: string[] = [];
    const following = (async () => {
      for await (const event of client.events(undefined, { signal: stop.signal })) seen.push(event.type);
    })();
    await eventually('hello', () => seen.length === 1, 20_000);
    stop.abort();
    await following;
    expect(seen).toEqual(['hello']);
    await eventually('the node forgot us', () => backend.listeners.size === 0, 20_000);
  });
});

describe('load', () => {
  const clock = createSystemClock();

  it('keeps nonces in order, counts refusals by code, and asks for the nonce again after one', async () => {
    const { client, backend } = await startNode();
    const nonces: string[] = [];
    backend.submitTransaction = async (submitted) => {
      const decoded = decodeTx(bytesOf(submitted));
      if (!decoded.ok) throw new Error(decoded.detail);
      const { from, nonce } = decoded.value;
      const sent = `${from === devAccount(0).address ? 'a' : 'b'}${nonce}`;
      const isFirst = !nonces.includes(sent);
      nonces.push(sent);
      if (sent === 'a5' && isFirst) return { kind: 'refused', reason: 'tx/pool-full' };
      return { kind: 'accepted', id: decoded.value.id, parked: false };
    };
    const senders = [devAccount(0), devAccount(1)];
    const result = await runLoad({ client, senders, count: 8, ratePerS: 200, amount: 1n, clock });
    expect(result).toMatchObject({ submitted: 8, rejected: { 'tx/pool-full': 1 } });
    expect(result.accepted).toHaveLength(7);
    expect(nonces.filter((nonce) => nonce.startsWith('b'))).toEqual(['b4', 'b5', 'b6', 'b7']);
    expect(nonces.filter((nonce) => nonce.startsWith('a'))).toEqual(['a4', 'a5', 'a4', 'a5']);
    expect(backend.calls.filter(([name]) => name === 'account')).toHaveLength(3);
  });

  it('sends again what an overloaded node refused, when it says, and counts it where it goes on refusing', async () => {
    const { client, backend } = await startNode();
    const sleeps: number[] = [];
    const patient = { ...clock, sleep: async (ms: number) => void sleeps.push(ms) };
    let left = 3;
    const nonces: bigint[] = [];
    backend.submitTransaction = async (submitted) => {
      const decoded = decodeTx(bytesOf(submitted));
      if (!decoded.ok) throw new Error(decoded.detail);
      nonces.push(decoded.value.nonce);
      if (left-- > 0) return { kind: 'overloaded', retryAfterS: 7 };
      return { kind: 'accepted', id: decoded.value.id, parked: false };
    };
    const load = { client, senders: [devAccount(0)], ratePerS: 1e6, amount: 1n, clock: patient };
    expect(await runLoad({ ...load, count: 2 })).toMatchObject({ accepted: [{}, {}], rejected: {} });
    expect(nonces).toEqual([4n, 4n, 4n, 4n, 5n]);
    expect(sleeps.filter((ms) => ms >= 1000)).toEqual([7000, 7000, 7000]);
    left = Number.POSITIVE_INFINITY;
    expect(await runLoad({ ...load, count: 1 })).toMatchObject({ accepted: [], rejected: { overloaded: 1 } });
    const sent = nonces.length;
    await expect(runLoad({ ...load, count: 3, memo: 'm'.repeat(70_000) })).rejects.toThrow(RangeError); // no node's refusal
    expect(nonces).toHaveLength(sent);
  });

  it('settles: counts what was mined, dropped, and is open when time is up', async () => {
    const { client, backend } = await startNode();
    const ids = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(64));
    backend.transaction = async (id) => {
      if (id.startsWith('a')) return { ...status('final'), id };
      if (id.startsWith('b')) return { ...status('dropped', { reason: 'tx/replaced' }), id };
      return { ...status('pending'), id };
    };
    const accepted = ids.map((id) => ({ id, sender: 0 }));
    expect(await settleLoad(client, accepted, 'mined', { timeoutMs: 300, clock })).toEqual({
      reached: 1,
      dropped: { 'tx/replaced': 1 },
      open: 2,
    });
  });
});
