import { expect, test } from 'vitest';
import type { BlockId, Header } from '../../../chain/types.ts';
import { BEHIND_BLOCKS, CatchUpState } from '../../../node/sync/catch-up-state.ts';
import { HOLD_MS } from '../../../node/sync/hold-budget.ts';

const FIRST = 'first' as BlockId;
const MANY = 10;

function setUp() {
  let nowMs = 0;
  let again = 0;
  const known = new Set<BlockId>();
  const state = new CatchUpState({
    clock: { monotonicMs: () => nowMs },
    blockTimeMs: 1_000,
    hasBlock: (id) => known.has(id),
    onMayVoteAgain: () => {
      again += 1;
    },
  });
  const passMs = (ms: number): void => {
    nowMs += ms;
  };
  const connect = (blocks: number): void => {
    for (let at = 0; at < blocks; at++) state.onConnected();
  };
  return { state, known, passMs, connect, again: () => again };
}

const headerAt = (height: bigint): Header => ({ height, id: `block ${height}` }) as Header;

test('a node is behind until fewer than three blocks are missing, and votes again once the votes have come', () => {
  const { state, connect, again } = setUp();
  state.begin(MANY, FIRST);
  expect([state.isBehind, state.mayVote]).toEqual([true, false]);
  connect(MANY - BEHIND_BLOCKS + 1);
  expect([state.isBehind, state.mayVote]).toEqual([false, false]);
  connect(BEHIND_BLOCKS - 1);
  state.bodiesEnded('progress');
  expect([state.mayVote, again()]).toEqual([false, 0]);
  state.votesEnded('progress');
  expect([state.mayVote, again()]).toEqual([true, 1]);
});

test('a node that lacks fewer than three blocks goes on voting', () => {
  const { state, again } = setUp();
  state.begin(BEHIND_BLOCKS - 1, FIRST);
  expect([state.isBehind, state.isCatchingUp, state.mayVote]).toEqual([false, false, true]);
  state.bodiesEnded('nothing');
  state.end();
  expect(again()).toBe(0);
});

test('votes that come late take nothing off a download that was left over', () => {
  const { state, connect } = setUp();
  state.begin(MANY, FIRST);
  connect(MANY);
  state.bodiesEnded('progress');
  state.begin(MANY, 'of another branch' as BlockId);
  state.bodiesEnded('turn-over');
  state.votesEnded('progress'); // of the first
  expect([state.isBehind, state.mayVote]).toEqual([true, false]);
});

test('votes that come late take nothing off a download that goes on', () => {
  const { state, connect } = setUp();
  state.begin(MANY, FIRST);
  connect(MANY);
  state.bodiesEnded('progress');
  state.begin(MANY, 'of another branch' as BlockId);
  state.votesEnded('progress');
  expect(state.isBehind).toBe(true);
});

test('a download that is left over holds the node until nothing is being asked for any more', () => {
  const { state, again } = setUp();
  state.begin(MANY, FIRST);
  state.bodiesEnded('turn-over');
  expect(state.isBehind).toBe(true);
  state.end();
  expect([state.isBehind, again()]).toEqual([false, 1]);
});

test('what all have been asked for in vain counts again only when its first block comes', () => {
  const { state } = setUp();
  state.begin(MANY, FIRST);
  state.onWithheld(FIRST);
  state.bodiesEnded('nothing');
  state.begin(MANY, FIRST); // somebody else shows the same headers
  expect([state.isBehind, state.isCatchingUp]).toEqual([false, true]);
  state.onBody('another' as BlockId);
  expect(state.isBehind).toBe(false);
  state.onBody(FIRST);
  expect([state.isBehind, state.mayVote]).toEqual([true, false]);
});

test('however slowly blocks come, voting is held no longer than its budget, to which each block adds', () => {
  const { state, passMs } = setUp();
  state.begin(MANY, FIRST);
  passMs(HOLD_MS - 1);
  expect(state.isBehind).toBe(true);
  state.onConnected();
  passMs(1_000);
  expect(state.isBehind).toBe(true);
  passMs(1);
  expect([state.isBehind, state.mayVote, state.isCatchingUp]).toEqual([false, true, true]);
});

test('agreed blocks that nobody gives keep a node behind, without end, until they are there', () => {
  const { state, known, passMs } = setUp();
  expect(state.owe(headerAt(20n))).toBe(true);
  expect(state.owe(headerAt(20n))).toBe(false);
  expect(state.owe(headerAt(10n))).toBe(false);
  expect(state.owe(headerAt(30n))).toBe(true);
  passMs(10 * HOLD_MS);
  expect([state.isBehind, state.isStuck]).toEqual([true, true]);
  known.add(headerAt(30n).id);
  expect([state.isBehind, state.isStuck]).toEqual([false, false]);
  expect(state.owe(headerAt(10n))).toBe(true);
});
