import { expect } from 'vitest';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import type { SignatureItem, SignatureVerifier, VerifyPriority } from '../../../node/ports.ts';
import { VerifierBusyError } from '../../../node/verify/verifier-busy-error.ts';

/** Answers a request when the test says so, in any order. */
export class HeldVerifier implements SignatureVerifier {
  readonly calls: {
    readonly items: readonly SignatureItem[];
    readonly priority: VerifyPriority;
    answer(): void;
    /** Without looking: none is good. */
    refuse(): void;
  }[] = [];
  isBusy = false;

  verify(items: readonly SignatureItem[], priority: VerifyPriority = 'urgent'): Promise<readonly boolean[]> {
    if (this.isBusy && priority === 'bulk') return Promise.reject(new VerifierBusyError(9));
    return new Promise((resolve) => {
      this.calls.push({
        items,
        priority,
        answer: () => resolve(items.map((item) => nobleBackend.verify(item))),
        refuse: () => resolve(items.map(() => false)),
      });
    });
  }

  /** Resolves when `count` requests have come. */
  async waitFor(count: number): Promise<void> {
    await expect.poll(() => this.calls.length, { interval: 1, timeout: 5000 }).toBeGreaterThanOrEqual(count);
  }
}
