import { expect, test } from 'vitest';
import { Lifecycle } from '../../../node/lifecycle.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { recordingLogger } from '../../loggers.ts';

function setUp() {
  const clock = new VirtualClock(0);
  const { logger, lines } = recordingLogger();
  return { clock, lines, lifecycle: new Lifecycle({ clock, logger }), calls: [] as string[] };
}

test('parts stop in reverse order of start, and once', async () => {
  const { lifecycle, calls } = setUp();
  for (const name of ['a', 'b', 'c']) {
    await lifecycle.start({
      name,
      start: () => {
        calls.push(`start ${name}`);
      },
      stop: async () => {
        calls.push(`stop ${name}`);
      },
    });
  }
  await Promise.all([lifecycle.stop(), lifecycle.stop()]);
  await lifecycle.stop();
  expect(calls).toEqual(['start a', 'start b', 'start c', 'stop c', 'stop b', 'stop a']);
});

test('a part whose start fails is stopped too, with those before it', async () => {
  const { lifecycle, calls } = setUp();
  await lifecycle.start({ name: 'a', stop: () => void calls.push('stop a') });
  const failing = lifecycle.start({
    name: 'b',
    start: () => Promise.reject(new Error('port in use')),
    stop: () => void calls.push('stop b'),
  });
  await expect(failing).rejects.toThrow('port in use');
  await lifecycle.stop();
  expect(calls).toEqual(['stop b', 'stop a']);
});

test('a part that hangs is left behind after two seconds and named; the others stop', async () => {
  const { clock, lines, lifecycle, calls } = setUp();
  await lifecycle.start({ name: 'a', stop: () => void calls.push('stop a') });
  await lifecycle.start({ name: 'hangs', stop: () => new Promise(() => {}) });
  await clock.runUntilSettled(lifecycle.stop(), 5_000);
  expect(clock.monotonicMs()).toBe(2_000);
  expect(calls).toEqual(['stop a']);
  expect(lines).toMatchObject([{ level: 'warn', fields: { part: 'hangs', deadlineMs: 2_000 } }]);
});

test.each([
  [
    'throws',
    () => {
      throw new Error('no');
    },
  ],
  ['rejects', () => Promise.reject(new Error('no'))],
])('a part whose stop %s is logged; the others stop', async (_how, stop) => {
  const { lines, lifecycle, calls } = setUp();
  await lifecycle.start({ name: 'a', stop: () => void calls.push('stop a') });
  await lifecycle.start({ name: 'bad', stop });
  await lifecycle.stop();
  expect(calls).toEqual(['stop a']);
  expect(lines).toMatchObject([{ level: 'error', fields: { part: 'bad' }, message: 'failed to stop' }]);
});

test('whatever hangs, the stop is over within five seconds, and each part has had its turn', async () => {
  for (const hanging of [1, 2, 3, 5, 9]) {
    const { clock, lines, lifecycle, calls } = setUp();
    const names = Array.from({ length: 9 }, (_, index) => `part ${index}`);
    for (const [index, name] of names.entries()) {
      const hangs = index >= names.length - hanging;
      await lifecycle.start({
        name,
        stop: () => {
          calls.push(name);
          return hangs ? new Promise<void>(() => {}) : undefined;
        },
      });
    }
    await clock.runUntilSettled(lifecycle.stop(), 60_000);
    expect(clock.monotonicMs(), `${hanging} hang`).toBeLessThan(5_000);
    expect(calls).toEqual(names.toReversed());
    expect(lines).toHaveLength(hanging);
  }
});
