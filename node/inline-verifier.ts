/** Checks signatures on the calling thread, a few at a time, giving way to the event loop between slices. */
import type { SignatureBackend } from '../crypto/signature.ts';
import type { Clock, SignatureVerifier } from './ports.ts';

/** Longest stretch without giving way: keeps the event loop's delay below 20 ms. */
const SLICE_MS = 8;

export function createInlineVerifier(backend: SignatureBackend, clock: Clock): SignatureVerifier {
  return {
    async verify(items) {
      const results: boolean[] = [];
      let sliceStart = clock.monotonicMs();
      for (const item of items) {
        results.push(backend.verify(item));
        if (clock.monotonicMs() - sliceStart > SLICE_MS) {
          await new Promise<void>((resolve) => clock.after(0, resolve));
          sliceStart = clock.monotonicMs();
        }
      }
      return results;
    },
  };
}
