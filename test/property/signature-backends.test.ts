/**
 * Every backend gives the answer of the reference for every input. A few thousand inputs here; `npm run test:long`
 * runs 100,000 (`GRAPEVINE_TEST_INPUTS`), of which noble needs some minutes.
 */

import { expect, test } from 'vitest';
import { bytesToHex, hexToBytes } from '../../crypto/bytes.ts';
import { isSecretKey, publicKeyOf } from '../../crypto/keys.ts';
import { loadSignatureBackend, SIGNATURE_BACKENDS } from '../../crypto/load-backend.ts';
import { nobleBackend } from '../../crypto/noble-backend.ts';
import { signDigest } from '../../crypto/sign.ts';
import type { SignatureParts, SigningBackend } from '../../crypto/signature.ts';
import { fc } from '../fast-check.ts';

const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const P = 2n ** 256n - 2n ** 32n - 977n;
const INPUTS = Number(process.env.GRAPEVINE_TEST_INPUTS ?? 2000);
const scalar = (value: bigint) => hexToBytes(value.toString(16).padStart(64, '0'));
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

/** Signing is slow too: a few signed items, of which each input is a mutant. */
const signed: readonly SignatureParts[] = fc
  .sample(fc.tuple(bytes(32), bytes(32).filter(isSecretKey)), { numRuns: 64, seed: 7337 })
  .map(([digest, secretKey]) => ({
    digest,
    signature: signDigest(digest, secretKey),
    publicKey: publicKeyOf(secretKey),
  }));

const edges = [0n, 1n, 2n, N / 2n, N / 2n + 1n, N - 2n, N - 1n, N, N + 1n, P - 1n, P, P + 1n, 2n ** 256n - 1n].map(
  scalar,
);
const FIELDS = ['digest', 'signature', 'publicKey'] as const;
const field = fc.constantFrom(...FIELDS);

type Mutation = (item: SignatureParts) => SignatureParts;
const mutations: fc.Arbitrary<Mutation> = fc.oneof(
  // The first is fast-check's favourite: what is left as it is stays good.
  fc.constant<Mutation>((item) => item),
  fc.tuple(field, fc.nat()).map(
    ([name, bit]): Mutation =>
      (item) => ({ ...item, [name]: flipped(item[name], bit) }),
  ),
  fc.tuple(field, fc.nat(70)).map(
    ([name, length]): Mutation =>
      (item) => ({ ...item, [name]: resized(item[name], length) }),
  ),
  fc.tuple(fc.boolean(), fc.constantFrom(...edges)).map(
    ([isR, edge]): Mutation =>
      (item) => {
        const signature = item.signature.length === 64 ? item.signature.slice() : new Uint8Array(64);
        signature.set(edge, isR ? 0 : 32);
        return { ...item, signature };
      },
  ),
  fc.constant<Mutation>((item) => (item.signature.length === 64 ? { ...item, signature: twin(item.signature) } : item)),
  fc.nat(255).map(
    (prefix): Mutation =>
      (item) => ({ ...item, publicKey: Uint8Array.of(prefix, ...item.publicKey.subarray(1)) }),
  ),
  fc.constantFrom(...edges).map(
    (x): Mutation =>
      (item) => ({ ...item, publicKey: Uint8Array.of(2, ...x) }),
  ),
  fc.tuple(bytes(32), bytes(64), bytes(32)).map(
    ([digest, signature, x]): Mutation =>
      () => ({
        digest,
        signature,
        publicKey: Uint8Array.of(2 + (x[0]! & 1), ...x),
      }),
  ),
  fc.nat(63).map(
    (other): Mutation =>
      (item) => ({ ...item, publicKey: signed[other]!.publicKey }),
  ),
);
const inputs = fc
  .tuple(fc.constantFrom(...signed), fc.array(mutations, { minLength: 1, maxLength: 2 }))
  .map(([item, chain]) => chain.reduce((mutant, mutate) => mutate(mutant), item));

test(`all backends agree on ${INPUTS} random and mutated inputs`, {
  timeout: 60_000 + INPUTS * 20,
}, async () => {
  const { passedOver } = await loadSignatureBackend('auto');
  const names = SIGNATURE_BACKENDS.filter((name) => !passedOver.some((each) => each.name === name));
  const backends = await Promise.all(names.map(async (name) => (await loadSignatureBackend(name)).backend));
  expect(names).toContain('wasm');
  const counts = { true: 0, false: 0 };
  fc.assert(
    fc.property(inputs, (item) => {
      const expected = nobleBackend.verify(item);
      counts[`${expected}`] += 1;
      expect(backends.filter((backend) => backend.verify(item) !== expected).map(({ name }) => name)).toEqual([]);
    }),
    { numRuns: INPUTS },
  );
  // Neither answer may be rare, or agreeing would be easy.
  expect(Math.min(counts.true, counts.false)).toBeGreaterThan(INPUTS / 20);
});

function flipped(data: Uint8Array, bit: number): Uint8Array {
  const copy = data.slice();
  if (copy.length > 0) copy[(bit >> 3) % copy.length]! ^= 1 << (bit & 7);
  return copy;
}

function resized(data: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(data.subarray(0, length));
  return copy;
}

function twin(signature: Uint8Array): Uint8Array {
  const s = BigInt(`0x${bytesToHex(signature.subarray(32))}`);
  if (s === 0n || s >= N) return signature;
  return Uint8Array.of(...signature.subarray(0, 32), ...scalar(N - s));
}

test('every backend signs with the bytes of the reference, and refuses what is no key', async () => {
  const others: SigningBackend[] = [];
  for (const name of SIGNATURE_BACKENDS) {
    if (name !== 'noble') others.push((await loadSignatureBackend(name)).backend);
  }
  fc.assert(
    fc.property(bytes(32), fc.oneof(bytes(32), fc.constantFrom(...edges), bytes(31)), (digest, secretKey) => {
      for (const backend of others) {
        if (secretKey.length === 32 && isSecretKey(secretKey)) {
          expect(bytesToHex(backend.sign(digest, secretKey))).toBe(bytesToHex(signDigest(digest, secretKey)));
        } else {
          expect(() => backend.sign(digest, secretKey)).toThrow(RangeError);
        }
      }
      expect(() => others[0]!.sign(digest.subarray(1), secretKey)).toThrow(RangeError);
    }),
    { numRuns: Math.min(INPUTS, 2_000) / 10 },
  );
});
