import { expect, test } from 'vitest';
import type { SignatureItem, SignatureVerifier, VerifyPriority } from '../../../node/ports.ts';
import { createRememberingVerifier } from '../../../node/verify/remembering-verifier.ts';
import { VerifierBusyError } from '../../../node/verify/verifier-busy-error.ts';

const item = (digest: number, signature = 0): SignatureItem => ({
  digest: new Uint8Array(32).fill(digest),
  signature: new Uint8Array(64).fill(signature),
  publicKey: new Uint8Array(33),
});

/** Finds even digests good; answers when told. */
function makeVerifier() {
  const calls: {
    readonly digests: number[];
    readonly priority: VerifyPriority | undefined;
    answer(): void;
    refuse(): void;
  }[] = [];
  const verifier: SignatureVerifier = {
    verify: (items, priority) =>
      new Promise((resolve, reject) => {
        const digests = items.map(({ digest }) => digest[0]!);
        const answer = (): void => resolve(digests.map((digest) => digest % 2 === 0));
        calls.push({ digests, priority, answer, refuse: () => reject(new VerifierBusyError(1)) });
      }),
  };
  return { calls, verifier: createRememberingVerifier(verifier) };
}

test('a good signature is checked once, a bad one each time', async () => {
  const { calls, verifier } = makeVerifier();
  const first = verifier.verify([item(2), item(3)], 'bulk');
  calls[0]!.answer();
  expect(await first).toEqual([true, false]);
  const again = verifier.verify([item(3), item(2), item(4)]);
  expect(calls[1]).toMatchObject({ digests: [3, 4], priority: 'urgent' });
  calls[1]!.answer();
  expect(await again).toEqual([false, true, true]);
  expect(await verifier.verify([item(4), item(2)])).toEqual([true, true]);
  expect(calls.length).toBe(2);
});

test('another signature for the same digest is another matter', async () => {
  const { calls, verifier } = makeVerifier();
  const first = verifier.verify([item(2)]);
  calls[0]!.answer();
  await first;
  void verifier.verify([item(2, 1)]);
  expect(calls[1]?.digests).toEqual([2]);
});

test('what is being checked is waited for, within a request too', async () => {
  const { calls, verifier } = makeVerifier();
  const both = [verifier.verify([item(2), item(2), item(5)], 'bulk'), verifier.verify([item(5), item(2)], 'bulk')];
  calls[0]!.answer();
  expect(await Promise.all(both)).toEqual([
    [true, true, false],
    [false, true],
  ]);
  expect(calls.map(({ digests }) => digests)).toEqual([[2, 5]]);
});

test('what is urgent does not wait for bulk', async () => {
  const { calls, verifier } = makeVerifier();
  const bulk = verifier.verify([item(2)], 'bulk');
  const urgent = verifier.verify([item(2)]);
  expect(calls.map(({ priority }) => priority)).toEqual(['bulk', 'urgent']);
  calls[1]!.answer();
  expect(await urgent).toEqual([true]);
  calls[0]!.answer();
  expect(await bulk).toEqual([true]);
});

test('a refusal is passed on and forgotten', async () => {
  const { calls, verifier } = makeVerifier();
  const refused = verifier.verify([item(2)], 'bulk');
  const joined = verifier.verify([item(2)], 'bulk');
  calls[0]!.refuse();
  await expect(refused).rejects.toThrow(VerifierBusyError);
  await expect(joined).rejects.toThrow(VerifierBusyError);
  const again = verifier.verify([item(2)], 'bulk');
  calls[1]!.answer();
  expect(await again).toEqual([true]);
});

test('wrong lengths are false without being asked', async () => {
  const { calls, verifier } = makeVerifier();
  expect(await verifier.verify([{ ...item(2), publicKey: new Uint8Array(65) }])).toEqual([false]);
  expect(calls).toEqual([]);
});
