import { expect, test } from 'vitest';
import { createSystemClock } from '../../../node/adapters.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const HOUR_MS = 3_600_000;

test.each([
  ['the system’s', createSystemClock],
  ['virtual', () => new VirtualClock(0)],
])('sleep of the %s clock rejects with the signal’s own reason, before and after it began', async (_which, create) => {
  const clock = create();
  const reason = new Error('stopping');
  const aborted = AbortSignal.abort(reason);
  await expect(clock.sleep(HOUR_MS, aborted)).rejects.toBe(reason);
  const controller = new AbortController();
  const sleeping = clock.sleep(HOUR_MS, controller.signal);
  controller.abort(reason);
  await expect(sleeping).rejects.toBe(reason);
  const silent = new AbortController();
  const other = clock.sleep(HOUR_MS, silent.signal);
  silent.abort();
  await expect(other).rejects.toBe(silent.signal.reason);
});

test('the system’s clock sleeps, calls once after the delay, and not when cancelled', async () => {
  const clock = createSystemClock();
  const beganMs = clock.monotonicMs();
  await clock.sleep(5, new AbortController().signal);
  expect(clock.monotonicMs() - beganMs).toBeGreaterThanOrEqual(4); // timers round to whole milliseconds
  const calls: string[] = [];
  const cancel = clock.after(1, () => calls.push('cancelled'));
  cancel();
  await new Promise<void>((resolve) => {
    clock.after(3, () => {
      calls.push('called');
      resolve();
    });
  });
  expect(calls).toEqual(['called']);
});
