/**
 * Time that moves only when told: a queue of timers, run in order of (time, order of creation).
 *
 * Services await promises between timers. After each timer the event loop gets one turn, in which Node runs
 * microtasks and `process.nextTick` callbacks until none is left: nothing that awaits only promises, the memory
 * store included, is still on its way when the next timer runs. So one seed gives one order of events.
 *
 * O(log n) per timer. Cancelled timers stay in the queue until their time has come.
 */
import type { Clock } from '../node/ports.ts';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  fn: (() => void) | undefined;
}

/** Timers in a row at one instant: more mean that something calls itself without time passing. */
const MAX_TIMERS_PER_INSTANT = 200_000;

/** A node's view of the clock. */
export interface NodeClock extends Clock {
  /** The node is dead: none of its timers fires any more. */
  kill(): void;
}

export class VirtualClock implements Clock {
  readonly #epochMs: number;
  readonly #heap: Timer[] = [];
  #elapsedMs = 0;
  #created = 0;
  #fired = 0;

  /** @param epochMs wall-clock time at the beginning */
  constructor(epochMs: number) {
    this.#epochMs = epochMs;
  }

  nowMs(): number {
    return this.#epochMs + Math.floor(this.#elapsedMs);
  }

  /** Virtual milliseconds since the beginning. */
  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** Timers that have fired. */
  get fired(): number {
    return this.#fired;
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer: Timer = { atMs: this.#elapsedMs + Math.max(0, delayMs), order: this.#created, fn };
    this.#created += 1;
    this.#push(timer);
    return () => {
      timer.fn = undefined;
    };
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  /** The clock as one node sees it: its wall clock is off by `offsetMs`, and it can die. */
  forNode(offsetMs: number): NodeClock {
    let isDead = false;
    const clock: NodeClock = {
      nowMs: () => this.nowMs() + offsetMs,
      monotonicMs: () => this.monotonicMs(),
      after: (delayMs, fn) =>
        this.after(delayMs, () => {
          if (!isDead) fn();
        }),
      sleep: (delayMs, signal) => sleepOn(clock, delayMs, signal),
      kill: () => {
        isDead = true;
      },
    };
    return clock;
  }

  /** Runs what is due in the next `durationMs`. */
  async run(durationMs: number): Promise<void> {
    await this.#advance(this.#elapsedMs + durationMs, () => false);
  }

  /**
   * Runs until the condition holds, looked at after each timer.
   * @returns whether it held within `withinMs`
   */
  runUntil(condition: () => boolean, withinMs: number): Promise<boolean> {
    return this.#advance(this.#elapsedMs + withinMs, condition);
  }

  /** Runs until the promise has settled, and returns or throws what it gave. */
  async runUntilSettled<T>(promise: Promise<T>, withinMs: number): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    if (!(await this.runUntil(() => isSettled, withinMs))) {
      throw new Error(`not settled within ${withinMs} virtual milliseconds`);
    }
    return promise;
  }

  async #advance(untilMs: number, condition: () => boolean): Promise<boolean> {
    let instant = this.#elapsedMs;
    let atInstant = 0;
    await settleMicrotasks();
    for (;;) {
      if (condition()) return true;
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#pop();
      const { fn } = next;
      if (fn === undefined) continue;
      this.#elapsedMs = next.atMs;
      atInstant = next.atMs === instant ? atInstant + 1 : 0;
      instant = next.atMs;
      if (atInstant > MAX_TIMERS_PER_INSTANT) throw new Error(`virtual time stands still at ${instant} ms`);
      this.#fired += 1;
      fn();
      await settleMicrotasks();
    }
    this.#elapsedMs = untilMs;
    return condition();
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(timer, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function sleepOn(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(signal.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** One turn of the event loop: microtasks and next ticks run to the end before it comes. */
function settleMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
