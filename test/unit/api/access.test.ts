import { afterEach, describe, expect, it } from 'vitest';
import { isLoopbackHost } from '../../../node/api/access.ts';
import { buildTestApi, type TestApi } from './fake-backend.ts';

const TOKEN = 'a-long-and-secret-token';
let api: TestApi;
afterEach(async () => {
  await api.close();
});

const ADMIN = [
  { method: 'POST', url: '/v1/mine', payload: { blocks: 1 } },
  { method: 'POST', url: '/v1/peers', payload: { address: '/ip4/127.0.0.1/tcp/1' } },
  { method: 'DELETE', url: '/v1/peers/12D3KooWOther' },
] as const;

async function adminStatuses(headers: Record<string, string>): Promise<string[]> {
  const answers: string[] = [];
  for (const call of ADMIN) {
    const answer = await api.app.inject({ ...call, headers });
    answers.push(answer.statusCode < 300 ? 'done' : `${answer.statusCode} ${answer.json().code}`);
  }
  return answers;
}

const all = (text: string) => ADMIN.map(() => text);

describe('administrative calls', () => {
  it('are open on loopback without a token', async () => {
    for (const host of ['127.0.0.1', '::1', 'localhost', '127.9.9.9']) {
      api = await buildTestApi({ host });
      expect(await adminStatuses({})).toEqual(all('done'));
      await api.close();
    }
  });

  it('are closed on other addresses without a token, and say how to open them', async () => {
    for (const adminToken of [undefined, '']) {
      api = await buildTestApi({ host: '0.0.0.0', ...(adminToken === undefined ? {} : { adminToken }) });
      expect(await adminStatuses({})).toEqual(all('403 admin-disabled'));
      expect(await adminStatuses({ authorization: 'Bearer ' })).toEqual(all('403 admin-disabled'));
      const answer = await api.app.inject(ADMIN[0]);
      expect(answer.json().detail).toContain('GRAPEVINE_ADMIN_TOKEN');
      expect(api.backend.calls).toEqual([]);
      await api.close();
    }
  });

  it.each(['0.0.0.0', '::', '10.1.2.3', '127.0.0.1'])('need the token once one is set (%s)', async (host) => {
    api = await buildTestApi({ host, adminToken: TOKEN });
    expect(await adminStatuses({})).toEqual(all('401 unauthorized'));
    for (const wrong of [
      'Bearer x',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(1)}`,
      `Basic ${TOKEN}`,
      TOKEN,
      'Bearer',
    ]) {
      expect(await adminStatuses({ authorization: wrong })).toEqual(all('401 unauthorized'));
    }
    expect(api.backend.calls).toEqual([]);
    expect(await adminStatuses({ authorization: `Bearer ${TOKEN}` })).toEqual(all('done'));
    expect(await adminStatuses({ authorization: `bearer ${TOKEN}` })).toEqual(all('done'));
    const challenge = await api.app.inject(ADMIN[0]);
    expect(challenge.headers['www-authenticate']).toBe('Bearer');
  });

  it('are refused before their body is looked at', async () => {
    api = await buildTestApi({ host: '0.0.0.0', adminToken: TOKEN });
    const answer = await api.app.inject({ method: 'POST', url: '/v1/mine', payload: { nonsense: 1 } });
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'unauthorized']);
  });

  it('leave the rest open', async () => {
    api = await buildTestApi({ host: '0.0.0.0', adminToken: TOKEN });
    const submit = await api.app.inject({ method: 'POST', url: '/v1/transactions', payload: { tx: '00' } });
    expect(submit.statusCode).toBe(202);
    expect((await api.app.inject('/v1/peers')).statusCode).toBe(200);
  });
});

describe('a browser next to a loopback node', () => {
  const submit = (headers: Record<string, string>) =>
    api.app.inject({ method: 'POST', url: '/v1/transactions', headers, payload: { tx: '00' } });

  it('reads nothing under a rebound name', async () => {
    api = await buildTestApi();
    for (const host of [
      'evil.example',
      'evil.example:7401',
      '127.0.0.1.evil.example',
      '192.168.0.9',
      'localhost.evil',
    ]) {
      const answer = await api.app.inject({ url: '/v1/status', headers: { host } });
      expect([answer.statusCode, answer.json().code], host).toEqual([403, 'host-not-allowed']);
    }
    for (const host of ['localhost', 'localhost:7401', '127.0.0.1:80', '[::1]:7401', 'LOCALHOST']) {
      expect((await api.app.inject({ url: '/v1/status', headers: { host } })).statusCode, host).toBe(200);
    }
  });

  it('changes nothing from another site', async () => {
    api = await buildTestApi();
    const refused: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'http://localhost:3000' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
    ];
    for (const headers of refused) {
      const answer = await submit({ host: 'localhost:7401', ...headers });
      expect([answer.statusCode, answer.json().code]).toEqual([403, 'origin-not-allowed']);
    }
    expect(api.backend.calls).toEqual([]);
    expect((await submit({ host: 'localhost:7401', origin: 'http://localhost:7401' })).statusCode).toBe(202);
    expect((await submit({ host: 'localhost:7401', 'sec-fetch-site': 'same-origin' })).statusCode).toBe(202);
  });

  it('is not told by CORS that it may', async () => {
    api = await buildTestApi();
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
    const preflight = await api.app.inject({ method: 'OPTIONS', url: '/v1/transactions', headers });
    expect(preflight.statusCode).toBe(403);
    expect(preflight.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('serves any name when it listens on more than loopback', async () => {
    api = await buildTestApi({ host: '0.0.0.0' });
    expect((await api.app.inject({ url: '/v1/status', headers: { host: 'node-1:7401' } })).statusCode).toBe(200);
  });
});

describe('isLoopbackHost', () => {
  it('knows loopback from the rest', async () => {
    api = await buildTestApi();
    for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '::1', '[::1]']) expect(isLoopbackHost(host)).toBe(true);
    for (const host of ['0.0.0.0', '::', '127.evil.example', '10.0.0.1', '', 'example.org']) {
      expect(isLoopbackHost(host)).toBe(false);
    }
  });
});
