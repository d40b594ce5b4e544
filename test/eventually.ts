/** Waiting for what real sockets, threads and processes do in their own time, in place of a pause that hopes. */
import { setTimeout as pause } from 'node:timers/promises';

/**
 * Asks `probe` again until it gives something but undefined or false; a probe that throws is asked again. Looks every
 * twentieth of the time it has waited, 1 ms to 100 ms: soon where it comes soon, and seldom where each look is a request.
 *
 * @param what what is waited for, for the error
 * @param deadlineMs less than the test has itself, or nobody learns what did not come: unit tests have 90 s
 * @throws Error with `what` and the probe's last error as its cause, once `deadlineMs` have passed
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 60_000,
): Promise<T> {
  const beganMs = performance.now();
  for (;;) {
    let cause: unknown;
    try {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      cause = error;
    }
    const waitedMs = performance.now() - beganMs;
    if (waitedMs > deadlineMs) throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause });
    await pause(Math.min(100, 1 + waitedMs / 20));
  }
}
