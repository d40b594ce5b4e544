import { expect, test } from 'vitest';
import { InFlightRequests } from '../../../node/sync/in-flight-requests.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

function setUp(): { readonly clock: VirtualClock; readonly requests: InFlightRequests<string> } {
  const clock = new VirtualClock(0);
  return { clock, requests: new InFlightRequests<string>(clock.forNode(() => 0)) };
}

const after = (clock: VirtualClock, ms: number, value: string): Promise<string> =>
  new Promise((resolve) => clock.forNode(() => 0).after(ms, () => resolve(value)));

test('answers are taken in the order in which they come, and say how long they took', async () => {
  const { clock, requests } = setUp();
  requests.ask('slow', after(clock, 200, 'late'));
  requests.ask('quick', after(clock, 100, 'soon'));
  const first = await clock.runUntilSettled(requests.next(Number.POSITIVE_INFINITY), 1_000);
  const second = await clock.runUntilSettled(requests.next(Number.POSITIVE_INFINITY), 1_000);
  expect([first, second]).toEqual([
    { peer: 'quick', tookMs: 100, value: 'soon' },
    { peer: 'slow', tookMs: 200, value: 'late' },
  ]);
  expect(requests.size).toBe(0);
});

test('a peer is asked one thing at a time, until its answer has been taken', async () => {
  const { clock, requests } = setUp();
  requests.ask('a', after(clock, 10, 'one'));
  await clock.run(50);
  expect([...requests.peers]).toEqual(['a']);
  expect(() => requests.ask('a', after(clock, 10, 'two'))).toThrow('asked already');
  expect((await requests.next(0))?.value).toBe('one');
  expect(requests.has('a')).toBe(false);
});

test('the wait for an answer ends after its time, and where somebody wakes it', async () => {
  const { clock, requests } = setUp();
  requests.ask('a', after(clock, 1_000, 'late'));
  expect(await clock.runUntilSettled(requests.next(300), 400)).toBeUndefined();
  const woken = requests.next(Number.POSITIVE_INFINITY);
  requests.wake();
  expect(await woken).toBeUndefined();
  expect((await clock.runUntilSettled(requests.next(5_000), 1_000))?.tookMs).toBe(1_000);
});

test('in the end all have answered, and nothing waits to be taken', async () => {
  const { clock, requests } = setUp();
  requests.ask('a', after(clock, 100, 'one'));
  requests.ask('b', after(clock, 900, 'two'));
  let hasEnded = false;
  const ended = requests.ended().then(() => {
    hasEnded = true;
  });
  await clock.run(500);
  expect(hasEnded).toBe(false);
  await clock.runUntilSettled(ended, 1_000);
  expect(requests.size).toBe(0);
});
