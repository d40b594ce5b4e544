/**
 * Checks signatures on the calling thread, a few at a time, giving way to the event loop between slices. Requests of
 * a priority are served one after another, bulk ones only while no urgent one waits.
 */
import type { SignatureBackend } from '../../crypto/signature.ts';
import type { Clock, SignatureItem, SignatureVerifier } from '../ports.ts';
import { SerialQueue } from '../serial-queue.ts';
import { VerifierBusyError } from './verifier-busy-error.ts';

/** Longest stretch without giving way: keeps the event loop's delay below 20 ms. */
const SLICE_MS = 8;
/** Bulk signatures that may wait: half a minute of noble's work, less than a second of the native backend's. */
const MAX_BULK_ITEMS = 8192;

/**
 * For commands, nodes that are to use no threads, and `VerifyPool` where a thread is not worth it or fails. Bulk
 * requests beyond what may wait are refused with VerifierBusyError, urgent ones never; an urgent one goes between two
 * slices of a bulk one.
 */
export function createInlineVerifier(backend: SignatureBackend, clock: Clock): SignatureVerifier {
  const lanes = { urgent: new SerialQueue(), bulk: new SerialQueue() };
  let urgent = 0;
  let bulkItems = 0;
  const turn = (): Promise<void> => new Promise((resolve) => clock.after(0, resolve));

  const check = async (items: readonly SignatureItem[], mayRun: () => boolean): Promise<readonly boolean[]> => {
    while (!mayRun()) await turn();
    const results: boolean[] = [];
    let sliceStart = clock.monotonicMs();
    for (const item of items) {
      results.push(backend.verify(item));
      if (clock.monotonicMs() - sliceStart <= SLICE_MS) continue;
      do await turn();
      while (!mayRun());
      sliceStart = clock.monotonicMs();
    }
    return results;
  };

  return {
    async verify(items, priority = 'urgent') {
      if (items.length === 0) return [];
      if (priority === 'urgent') {
        urgent += 1;
        try {
          return await lanes.urgent.run(() => check(items, () => true));
        } finally {
          urgent -= 1;
        }
      }
      if (bulkItems + items.length > MAX_BULK_ITEMS) throw new VerifierBusyError(bulkItems);
      bulkItems += items.length;
      try {
        return await lanes.bulk.run(() => check(items, () => urgent === 0));
      } finally {
        bulkItems -= items.length;
      }
    },
  };
}
