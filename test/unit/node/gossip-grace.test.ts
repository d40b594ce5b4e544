import { beforeEach, expect, test } from 'vitest';
import type { BlockId } from '../../../chain/types.ts';
import { GOSSIP_GRACE_MS, GossipGrace, HEARD_KEPT, type NextBlock } from '../../../node/sync/gossip-grace.ts';
import type { PeerStatus } from '../../../node/sync/peer-status.ts';
import { ManualClock } from '../../manual-clock.ts';

let clock: ManualClock;
let grace: GossipGrace;
let over: number;

const NEXT: NextBlock = { height: 11n, totalWork: 220n };

/** Of a peer whose tip is the block with this id, the next one unless it says otherwise. */
const status = (id: string, { height, totalWork }: Partial<NextBlock> = {}): PeerStatus =>
  ({
    tip: { height: height ?? NEXT.height, id: id as BlockId },
    totalWork: totalWork ?? NEXT.totalWork,
  }) as PeerStatus;

function covers(id: string, claim: Partial<NextBlock> = {}): boolean {
  grace.hear(status(id, claim), NEXT);
  return grace.covers(status(id, claim), NEXT);
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

test('in whatever order they are asked about, the first whose time is over is told of', () => {
  covers('first');
  clock.advance(100);
  covers('second');
  clock.advance(1_800);
  covers('third');
  clock.advance(100);
  expect([covers('third'), covers('second'), over]).toEqual([true, true, 1]);
  clock.advance(100);
  expect([covers('second'), over]).toEqual([false, 2]);
});

test.each<[string, Partial<NextBlock>]>([
  ['more than one block', { height: 12n, totalWork: 240n }],
  ['a rival of the tip', { height: 10n, totalWork: 220n }],
  ['a rival branch of its length', { totalWork: 221n }],
])('%s is asked for at once', (_, claim) => {
  expect(covers('tip', claim)).toBe(false);
});

test('so is a tip that was heard of when it was further away, and one that the own chain has passed', () => {
  const far = status('far', { height: 12n, totalWork: 240n });
  grace.hear(far, NEXT);
  expect(grace.covers(far, { height: 12n, totalWork: 240n })).toBe(false);
  expect(covers('next')).toBe(true);
  expect(grace.covers(status('next'), { height: 12n, totalWork: 240n })).toBe(false);
});

test.each<[string, () => void, boolean]>([
  ['has not brought any block yet', () => (grace = new GossipGrace(clock, () => {})), false],
  ['did not bring the last one', () => grace.onBlock('sync'), false],
  ['brought one that was of no use', () => grace.onMissed(), false],
  ['brought the last that came from others', () => ['mined', 'reorg'].map((from) => grace.onBlock(from)), true],
  [
    'did not bring the last, and others were mined',
    () => ['sync', 'mined', 'reorg'].map((f) => grace.onBlock(f)),
    false,
  ],
  ['brings blocks again', () => ['sync', 'peer'].map((from) => grace.onBlock(from)), true],
])('where gossip %s', (_, happens, isLeft) => {
  happens();
  expect(covers('next')).toBe(isLeft);
});

test('what is waited for is told of when gossip is seen to fail', () => {
  expect(covers('next')).toBe(true);
  grace.onMissed();
  expect([covers('next'), over, clock.pending]).toEqual([false, 1, 0]);
  grace.onMissed();
  expect(over).toBe(1);
});

test('claims without end give none more time, and are not left to gossip themselves', () => {
  expect(covers('next')).toBe(true);
  for (let i = 1; i < HEARD_KEPT; i++) expect(covers(`claim ${i}`)).toBe(true);
  clock.advance(GOSSIP_GRACE_MS - 1);
  for (let i = 0; i < 1_000; i++) expect(covers(`other ${i}`)).toBe(false);
  expect([covers('next'), clock.pending]).toEqual([true, 1]);
  clock.advance(1);
  expect([covers('next'), over]).toEqual([false, 1]);
  expect(covers('later')).toBe(true);
});

test('once stopped it leaves nothing to gossip, and has no timer', () => {
  expect(covers('next')).toBe(true);
  grace.stop();
  expect([covers('next'), covers('later'), clock.pending]).toEqual([false, false, 0]);
});
