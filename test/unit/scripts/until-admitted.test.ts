import { expect, test } from 'vitest';
import type { Clock } from '../../../node/ports.ts';
import { GrapevineError } from '../../../scripts/client.ts';
import { type AdmissionLimit, untilAdmitted } from '../../../scripts/until-admitted.ts';

const overloaded = (retryAfterS?: number) =>
  new GrapevineError('overloaded', 'more than it can', { status: 429, retryAfterS });

/** A call that throws these, one each time, and then gives 'taken'; and the waits between. */
function setUp(errors: readonly Error[], signal = new AbortController().signal, limit?: AdmissionLimit) {
  const waitsMs: number[] = [];
  const clock = {
    monotonicMs: () => waitsMs.reduce((sum, ms) => sum + ms, 0),
    sleep: async (ms: number, aborted: AbortSignal) => {
      waitsMs.push(ms);
      aborted.throwIfAborted();
    },
  } as Clock;
  const left = [...errors];
  const call = async (): Promise<string> => {
    const error = left.shift();
    if (error !== undefined) throw error;
    return 'taken';
  };
  return { result: untilAdmitted(call, clock, signal, limit), waitsMs, left };
}

test('who is told to come again does, after as long as it is told', async () => {
  const { result, waitsMs } = setUp([overloaded(3), overloaded()]);
  expect(await result).toBe('taken');
  expect(waitsMs).toEqual([3000, 1000]);
});

test('what is refused for another reason is not sent again', async () => {
  const refused = new GrapevineError('tx/balance-low', 'no', { status: 422 });
  const { result, waitsMs } = setUp([refused]);
  await expect(result).rejects.toBe(refused);
  expect(waitsMs).toEqual([]);
});

test('who is refused five times is told so, and asks no more', async () => {
  const { result, waitsMs, left } = setUp(Array.from({ length: 9 }, () => overloaded(1)));
  await expect(result).rejects.toMatchObject({ code: 'overloaded' });
  expect([waitsMs.length, left.length]).toEqual([4, 4]);
});

test('as often as it is allowed to', async () => {
  const { result, waitsMs, left } = setUp(
    Array.from({ length: 9 }, () => overloaded(1)),
    undefined,
    { tries: 2 },
  );
  await expect(result).rejects.toMatchObject({ code: 'overloaded' });
  expect([waitsMs.length, left.length]).toEqual([1, 7]);
});

test('or until a moment, however often, and not once more after it', async () => {
  const { result, waitsMs } = setUp(
    Array.from({ length: 99 }, () => overloaded(4)),
    undefined,
    { untilMs: 27_000 },
  );
  await expect(result).rejects.toMatchObject({ code: 'overloaded' });
  expect(waitsMs).toEqual([4000, 4000, 4000, 4000, 4000, 4000]);
});

test('who is told to stop while it waits gives what it was refused with', async () => {
  const { result } = setUp([overloaded(1)], AbortSignal.abort());
  await expect(result).rejects.toMatchObject({ code: 'overloaded' });
});
