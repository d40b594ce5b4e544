import { expect, test } from 'vitest';
import { burstMs, NonceGrinder } from '../../../node/mining/nonce-grinder.ts';
import type { Clock } from '../../../node/ports.ts';

const LOOK_MS = 0.25;

/** Moves on a little with each look; one timer, fired by the test. */
class LookedAtClock implements Clock {
  /** After the next look that follows a timer's first; then 0 again. */
  interruptionMs = 0;
  lookMs: number;
  #looksOfTimer = 0;
  now = 0;
  looks = 0;
  timer: { readonly delayMs: number; readonly fn: () => void } | undefined;

  constructor(lookMs = LOOK_MS) {
    this.lookMs = lookMs;
  }

  nowMs(): number {
    return this.monotonicMs();
  }

  monotonicMs(): number {
    this.looks += 1;
    this.now += this.lookMs;
    if (++this.#looksOfTimer === 2) {
      this.now += this.interruptionMs;
      this.interruptionMs = 0;
    }
    return this.now;
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { delayMs, fn };
    this.timer = timer;
    return () => {
      if (this.timer === timer) this.timer = undefined;
    };
  }

  sleep(): Promise<void> {
    return Promise.reject(new Error('nobody sleeps here'));
  }

  /** Waits for the timer and fires it; gives how long that was. */
  fire(): number {
    const { delayMs, fn } = this.timer!;
    this.timer = undefined;
    this.now += delayMs;
    this.#looksOfTimer = 0;
    fn();
    return delayMs;
  }
}

const BUDGET = 0.01;

/** Rests between bursts of a hopeless search on a thread that between them uses 50 ms for something else. */
function rests(ownsThread: boolean): number[] {
  const clock = new LookedAtClock();
  let othersMs = 0;
  const grinder = new NonceGrinder({
    budget: BUDGET,
    clock,
    ...(ownsThread && { usedMs: () => LOOK_MS * clock.looks + othersMs }),
    say: () => undefined,
  });
  grinder.post({ kind: 'search', id: 1, header: new Uint8Array(113), target: new Uint8Array(32), start: 0n });
  const taken: number[] = [];
  for (let i = 0; i < 6; i++) {
    taken.push(clock.fire());
    othersMs += 50;
  }
  grinder.stop();
  expect(clock.timer).toBeUndefined();
  return taken.slice(3);
}

test('on a thread that it shares its bursts alone are taken off the budget', () => {
  for (const rest of rests(false)) {
    expect(rest).toBeGreaterThan((0.9 * burstMs(BUDGET)) / BUDGET);
    expect(rest).toBeLessThan((1.3 * burstMs(BUDGET)) / BUDGET);
  }
});

/** A hopeless search on a shared thread whose batches take a millisecond, and stay as long as the first. */
function steadyGrinder() {
  const clock = new LookedAtClock(1);
  const hashes: number[] = [];
  const grinder = new NonceGrinder({
    budget: BUDGET,
    clock,
    say: (reply) => {
      if (reply.kind === 'progress') hashes.push(reply.hashes);
    },
  });
  grinder.post({ kind: 'search', id: 1, header: new Uint8Array(113), target: new Uint8Array(32), start: 0n });
  for (let i = 0; i < 4; i++) clock.fire();
  return { clock, hashes, grinder };
}

/** Looks at the clock when a burst begins and when its rest is worked out. */
const LOOKS_BESIDE = 2;
const WAKE_MS = 0.25;

test('of a small budget a burst and its wake-up are taken off, and the burst is ten times as long', () => {
  const { clock, grinder } = steadyGrinder();
  const batches = Math.ceil(burstMs(BUDGET));
  expect(clock.fire()).toBeCloseTo((batches + WAKE_MS) / BUDGET - batches - LOOKS_BESIDE);
  expect(burstMs(BUDGET)).toBeGreaterThanOrEqual(10 * WAKE_MS);
  grinder.stop();
});

test('what other processes take of a burst is not taken off the budget, and the next burst does as much as before', () => {
  const { clock, hashes, grinder } = steadyGrinder();
  const usual = clock.fire();
  const before = hashes.at(-1)!;
  clock.interruptionMs = 50;
  clock.fire();
  expect(clock.fire()).toBeLessThanOrEqual(usual); // the interrupted one tried one batch only
  expect(hashes.at(-1)).toBeGreaterThan(0.9 * before);
  grinder.stop();
});

test('a core that is slower for good has all of its time taken off, however fast it was and whatever one batch says', () => {
  const { clock, grinder } = steadyGrinder();
  for (let i = 0; i < 100; i++) clock.fire();
  clock.lookMs = 5;
  for (let i = 0; i < 150; i++) clock.fire(); // on this clock shorter batches are no quicker: the rate falls in steps
  clock.interruptionMs = -4.99; // one batch that seems fast
  clock.fire();
  const slowBatch = (5 + WAKE_MS) / BUDGET - 5 * (1 + LOOKS_BESIDE);
  expect(clock.fire()).toBeGreaterThan(0.95 * slowBatch);
  grinder.stop();
});

test('a burst that fails is told, and the grinder rests until it is given another search', () => {
  const clock = new LookedAtClock();
  const fault = new Error('nobody listens');
  const failures: unknown[] = [];
  const grinder = new NonceGrinder({
    budget: BUDGET,
    clock,
    say: ({ kind }) => {
      if (kind === 'progress') throw fault;
    },
    onFailure: (error) => failures.push(error),
  });
  const search = { kind: 'search', id: 1, header: new Uint8Array(113), target: new Uint8Array(32), start: 0n } as const;
  grinder.post(search);
  clock.fire();
  expect(failures).toEqual([fault]);
  expect(clock.timer).toBeUndefined();
  grinder.post(search);
  expect(clock.timer).toBeDefined();
  grinder.stop();
});

test('on a thread of its own all that the thread uses is', () => {
  for (const rest of rests(true)) expect(rest).toBeGreaterThan(50 / BUDGET);
});
