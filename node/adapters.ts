/** Production adapters of the ports for the process's clock and randomness. */
import { randomFillSync } from 'node:crypto';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import type { Clock, Rng } from './ports.ts';

/** `sleep` rejects with the signal's own reason, also where it is aborted before. Timers keep the process alive. */
export function createSystemClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    after(delayMs, fn) {
      const timer = setTimeout(fn, delayMs);
      return () => clearTimeout(timer);
    },
    sleep: (delayMs, signal) =>
      delay(delayMs, undefined, { signal }).catch((error: unknown) => {
        throw signal.aborted ? signal.reason : error; // Node wraps the reason into an AbortError of its own
      }),
  };
}

/** Resolves when the event loop has had its turn: for long work that is done in slices. */
export function nextTurn(): Promise<void> {
  return turn();
}

/** Resolves after so many milliseconds: between the steps of work that can wait. Keeps the process alive. */
export function pause(delayMs: number): Promise<void> {
  return delay(delayMs);
}

/** From the system's generator, so fit for keys; `unit` has 32 random bits. */
export function createSystemRng(): Rng {
  const word = new Uint32Array(1);
  return {
    unit: () => {
      randomFillSync(word);
      return word[0]! / 2 ** 32;
    },
    bytes: (length) => randomFillSync(new Uint8Array(length)),
  };
}
