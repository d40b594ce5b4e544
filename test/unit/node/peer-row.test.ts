import { expect, test } from 'vitest';
import { PeerRow } from '../../../node/sync/peer-row.ts';
import type { PeerStatus } from '../../../node/sync/peer-status.ts';

/** Told apart by identity alone: the row does not look into them. */
const statusOf = (software: string): PeerStatus => ({ software }) as PeerStatus;

function setUp(): { readonly row: PeerRow; readonly gone: Set<string>; readonly passMs: (ms: number) => void } {
  let nowMs = 0;
  const gone = new Set<string>();
  const row = new PeerRow({ monotonicMs: () => nowMs }, (peer) => !gone.has(peer));
  return { row, gone, passMs: (ms) => (nowMs += ms) };
}

test('who speaks again keeps its place', () => {
  const { row } = setUp();
  row.note('a', statusOf('a1'));
  row.note('b', statusOf('b1'));
  row.note('a', statusOf('a2'));
  expect([...row.statuses].map(([peer, { software }]) => [peer, software])).toEqual([
    ['a', 'a2'],
    ['b', 'b1'],
  ]);
});

test('who is put last goes behind all others with what it said; who said nothing stays away', () => {
  const { row } = setUp();
  for (const peer of ['a', 'b']) row.note(peer, statusOf(peer));
  row.putLast('a');
  row.putLast('nobody');
  expect([...row.statuses.keys()]).toEqual(['b', 'a']);
});

test('who gave nothing is out of the row until it speaks, or at its end where it has spoken since', () => {
  const { row } = setUp();
  const asked = statusOf('a1');
  row.note('a', asked);
  row.note('b', statusOf('b1'));
  row.backOff('a', asked);
  expect([...row.statuses.keys()]).toEqual(['b']);
  row.note('a', statusOf('a2'));
  row.note('c', statusOf('c1'));
  row.backOff('a', asked);
  expect([...row.statuses.keys()]).toEqual(['b', 'c', 'a']);
});

test('each time that a peer gives nothing it is left alone twice as long, up to a minute, until it gives something', () => {
  const { row, passMs } = setUp();
  const asked = statusOf('a');
  const waits: number[] = [];
  const backOff = (): void => {
    row.backOff('a', asked);
    let waitMs = 0;
    for (; row.backedOff().includes('a'); waitMs += 500) passMs(500);
    waits.push(waitMs);
  };
  for (let times = 0; times < 8; times++) backOff();
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  row.believe('a');
  backOff();
  expect(waits.at(-1)).toBe(1_000);
});

test('nothing is kept of who is gone', () => {
  const { row, gone } = setUp();
  const asked = statusOf('a');
  row.note('a', asked);
  row.backOff('a', asked);
  row.forget('a');
  gone.add('a');
  row.backOff('a', asked); // its answer came after it had gone
  expect(row.backedOff()).toEqual([]);
  expect(row.statuses.size).toBe(0);
});
