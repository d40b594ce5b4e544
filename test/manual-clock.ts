/** Time for tests of one service at a time: it stands still until the test moves it. Nets have `sim/virtual-clock.ts`. */
import type { Clock } from '../node/ports.ts';

const START_MS = 1_700_000_000_000;

/** Wall-clock time begins in 2023 and monotonic time at zero, so that who takes one for the other is found out. */
export class ManualClock implements Clock {
  #sinceStartMs = 0;
  readonly #timers = new Set<{ readonly dueMs: number; readonly fn: () => void }>();

  nowMs(): number {
    return START_MS + this.#sinceStartMs;
  }

  monotonicMs(): number {
    return this.#sinceStartMs;
  }

  /** Timers that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#timers.size;
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { dueMs: this.#sinceStartMs + delayMs, fn };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  async sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const cancel = this.after(delayMs, resolve);
      signal.addEventListener('abort', () => {
        cancel();
        reject(signal.reason);
      });
    });
  }

  /** Moves on by `ms`, firing what comes due, in order. */
  advance(ms: number): void {
    const endMs = this.#sinceStartMs + ms;
    while (this.#fireNext(endMs));
    this.#sinceStartMs = endMs;
  }

  /** As `advance`, for what sets its next timer only in a promise: these settle before each one and at the end. */
  async advanceSettling(ms: number): Promise<void> {
    const endMs = this.#sinceStartMs + ms;
    do await settled();
    while (this.#fireNext(endMs));
    this.#sinceStartMs = endMs;
  }

  #fireNext(endMs: number): boolean {
    const [next] = [...this.#timers].sort((a, b) => a.dueMs - b.dueMs);
    if (next === undefined || next.dueMs > endMs) return false;
    this.#timers.delete(next);
    this.#sinceStartMs = Math.max(this.#sinceStartMs, next.dueMs);
    next.fn();
    return true;
  }
}

/** Lets chains of promises that wait for nothing else run to their ends: twenty links are more than any here has. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}
