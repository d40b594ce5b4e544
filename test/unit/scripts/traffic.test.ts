import { expect, it } from 'vitest';
import { createSystemClock } from '../../../node/adapters.ts';
import type { ChainEvent, GrapevineClient, TransactionState } from '../../../scripts/client.ts';
import { Traffic } from '../../../scripts/devnet/traffic.ts';

function pendingEvent(id: string): ChainEvent {
  return { type: 'tx', id, state: 'pending' } as ChainEvent;
}

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
  const traffic = new Traffic(createSystemClock(), 0);
  for (const node of ['node1', 'node2']) traffic.onEvent(node, blockEvent('a', ['x', 'y']));
  traffic.onEvent('node1', blockEvent('b', ['z']));
  expect(traffic.txsInBlocks).toBe(3);
  expect(traffic.counts).toEqual({ submitted: 0, mined: 0, agreed: 0 }); // of its own load
});

it('how long a transaction takes counts from when it fell due, until the last node that was up then has it', () => {
  let nowMs = 100;
  const traffic = new Traffic({ ...createSystemClock(), monotonicMs: () => nowMs }, 1);
  traffic.onSent('00', 40, new Set(['node1', 'node2']));
  traffic.onSent('00', 90, new Set(['node1'])); // again, as nobody answered
  traffic.onEvent('node1', pendingEvent('00'));
  expect(traffic.propagationMs.max).toBe(0);
  nowMs = 160;
  traffic.onEvent('node2', pendingEvent('00'));
  expect(traffic.propagationMs).toEqual({ p50: 120, p99: 120, max: 120 });
  traffic.onSent('01', 150, new Set(['node1']));
  traffic.onRefused('01');
  traffic.onSent('01', 1_160, new Set(['node1']));
  nowMs = 1_170;
  traffic.onEvent('node1', pendingEvent('01'));
  expect(traffic.propagationMs).toEqual({ p50: 120, p99: 120, max: 120 });
});

it('of what fell due while it warmed up there is no latency and no rate, but a count', () => {
  let nowMs = 0;
  const traffic = new Traffic({ ...createSystemClock(), monotonicMs: () => nowMs }, 1);
  const at = (ms: number, block: string, id: string): void => {
    nowMs = ms;
    traffic.onTaken(id);
    traffic.onEvent('node1', blockEvent(block, [id]));
  };
  traffic.onSent('00', 0, new Set(['node1']));
  traffic.onSent('01', 1, new Set(['node1']));
  at(10, '1', '00');
  nowMs = 50;
  traffic.beginMeasuring();
  traffic.onSent('02', 50, new Set(['node1']));
  at(100, '2', '01');
  at(1_100, '3', '02');
  at(2_100, '4', '03');
  expect(traffic.propagationMs).toEqual({ p50: 1_050, p99: 1_050, max: 1_050 });
  expect(traffic.minedPerS).toBe(1);
  expect(traffic.counts).toMatchObject({ submitted: 4, mined: 4 });
});

it('a transaction counts as agreed with its block, or with one above it, or when a node says so; mined is less', async () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'] as const;
  const states = new Map<string, TransactionState>();
  const client = {
    transaction: async (id: string) => ({ id, state: states.get(id) ?? 'pending' }),
  } as unknown as GrapevineClient;
  const traffic = new Traffic(createSystemClock(), 200);
  for (const id of [a, b, c, d]) traffic.onTaken(id);
  traffic.onEvent('node1', blockEvent('1', [a]));
  traffic.onEvent('node1', blockEvent('2', [b, 'of another'], '1'));
  traffic.onEvent('node1', blockEvent('2 too', [c], '1'));
  expect(traffic.counts).toMatchObject({ submitted: 4, mined: 3, agreed: 0 });
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
