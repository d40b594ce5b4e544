/** For callers of a node that may have more to do than it can: it answers 429, and says when to come again. */
import type { Clock } from '../node/ports.ts';
import { GrapevineError } from './client.ts';

/** When to give up: after so many calls, or when the next would be later than this on the monotonic clock. */
export type AdmissionLimit = { readonly tries: number } | { readonly untilMs: number };

const DEFAULT_LIMIT: AdmissionLimit = { tries: 5 };
/** Where the node does not say when. */
const DEFAULT_WAIT_S = 1;

/**
 * Calls again where the node is overloaded, after as long as it asks for.
 * @param limit default: five tries
 * @throws what the call threw, if it was something else, at the limit, or where the signal aborted meanwhile
 */
export async function untilAdmitted<T>(
  call: () => Promise<T>,
  clock: Clock,
  signal: AbortSignal,
  limit: AdmissionLimit = DEFAULT_LIMIT,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof GrapevineError) || error.status !== 429) throw error;
      const waitMs = (error.retryAfterS ?? DEFAULT_WAIT_S) * 1000;
      const isOver = 'tries' in limit ? tries >= limit.tries : clock.monotonicMs() + waitMs > limit.untilMs;
      if (isOver) throw error;
      await clock.sleep(waitMs, signal).catch(() => {
        throw error;
      });
    }
  }
}
