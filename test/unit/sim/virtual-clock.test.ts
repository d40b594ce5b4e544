import { expect, test } from 'vitest';
import { createSeededRng } from '../../../sim/seeded-rng.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

test('timers fire in order of time, then of creation, and see their own time', async () => {
  const clock = new VirtualClock(1_000);
  const fired: string[] = [];
  const at = (delayMs: number, name: string): (() => void) =>
    clock.after(delayMs, () => fired.push(`${name} ${clock.monotonicMs()} ${clock.nowMs()}`));
  at(20, 'c');
  at(10, 'a');
  at(10, 'b');
  at(15, 'cancelled')();
  at(31, 'too late');
  await clock.run(30);
  expect(fired).toEqual(['a 10 1010', 'b 10 1010', 'c 20 1020']);
  expect(clock.monotonicMs()).toBe(30);
});

test('promises settle fully between two timers', async () => {
  const clock = new VirtualClock(0);
  const seen: string[] = [];
  clock.after(1, () => {
    void (async () => {
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
      await new Promise<void>((resolve) => process.nextTick(resolve));
      seen.push('promises');
    })();
  });
  clock.after(1, () => seen.push('second timer'));
  await clock.run(5);
  expect(seen).toEqual(['promises', 'second timer']);
});

test('sleep ends in time or with the reason of its signal', async () => {
  const clock = new VirtualClock(0);
  const controller = new AbortController();
  const slept = clock.sleep(10, controller.signal).then(() => clock.monotonicMs());
  const aborted = clock.sleep(100, controller.signal).catch((error: Error) => error.message);
  clock.after(20, () => controller.abort(new Error('enough')));
  await clock.run(50);
  expect(await slept).toBe(10);
  expect(await aborted).toBe('enough');
  await expect(clock.sleep(1, controller.signal)).rejects.toThrow('enough');
});

test('runUntil stops at the condition, or at the deadline', async () => {
  const clock = new VirtualClock(0);
  let count = 0;
  const tick = (): void => {
    count += 1;
    clock.after(10, tick);
  };
  tick();
  expect(await clock.runUntil(() => count === 5, 1_000)).toBe(true);
  expect(clock.monotonicMs()).toBe(40);
  expect(await clock.runUntil(() => count === 500, 100)).toBe(false);
  expect(clock.monotonicMs()).toBe(140);
});

test('a dead node’s timers do not fire; its clock is off by its offset', async () => {
  const clock = new VirtualClock(5_000);
  const node = clock.forNode(() => -2_000);
  const fired: string[] = [];
  node.after(10, () => fired.push('before'));
  node.after(30, () => fired.push('after'));
  clock.after(20, () => node.kill());
  await clock.run(50);
  expect(fired).toEqual(['before']);
  expect(node.nowMs()).toBe(3_050);
});

test('time that stands still is an error, not a hang', async () => {
  const clock = new VirtualClock(0);
  const again = (): void => void clock.after(0, again);
  again();
  await expect(clock.run(1)).rejects.toThrow('virtual time stands still');
});

test('a seed gives its numbers, a fork its own, and they are spread evenly', () => {
  const [first, second] = [createSeededRng('seed'), createSeededRng('seed')];
  expect(Array.from({ length: 5 }, first.unit)).toEqual(Array.from({ length: 5 }, second.unit));
  expect(first.bytes(16)).toEqual(second.bytes(16));
  const fork = createSeededRng('seed').fork('a');
  expect(fork.unit()).not.toBe(createSeededRng('seed').unit());
  const units = Array.from({ length: 20_000 }, first.unit);
  expect(Math.min(...units)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...units)).toBeLessThan(1);
  for (let decile = 0; decile < 10; decile++) {
    const inside = units.filter((unit) => Math.floor(unit * 10) === decile).length;
    expect(inside).toBeGreaterThan(1_800);
    expect(inside).toBeLessThan(2_200);
  }
  const draws = Array.from({ length: 20_000 }, () => first.exponential(100));
  expect(draws.reduce((sum, each) => sum + each, 0) / draws.length).toBeCloseTo(100, -1);
});
