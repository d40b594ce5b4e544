import { expect, it, onTestFinished } from 'vitest';
import { chainIdFromBytes } from '../../../chain/codec.ts';
import type { Tx } from '../../../chain/types.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import type { Clock } from '../../../node/ports.ts';
import {
  type ChainEvent,
  type GrapevineClient,
  GrapevineError,
  type TransactionState,
} from '../../../scripts/client.ts';
import { devAccounts } from '../../../scripts/dev-accounts.ts';
import { Traffic } from '../../../scripts/devnet/traffic.ts';
import { createSeededRng } from '../../../sim/seeded-rng.ts';

function blockEvent(id: string, transactions: readonly string[], parent = '00'): ChainEvent {
  return {
    type: 'block',
    id,
    height: '1',
    parent,
    miner: 'gv1',
    timestampMs: '0',
    source: 'peer',
    txCount: transactions.length,
    transactions: [...transactions],
  };
}

it('the rate on the screen counts what anybody sent, each block once, however many nodes tell of it', () => {
  const traffic = new Traffic({
    nodes: () => [],
    accounts: [],
    chainId: chainIdFromBytes(new Uint8Array(32)),
    minFee: 1n,
    clock: createSystemClock(),
    rng: createSeededRng('traffic'),
    backend: nobleBackend,
    rate: 0,
  });
  for (const node of ['node1', 'node2']) traffic.onEvent(node, blockEvent('a', ['x', 'y']));
  traffic.onEvent('node1', blockEvent('b', ['z']));
  expect(traffic.txsInBlocks).toBe(3);
  expect(traffic.counts).toEqual({ submitted: 0, mined: 0, agreed: 0, rejected: 0, heldBack: 0 }); // of its own load
});

/** Load on one node, that answers the question for a nonce so. */
function trafficOn(account: () => Promise<never>, clock: Clock = createSystemClock(), rate = 100): Traffic {
  return trafficTo({ account } as unknown as GrapevineClient, clock, rate);
}

function trafficTo(client: GrapevineClient, clock: Clock, rate: number): Traffic {
  return new Traffic({
    nodes: () => [{ name: 'node1', client, isRunning: true }],
    accounts: devAccounts().slice(0, 2),
    chainId: chainIdFromBytes(new Uint8Array(32)),
    minFee: 1n,
    clock,
    rng: createSeededRng('traffic'),
    backend: nobleBackend,
    rate,
  });
}

it('a request that fails in a way nobody foresaw ends the run with that, and nothing before is left unhandled', async () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', onUnhandled);
  onTestFinished(() => void process.off('unhandledRejection', onUnhandled));
  const ending = new AbortController();
  const cancel = createSystemClock().after(2_000, () => ending.abort());
  onTestFinished(cancel);
  const traffic = trafficOn(async () => {
    throw new TypeError('no such field');
  });
  await expect(traffic.run(100, ending.signal)).rejects.toThrow('no such field');
  expect(ending.signal.aborted).toBe(false); // it ended by itself
  expect(unhandled).toEqual([]);
});

it('what a node refuses is counted, and the run goes on', async () => {
  const ending = new AbortController();
  let asked = 0;
  const traffic = trafficOn(async () => {
    asked += 1;
    if (asked === 4) ending.abort();
    throw new GrapevineError('forbidden', 'not from here', { status: 403 });
  });
  await traffic.run(1_000, ending.signal);
  expect(asked).toBeGreaterThanOrEqual(4);
  expect(traffic.counts.rejected).toBeGreaterThan(0);
});

it('of a batch that an overloaded node took in part, the rest is held back, and only a bad one is rejected', async () => {
  const ending = new AbortController();
  const codes = ['overloaded', 'tx/underfunded', undefined];
  const client = {
    account: async () => ({ pendingNonce: '0' }),
    submitBatch: async (txs: readonly Tx[]) =>
      txs.map(({ id }) => {
        const code = codes.shift();
        if (codes.length === 0) ending.abort();
        return code === undefined ? { id, state: 'pending' } : { id, code, detail: '' };
      }),
  } as unknown as GrapevineClient;
  const traffic = trafficTo(client, createSystemClock(), 1_000);
  await traffic.run(1_000, ending.signal);
  expect(traffic.counts).toMatchObject({ rejected: 1, heldBack: 1 });
});

it('a node that asks to wait is not sent more until then, and what was due meanwhile is counted', async () => {
  const ending = new AbortController();
  let nowMs = 0;
  const askedAtMs: number[] = [];
  const clock: Clock = {
    ...createSystemClock(),
    monotonicMs: () => nowMs,
    sleep: async (ms) => {
      await new Promise((resolve) => setImmediate(resolve));
      nowMs += ms;
    },
  };
  const busy = async (): Promise<never> => {
    askedAtMs.push(nowMs);
    if (askedAtMs.length === 2) ending.abort();
    throw new GrapevineError('overloaded', 'too much to do', { status: 429, retryAfterS: 5 });
  };
  const traffic = trafficOn(busy, clock, 10);
  await traffic.run(10, ending.signal);
  expect(askedAtMs).toEqual([0, 5_000]);
  expect(traffic.counts).toMatchObject({ rejected: 0, heldBack: 51 }); // one each 100 ms, both that were refused among them
});

it('a transaction counts as agreed with its block, or with one above it, or when a node says so; mined is less', async () => {
  const ending = new AbortController();
  const ids: string[] = [];
  const states = new Map<string, TransactionState>();
  const client = {
    account: async () => ({ pendingNonce: '0' }),
    submitBatch: async (txs: readonly Tx[]) => {
      ids.push(...txs.map(({ id }) => id));
      if (ids.length >= 4) ending.abort();
      return txs.map(({ id }) => ({ id, state: 'pending' }));
    },
    transaction: async (id: string) => ({ id, state: states.get(id) ?? 'pending' }),
  } as unknown as GrapevineClient;
  const traffic = trafficTo(client, createSystemClock(), 200);
  await traffic.run(200, ending.signal);
  const [a, b, c, d] = ids as [string, string, string, string];
  traffic.onEvent('node1', blockEvent('1', [a]));
  traffic.onEvent('node1', blockEvent('2', [b, 'of another'], '1'));
  traffic.onEvent('node1', blockEvent('2 too', [c], '1'));
  expect(traffic.counts).toMatchObject({ submitted: ids.length, mined: 3, agreed: 0 });
  for (const node of ['node1', 'node2']) {
    traffic.onEvent(node, {
      type: 'agreed',
      id: '2',
      height: '2',
      source: { height: '0', id: '00' },
      votes: 3,
      n: 3,
    });
  }
  expect(traffic.counts).toMatchObject({ mined: 3, agreed: 2 });
  states.set(c, 'final');
  states.set(d, 'mined');
  await traffic.recountAgreed(client, new AbortController().signal);
  expect(traffic.counts).toMatchObject({ mined: 4, agreed: 3 });
});
