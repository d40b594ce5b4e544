/** For callers of a node that may have more to do than it can: it answers 429, and says when to come again. */
import type { Clock } from '../node/ports.ts';
import { GrapevineError } from './client.ts';

/** Of one call, at a node that is overloaded. */
const MAX_TRIES = 5;

/**
 * Calls again where the node is overloaded, after as long as it asks for.
 * @throws what the call threw, if it was something else, after the fifth time, or where the signal aborted meanwhile
 */
export async function untilAdmitted<T>(call: () => Promise<T>, clock: Clock, signal: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof GrapevineError) || error.status !== 429 || tries === MAX_TRIES) throw error;
      await clock.sleep((error.retryAfterS ?? 1) * 1000, signal).catch(() => {
        throw error;
      });
    }
  }
}
