import { expect, test } from 'vitest';
import { NodeCounts } from '../../../scripts/devnet/node-counts.ts';

const gossip = { messages: 10, copies: 15, txs: 100, txCopies: 130 };

test('what a node has counted is added up over its processes, one that says no metrics among them', () => {
  const counts = new NodeCounts();
  counts.add({ internalErrors: 1, gossip }, 'a 1\ngrapevine_queue_dropped_total{kind="block"} 3\nb 2');
  counts.add({ internalErrors: 0, gossip }, '');
  expect({ ...counts }).toEqual({ errors: 1, messages: 20, copies: 30, txs: 200, txCopies: 260, blocksDropped: 3 });
});
