import { beforeEach, expect, test } from 'vitest';
import type { BlockId } from '../../../chain/types.ts';
import { GOSSIP_GRACE_MS, GossipGrace } from '../../../node/sync/gossip-grace.ts';
import type { PeerStatus } from '../../../node/sync/peer-status.ts';
import { ManualClock } from '../../manual-clock.ts';

let clock: ManualClock;
let grace: GossipGrace;
let over: number;

/** Of a peer whose tip is the block with this id. */
const status = (id: string, height = 11n): PeerStatus => ({ tip: { height, id: id as BlockId } }) as PeerStatus;

function covers(id: string, height = 11n): boolean {
  grace.hear(status(id, height), 10n);
  return grace.covers(status(id, height), 10n);
}

beforeEach(() => {
  clock = new ManualClock();
  over = 0;
  grace = new GossipGrace(clock, () => {
    over += 1;
  });
  grace.onBlock('peer');
});

test('the next block is left to gossip for two seconds since it was first heard of, and then looked at again', () => {
  expect(covers('next')).toBe(true);
  clock.advance(GOSSIP_GRACE_MS - 1);
  expect([covers('next'), over]).toEqual([true, 0]);
  clock.advance(1);
  expect([covers('next'), over]).toEqual([false, 1]);
  clock.advance(10 * GOSSIP_GRACE_MS);
  expect([covers('next'), over]).toEqual([false, 1]);
});

test('of two that were heard of one after the other each has its time', () => {
  expect(covers('one')).toBe(true);
  clock.advance(1_500);
  expect(covers('two')).toBe(true);
  clock.advance(500);
  expect([covers('one'), covers('two'), over]).toEqual([false, true, 1]);
  clock.advance(1_500);
  expect([covers('two'), over]).toEqual([false, 2]);
});

test('more than one block, and one at no greater height, are not', () => {
  expect([covers('two on top', 12n), covers('rival', 10n)]).toEqual([false, false]);
});

test('a tip that was heard of when it was further away is not', () => {
  grace.hear(status('far', 12n), 10n);
  expect(grace.covers(status('far', 12n), 11n)).toBe(false);
});

test.each<[string, () => void, boolean]>([
  ['has not brought any block yet', () => (grace = new GossipGrace(clock, () => {})), false],
  ['did not bring the last one', () => grace.onBlock('sync'), false],
  ['brought one that was of no use', () => grace.onMissed(), false],
  ['brought the last that came from others', () => ['mined', 'reorg'].map((from) => grace.onBlock(from)), true],
  ['brings blocks again', () => ['sync', 'peer'].map((from) => grace.onBlock(from)), true],
])('where gossip %s', (_, happens, isLeft) => {
  happens();
  expect(covers('next')).toBe(isLeft);
});

test('without end of claims only some are remembered, with one timer, which ends with it', () => {
  for (let i = 0; i < 1_000; i++) covers(`claim ${i}`);
  expect(clock.pending).toBe(1);
  grace.stop();
  expect(clock.pending).toBe(0);
});
