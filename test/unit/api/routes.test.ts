import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MAX_TX_BYTES } from '../../../chain/params.ts';
import { TX_REASONS } from '../../../chain/reasons.ts';
import { encodeTxBatch } from '../../../chain/tx-batch.ts';
import { bytesToHex } from '../../../crypto/bytes.ts';
import { MAX_SUBMIT_BATCH } from '../../../node/api/limits.ts';
import { StoreError } from '../../../node/store/store.ts';
import { alice, unsigned } from '../chain/chain-fixtures.ts';
import { ADDRESS, BLOCK_ID, buildTestApi, HUGE, OTHER, type TestApi, TX_ID } from './fake-backend.ts';

let api: TestApi;
beforeEach(async () => {
  api = await buildTestApi();
});
afterEach(async () => {
  await api.close();
});

interface Answer {
  readonly statusCode: number;
  readonly headers: Record<string, unknown>;
  json(): Record<string, unknown>;
}

function expectProblem(answer: Answer, status: number, code: string): Record<string, unknown> {
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  const body = answer.json();
  expect(body).toMatchObject({ type: 'about:blank', status, code });
  expect(answer.statusCode).toBe(status);
  expect(body.title).not.toBe('');
  expect(body.detail).not.toBe('');
  return body;
}

const submit = (payload: unknown) =>
  api.app.inject({ method: 'POST', url: '/v1/transactions', payload: payload as object });

describe('POST /v1/transactions/batch', () => {
  const submitBatch = (payload: unknown) =>
    api.app.inject({ method: 'POST', url: '/v1/transactions/batch', payload: payload as object });

  it('answers each by itself, in order', async () => {
    api.backend.submits = [
      { kind: 'accepted', id: TX_ID, parked: false },
      { kind: 'refused', reason: 'tx/balance-low', id: TX_ID },
      { kind: 'refused', reason: 'tx/malformed', detail: 'too short' },
      { kind: 'overloaded', retryAfterS: 1 },
      { kind: 'known', id: TX_ID, state: 'final', parked: false },
    ];
    const answer = await submitBatch({ txs: ['00', '01', '02', '03', '04'] });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({
      results: [
        { id: TX_ID, state: 'pending', parked: false },
        {
          code: 'tx/balance-low',
          detail: "the sender's balance does not cover amount and fee, together with what waits",
          id: TX_ID,
        },
        { code: 'tx/malformed', detail: 'too short' },
        { code: 'overloaded', detail: 'the node has more to do than it can; try again' },
        { id: TX_ID, state: 'final', parked: false },
      ],
    });
    expect(api.backend.calls).toEqual(['00', '01', '02', '03', '04'].map((hex) => ['submitTransaction', hex]));
  });

  it('takes the encoding that gossip uses, and says of other bytes what is wrong', async () => {
    const txs = [0, 1].map((nonce) => unsigned(alice, { nonce: BigInt(nonce) }));
    const send = (payload: Uint8Array) =>
      api.app.inject({
        method: 'POST',
        url: '/v1/transactions/batch',
        headers: { 'content-type': 'application/octet-stream' },
        payload: Buffer.from(payload),
      });
    expect((await send(encodeTxBatch(txs))).json().results).toHaveLength(2);
    expect(api.backend.calls).toEqual(txs.map(({ bytes }) => ['submitTransaction', bytesToHex(bytes)]));
    const bad = await send(encodeTxBatch(txs).subarray(1));
    expect(expectProblem(bad, 422, 'batch/malformed').detail).not.toBe('');
  });

  it('answers as for one where the node takes none for now', async () => {
    api.backend.submit = { kind: 'overloaded', retryAfterS: 1.2 };
    const busy = await submitBatch({ txs: ['00', '01'] });
    expectProblem(busy, 429, 'overloaded');
    expect(busy.headers['retry-after']).toBe('2');
    api.backend.submit = { kind: 'unavailable', code: 'disk-full', detail: 'no room' };
    expectProblem(await submitBatch({ txs: ['00'] }), 503, 'disk-full');
  });

  it('takes 500 of the longest, and no more', async () => {
    const longest = 'ab'.repeat(MAX_TX_BYTES);
    const full = await submitBatch({ txs: Array.from({ length: MAX_SUBMIT_BATCH }, () => longest) });
    expect(full.json().results).toHaveLength(MAX_SUBMIT_BATCH);
    const over = Array.from({ length: MAX_SUBMIT_BATCH + 1 }, () => '00');
    for (const txs of [[], over, ['0'], [7], 'ab']) expectProblem(await submitBatch({ txs }), 400, 'bad-request');
    const huge = Array.from({ length: MAX_SUBMIT_BATCH }, () => longest + longest);
    expectProblem(await submitBatch({ txs: huge }), 413, 'body-too-large');
  });
});

describe('POST /v1/transactions', () => {
  it('takes hex in JSON and answers 202', async () => {
    const answer = await submit({ tx: 'DEADbeef' });
    expect(answer.statusCode).toBe(202);
    expect(answer.json()).toEqual({ id: TX_ID, state: 'pending', parked: false });
    expect(api.backend.calls).toEqual([['submitTransaction', 'deadbeef']]);
  });

  it('takes raw bytes', async () => {
    const answer = await api.app.inject({
      method: 'POST',
      url: '/v1/transactions',
      headers: { 'content-type': 'application/octet-stream' },
      payload: Buffer.from([1, 2, 0xff]),
    });
    expect(answer.statusCode).toBe(202);
    expect(api.backend.calls).toEqual([['submitTransaction', '0102ff']]);
  });

  it('says when a nonce gap was parked', async () => {
    api.backend.submit = { kind: 'accepted', id: TX_ID, parked: true };
    expect((await submit({ tx: '00' })).json()).toEqual({ id: TX_ID, state: 'pending', parked: true });
  });

  it('answers 200 for what is known', async () => {
    api.backend.submit = { kind: 'known', id: TX_ID, state: 'final', parked: false };
    const answer = await submit({ tx: '00' });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({ id: TX_ID, state: 'final', parked: false });
  });

  it.each(TX_REASONS)('answers 422 with %s', async (reason) => {
    api.backend.submit = { kind: 'refused', reason, id: TX_ID, detail: 'because' };
    const body = expectProblem(await submit({ tx: '00' }), 422, reason);
    expect(body).toMatchObject({ id: TX_ID, detail: 'because' });
  });

  it('answers 429 with Retry-After when overloaded', async () => {
    api.backend.submit = { kind: 'overloaded', retryAfterS: 1.2 };
    const answer = await submit({ tx: '00' });
    expectProblem(answer, 429, 'overloaded');
    expect(answer.headers['retry-after']).toBe('2');
  });

  it.each([
    ['not-ready', '2'],
    ['disk-full', '30'],
    ['stopping', '2'],
  ] as const)('answers 503 when %s, to come again in %s s', async (code, retryAfterS) => {
    api.backend.submit = { kind: 'unavailable', code, detail: 'not now' };
    const answer = await submit({ tx: '00' });
    expectProblem(answer, 503, code);
    expect(answer.headers['retry-after']).toBe(retryAfterS);
  });

  it('answers 503 disk-full when the store says so', async () => {
    api.backend.submit = new StoreError('full', 'no space');
    expectProblem(await submit({ tx: '00' }), 503, 'disk-full');
  });

  it('answers 500 for our own bugs, logs them, and tells nothing of them', async () => {
    api.backend.submit = new TypeError('secret path /home/x');
    const body = expectProblem(await submit({ tx: '00' }), 500, 'internal-error');
    expect(JSON.stringify(body)).not.toContain('secret');
    expect(api.log.filter((line) => line.level === 'error')).toHaveLength(1);
  });

  it.each([
    ['odd hex', { tx: 'abc' }],
    ['not hex', { tx: 'zz' }],
    ['empty', { tx: '' }],
    ['a number', { tx: 12 }],
    ['nothing', {}],
    ['an array', []],
    ['an unknown key', { tx: '00', wait: true }],
  ])('refuses %s as bad-request', async (_name, payload) => {
    expectProblem(await submit(payload), 400, 'bad-request');
    expect(api.backend.calls).toEqual([]);
  });

  it('names the unknown and the missing key', async () => {
    expect((await submit({ tx: '00', wait: true })).json().detail).toContain("'wait'");
    expect((await submit({})).json().detail).toContain("'tx'");
  });

  it('refuses broken JSON, other types and no type', async () => {
    const post = (headers: Record<string, string>, payload: string) =>
      api.app.inject({ method: 'POST', url: '/v1/transactions', headers, payload });
    expectProblem(await post({ 'content-type': 'application/json' }, '{"tx":'), 400, 'bad-request');
    expectProblem(await post({ 'content-type': 'application/json' }, ''), 400, 'bad-request');
    expectProblem(await post({ 'content-type': 'text/plain' }, '{"tx":"00"}'), 415, 'unsupported-media-type');
    expectProblem(
      await post({ 'content-type': 'application/x-www-form-urlencoded' }, 'tx=00'),
      415,
      'unsupported-media-type',
    );
    const bare = await api.app.inject({ method: 'POST', url: '/v1/transactions' });
    expectProblem(bare, 415, 'unsupported-media-type');
    expect(api.backend.calls).toEqual([]);
  });

  it('refuses raw bytes where JSON is due', async () => {
    const answer = await api.app.inject({
      method: 'POST',
      url: '/v1/mine',
      headers: { 'content-type': 'application/octet-stream' },
      payload: Buffer.from('{"blocks":1}'),
    });
    expectProblem(answer, 415, 'unsupported-media-type');
  });

  it('keeps prototypes out of bodies', async () => {
    const answer = await api.app.inject({
      method: 'POST',
      url: '/v1/transactions',
      headers: { 'content-type': 'application/json' },
      payload: '{"tx":"00","__proto__":{"x":1}}',
    });
    expectProblem(answer, 400, 'bad-request');
  });

  it('answers 413 above 64 KiB', async () => {
    expect((await submit({ tx: '00'.repeat(32_000) })).statusCode).toBe(202);
    expectProblem(await submit({ tx: '00'.repeat(33_000) }), 413, 'body-too-large');
  });
});

describe('reading', () => {
  const get = (url: string) => api.app.inject({ method: 'GET', url });

  it('gives a transaction, amounts as decimal strings', async () => {
    const answer = await get(`/v1/transactions/${TX_ID.toUpperCase()}`);
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({ id: TX_ID, state: 'mined', transaction: { amount: HUGE, memoText: 'hi' } });
    expect(api.backend.calls).toEqual([['transaction', TX_ID]]);
  });

  it('answers 404 for an unknown transaction, 400 for a bad id', async () => {
    api.backend.statuses = [undefined];
    expect(expectProblem(await get(`/v1/transactions/${TX_ID}`), 404, 'not-found').id).toBe(TX_ID);
    expectProblem(await get('/v1/transactions/xyz'), 400, 'bad-request');
  });

  it('gives a dropped transaction that is known by id and reason only', async () => {
    api.backend.statuses = [{ id: TX_ID, state: 'dropped', reason: 'tx/expired', parked: false, confirmations: 0 }];
    expect((await get(`/v1/transactions/${TX_ID}`)).json()).toEqual({
      id: TX_ID,
      state: 'dropped',
      reason: 'tx/expired',
      parked: false,
      confirmations: 0,
    });
  });

  it('gives an account', async () => {
    const answer = await get(`/v1/accounts/${ADDRESS}`);
    expect(answer.json()).toEqual({
      address: ADDRESS,
      balance: HUGE,
      nonce: '3',
      pendingNonce: '4',
      waiting: { transactions: 1, parked: 0, amount: '7' },
    });
  });

  it('explains what is wrong with an address', async () => {
    const last = ADDRESS.at(-1) === 'q' ? 'p' : 'q';
    const typo = expectProblem(await get(`/v1/accounts/${ADDRESS.slice(0, -1)}${last}`), 400, 'bad-address');
    expect(typo.detail).toContain('checksum');
    expect(expectProblem(await get('/v1/accounts/bc1qxyz'), 400, 'bad-address').detail).toContain('prefix');
    expect(expectProblem(await get(`/v1/accounts/${'q'.repeat(150)}`), 400, 'bad-address').detail).toContain('long');
    expectProblem(await get(`/v1/accounts/${'q'.repeat(500)}`), 400, 'bad-request');
  });

  it('pages through history', async () => {
    const first = await get(`/v1/accounts/${ADDRESS}/history`);
    expect(first.json()).toMatchObject({ address: ADDRESS, next: '5.0', entries: [{ direction: 'out', to: OTHER }] });
    await get(`/v1/accounts/${ADDRESS}/history?limit=7&before=5.12`);
    await get(`/v1/accounts/${ADDRESS}/history?before=5`);
    expect(api.backend.calls).toEqual([
      ['history', ADDRESS, 20, undefined],
      ['history', ADDRESS, 7, { height: 5n, index: 12 }],
      ['history', ADDRESS, 20, { height: 5n }],
    ]);
  });

  it('gives blocks by id and by height', async () => {
    const byId = await get(`/v1/blocks/${BLOCK_ID}`);
    expect(byId.json()).toMatchObject({ id: BLOCK_ID, nonce: HUGE, transactions: [{ id: TX_ID }] });
    await get('/v1/blocks/5');
    expect(api.backend.calls).toEqual([
      ['block', { id: BLOCK_ID }],
      ['block', { height: 5n }],
    ]);
    expectProblem(await get('/v1/blocks/7'), 404, 'not-found');
  });

  it('lists blocks and mempool', async () => {
    expect((await get('/v1/blocks')).json()).toMatchObject({ blocks: [{ id: BLOCK_ID, state: 'agreed' }], next: '4' });
    await get('/v1/blocks?from=9&limit=100');
    expect((await get('/v1/mempool')).json()).toMatchObject({ count: 1, transactions: [{ id: TX_ID }] });
    expect(api.backend.calls).toEqual([
      ['blocks', undefined, 20],
      ['blocks', 9n, 100],
      ['mempool', 100],
    ]);
  });

  it.each([
    '/v1/blocks?limit=0',
    '/v1/blocks?limit=101',
    '/v1/blocks?limit=ten',
    '/v1/blocks?limit=1.5',
    '/v1/blocks?from=-1',
    '/v1/blocks?from=18446744073709551616',
    '/v1/blocks?form=1',
    '/v1/blocks/-1',
    '/v1/blocks/01',
    '/v1/blocks/18446744073709551616',
    '/v1/blocks/latest',
    '/v1/mempool?limit=1001',
    `/v1/accounts/${ADDRESS}/history?before=x`,
    '/v1/tip?x=1',
    '/v1/agreement/evidence?limit=0',
    '/v1/blocks/%zz',
  ])('refuses GET %s as bad-request', async (url) => {
    expectProblem(await get(url), 400, 'bad-request');
    expect(api.backend.calls).toEqual([]);
  });

  it('gives the tip with votes per height', async () => {
    const tip = (await get('/v1/tip')).json();
    expect(tip).toMatchObject({ n: 5, quorum: 4, stalled: false });
    expect(tip.votes[0].links[0]).toMatchObject({ voters: [ADDRESS, OTHER], agreed: false, source: { height: '4' } });
  });

  it('gives evidence, a page at a time', async () => {
    const page = (await get('/v1/agreement/evidence')).json();
    expect(page).toMatchObject({ offenders: 2, evidence: [{ kind: 'double', voter: ADDRESS }], next: ADDRESS });
    await get(`/v1/agreement/evidence?limit=1&after=${ADDRESS}`);
    expect(api.backend.calls).toEqual([
      ['evidence', 100, ''],
      ['evidence', 1, '07'.repeat(20)],
    ]);
    expectProblem(await get('/v1/agreement/evidence?after=nobody'), 400, 'bad-address');
  });

  it('takes two certificates of an address at a time, one after the other; who asks for a third hears when to ask again', async () => {
    const { certificate } = api.backend;
    const waiting: (() => void)[] = [];
    api.backend.certificate = async (height, state) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return certificate.call(api.backend, height, state);
    };
    const two = [get('/v1/agreement/certificate/5'), get('/v1/agreement/certificate/7')];
    const answers = Promise.all(two);
    await vi.waitFor(() => expect(waiting).toHaveLength(1), 20_000);
    const third = await get('/v1/agreement/certificate/5');
    expectProblem(third, 429, 'overloaded');
    expect(third.headers['retry-after']).toBe('1');
    waiting[0]!();
    await vi.waitFor(() => expect(waiting).toHaveLength(2), 20_000);
    waiting[1]!();
    expect((await answers).map(({ statusCode }) => statusCode)).toEqual([200, 404]);
    api.backend.certificate = certificate;
    expect((await get('/v1/agreement/certificate/5')).statusCode).toBe(200);
  });

  it('gives certificates by height', async () => {
    expect((await get('/v1/agreement/certificate/5')).json()).toEqual(await api.backend.certificate(5n, undefined));
    await get('/v1/agreement/certificate/5?state=agreed');
    expect(api.backend.calls.at(-1)).toEqual(['certificate', 5n, 'agreed']);
    const { tip } = await api.backend.tip();
    const missing = await get(`/v1/agreement/certificate/${BigInt(tip.height) + 2n}`);
    expectProblem(missing, 404, 'not-found');
    expect(missing.json().detail).toBe(`block ${BigInt(tip.height) + 2n}: the tip is at ${tip.height}`);
    expectProblem(await get('/v1/agreement/certificate/5?state=mined'), 400, 'bad-request');
    api.backend.certificate = async () => undefined;
    expect((await get('/v1/agreement/certificate/6')).json().detail).toBe('block 6: no votes here prove it agreed');
  });

  it('gives the genesis document as it is', async () => {
    expect((await get('/v1/genesis')).json()).toEqual(api.backend.genesis);
  });

  it('gives status and peers', async () => {
    expect((await get('/v1/status')).json()).toEqual(await api.backend.status());
    expect((await get('/v1/peers')).json()).toEqual(await api.backend.peers());
  });

  it('says what is missing until it is ready', async () => {
    expect((await get('/readyz')).json()).toEqual({ ready: true, missing: [] });
    api.backend.ready = { ready: false, missing: ['peers', 'sync'] };
    const body = expectProblem(await get('/readyz'), 503, 'not-ready');
    expect(body.missing).toEqual(['peers', 'sync']);
    expect((await get('/healthz')).json()).toEqual({ status: 'ok' });
  });

  it('gives Prometheus text', async () => {
    const answer = await get('/metrics');
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.body).toContain('grapevine_peers 4\n');
  });

  it('answers unknown paths and methods with 404', async () => {
    expectProblem(await get('/v2/nothing'), 404, 'not-found');
    expectProblem(await api.app.inject({ method: 'DELETE', url: '/v1/tip' }), 404, 'not-found');
  });
});

describe('administration', () => {
  it('mines, and says who may not', async () => {
    const mine = (payload: object) => api.app.inject({ method: 'POST', url: '/v1/mine', payload });
    expect((await mine({ blocks: 3 })).json()).toEqual({ blocks: [{ height: '7', id: BLOCK_ID }] });
    expect((await mine({})).statusCode).toBe(200);
    expect((await api.app.inject({ method: 'POST', url: '/v1/mine' })).statusCode).toBe(200);
    expect(api.backend.calls).toEqual([
      ['mine', 3],
      ['mine', 1],
      ['mine', 1],
    ]);
    for (const blocks of [0, 1001, 1.5, '3', null]) expectProblem(await mine({ blocks }), 400, 'bad-request');
    api.backend.mined = { kind: 'refused', detail: 'mining is off' };
    expect(expectProblem(await mine({ blocks: 1 }), 409, 'mine-refused').detail).toBe('mining is off');
  });

  it('connects and disconnects peers', async () => {
    const address = '/ip4/127.0.0.1/tcp/7502/p2p/12D3KooWOther';
    const connect = () => api.app.inject({ method: 'POST', url: '/v1/peers', payload: { address } });
    const added = await connect();
    expect([added.statusCode, added.json()]).toEqual([202, { address }]);
    api.backend.connect = { kind: 'bad-address', detail: 'no tcp in it' };
    expectProblem(await connect(), 400, 'bad-peer-address');
    const remove = (id: string) => api.app.inject({ method: 'DELETE', url: `/v1/peers/${id}` });
    const removed = await remove('12D3KooWOther');
    expect([removed.statusCode, removed.body]).toEqual([204, '']);
    expectProblem(await remove('12D3KooWNobody'), 404, 'not-found');
  });
});
