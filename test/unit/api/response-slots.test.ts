import { EventEmitter } from 'node:events';
import type { FastifyReply } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ResponseSlots } from '../../../node/api/response-slots.ts';
import { eventually } from '../../eventually.ts';
import { ADDRESS, BLOCK_ID, buildTestApi, type TestApi } from './fake-backend.ts';

class FakeReply extends EventEmitter {
  destroyed = false;
  readonly reply: FastifyReply;

  constructor(ip: string) {
    super();
    this.reply = { raw: this, request: { ip } } as unknown as FastifyReply;
  }

  close(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

describe('slots for responses', () => {
  it('count from when they are asked for until they are made and their readers have them or are gone', async () => {
    const answers = new ResponseSlots('things', 2);
    const [begun, ready] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()];
    const [first, second, third] = ['1', '2', '3'].map((ip) => new FakeReply(ip)) as [FakeReply, FakeReply, FakeReply];
    const makeOther = (): Promise<string> => answers.make(third.reply, async () => 'other');
    const made = answers.make(first.reply, () => {
      begun.resolve();
      return ready.promise;
    });
    const next = answers.make(second.reply, async () => 'next');
    const refusal = { status: 429, code: 'overloaded', extras: { headers: { 'retry-after': '1' } } };
    await expect(makeOther()).rejects.toMatchObject(refusal);
    await begun.promise;
    first.close(); // it is being made all the same
    await expect(makeOther()).rejects.toMatchObject(refusal);
    ready.resolve('first');
    expect([await made, await next]).toEqual(['first', 'next']);
    expect(await makeOther()).toBe('other'); // the place of the first
    await expect(makeOther()).rejects.toMatchObject(refusal);
    second.close();
    expect(await answers.make(new FakeReply('4').reply, async () => 'last')).toBe('last');
  });

  it('make room where they fail, and are not made for who is gone before their turn', async () => {
    const answers = new ResponseSlots('things', 1);
    for (let round = 0; round < 3; round++) {
      const [failing, gone] = [new FakeReply('1'), new FakeReply('1')];
      await expect(answers.make(failing.reply, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
      failing.close();
      let isMade = false;
      const making = answers.make(gone.reply, async () => {
        isMade = true;
      });
      gone.close();
      await expect(making).rejects.toThrow('the client is gone');
      expect(isMade).toBe(false);
    }
  });

  it('leave a quarter of the places to other addresses than one that does not read', async () => {
    const answers = new ResponseSlots('things', 4);
    const ask = (ip: string): Promise<string> => answers.make(new FakeReply(ip).reply, async () => 'made');
    const greedy = Array.from({ length: 3 }, () => new FakeReply('192.0.2.1'));
    for (const { reply } of greedy) expect(await answers.make(reply, async () => 'made')).toBe('made');
    await expect(ask('192.0.2.1')).rejects.toMatchObject({ status: 429 });
    expect(await ask('192.0.2.2')).toBe('made');
    await expect(ask('192.0.2.3')).rejects.toMatchObject({ status: 429 }); // four in all
    greedy[0]!.close();
    expect(await ask('192.0.2.1')).toBe('made');
  });
});

describe('blocks and lists', () => {
  const PATHS = [`/v1/blocks/${BLOCK_ID}`, '/v1/blocks', `/v1/accounts/${ADDRESS}/history`, '/v1/mempool'];
  let api: TestApi;
  beforeEach(async () => {
    api = await buildTestApi();
  });
  afterEach(() => api.close());

  it('are made one after another, and the rest of the node has a turn before each', async () => {
    const seen: string[] = [];
    const { block } = api.backend;
    api.backend.block = async (ref) => {
      seen.push('block');
      setImmediate(() => seen.push('turn'));
      return block.call(api.backend, ref);
    };
    const blocks = Promise.all(Array.from({ length: 10 }, () => api.app.inject(PATHS[0]!)));
    await api.app.inject('/healthz');
    seen.push('health');
    expect((await blocks).map(({ statusCode }) => statusCode)).toEqual(Array.from({ length: 10 }, () => 200));
    await eventually('the last turn', () => seen.at(-1) === 'turn', 20_000);
    expect(seen.indexOf('health')).toBeLessThan(4);
    const withoutHealth = seen.filter((each) => each !== 'health');
    expect(withoutHealth).toEqual(Array.from({ length: 10 }, () => ['block', 'turn']).flat());
  });

  it.each(PATHS)('are twelve at once of one address in all (%s)', async (path) => {
    const ready = Promise.withResolvers<void>();
    let asked = 0;
    const { block } = api.backend;
    api.backend.block = async (ref) => {
      asked += 1;
      await ready.promise;
      return block.call(api.backend, ref);
    };
    const held = Promise.all(Array.from({ length: 3 }, () => PATHS.map((each) => api.app.inject(each))).flat());
    await eventually('the first is being made', () => asked === 1, 20_000);
    const refused = await api.app.inject(path);
    expect([refused.statusCode, refused.json().code, refused.headers['retry-after']]).toEqual([429, 'overloaded', '1']);
    for (const other of ['/healthz', '/v1/tip', '/v1/status', `/v1/accounts/${ADDRESS}`]) {
      expect((await api.app.inject(other)).statusCode, other).toBe(200);
    }
    ready.resolve();
    for (const answer of await held) expect(answer.statusCode).toBe(200);
    expect((await api.app.inject(path)).statusCode).toBe(200);
  });
});
