import { expect, test } from 'vitest';
import { ClockWatch } from '../../../node/clock-watch.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { addressAt } from '../../tree-fixtures.ts';
import { createTestLogger } from './test-logger.ts';

function setUp() {
  const clock = new VirtualClock(1_000_000_000);
  const { logger, lines } = createTestLogger();
  const watch = new ClockWatch({ clock, logger, maxFutureMs: 10_000 });
  const observe = (offsetMs: number, index = 0): void =>
    watch.observe({ miner: addressAt(index), timestampMs: BigInt(clock.nowMs() - offsetMs) });
  return { clock, lines, observe, watch };
}

test.each([
  ['ahead', 7_200_000, /about 7200 s ahead of its peers'/],
  ['behind', -7_200_000, /about 7200 s behind its peers'/],
  ['just too far behind', -10_001, /about 10 s behind/],
  ['just too far ahead', 25_001, /about 25 s ahead/],
])('says that the clock is %s once five blocks say so', (_way, offsetMs, message) => {
  const { lines, observe } = setUp();
  for (let at = 0; at < 4; at++) observe(offsetMs);
  expect(lines).toEqual([]);
  observe(offsetMs);
  expect(lines).toMatchObject([{ level: 'warn', fields: { offsetMs } }]);
  expect(lines[0]!.message).toMatch(message);
});

test('says so, to whoever asks, for as long as it is so', () => {
  const { observe, watch } = setUp();
  for (let at = 0; at < 5; at++) observe(-30_000);
  expect(watch.complaint).toMatch(/about 30 s behind/);
  observe(0);
  expect(watch.complaint).toBeUndefined();
});

test('says nothing within what the rules leave room for', () => {
  const { lines, observe } = setUp();
  for (const [index, offsetMs] of [0, -10_000, 25_000, 500, 100, -9_000].entries()) observe(offsetMs, index);
  expect(lines).toEqual([]);
});

test('a miner counts once, however many blocks it finds, and half of the miners are not most', () => {
  const { lines, observe } = setUp();
  observe(0, 0);
  observe(0, 1);
  for (let at = 0; at < 20; at++) observe(7_200_000, 2);
  expect(lines).toEqual([]);
  observe(7_200_000, 3);
  expect(lines).toEqual([]);
  observe(-7_200_000, 1); // off as well, but the other way
  expect(lines).toEqual([]);
  observe(7_200_000, 1);
  expect(lines).toHaveLength(1);
});

test('remembers the latest 32 miners, for ten minutes', async () => {
  const { clock, lines, observe } = setUp();
  for (let index = 0; index < 40; index++) observe(7_200_000, index);
  expect(lines).toHaveLength(1);
  for (let index = 40; index < 57; index++) observe(0, index);
  await clock.run(61_000);
  observe(0, 57); // 18 of 32 are right now: the oldest have been forgotten
  expect(lines).toHaveLength(1);
  await clock.run(601_000);
  observe(7_200_000, 0);
  expect(lines).toHaveLength(2);
});

test('repeats itself once a minute, and is silent when the clock is set', async () => {
  const { clock, lines, observe } = setUp();
  for (let at = 0; at < 60; at++) {
    observe(60_000);
    await clock.run(2_000);
  }
  expect(lines).toHaveLength(2);
  for (let at = 0; at < 60; at++) {
    observe(0);
    await clock.run(2_000);
  }
  expect(lines.length).toBeLessThanOrEqual(3);
  const said = lines.length;
  for (let at = 0; at < 60; at++) {
    observe(0);
    await clock.run(2_000);
  }
  expect(lines).toHaveLength(said);
});
