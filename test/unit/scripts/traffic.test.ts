import { expect, it } from 'vitest';
import { chainIdFromBytes } from '../../../chain/codec.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import type { ChainEvent } from '../../../scripts/client.ts';
import { Traffic } from '../../../scripts/devnet/traffic.ts';
import { createSeededRng } from '../../../sim/seeded-rng.ts';

function blockEvent(id: string, transactions: readonly string[]): ChainEvent {
  return {
    type: 'block',
    id,
    height: '1',
    parent: '00',
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
  expect(traffic.counts).toEqual({ submitted: 0, mined: 0, rejected: 0 }); // of its own load
});
