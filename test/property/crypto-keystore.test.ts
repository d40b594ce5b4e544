import { describe, expect, test } from 'vitest';
import { isSecretKey } from '../../crypto/keys.ts';
import { decryptKeystore, encryptKeystore, KeystoreError } from '../../crypto/keystore.ts';
import { fc } from '../fast-check.ts';

const secretKeys = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter(isSecretKey);
const passwords = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const seeds = fc.nat(255);
const sourceOf = (seed: number) => (length: number) => new Uint8Array(length).fill(seed);

describe('keystores', () => {
  test('give the secret back to the password, and to no other', async () => {
    await fc.assert(
      fc.asyncProperty(secretKeys, passwords, passwords, seeds, async (secretKey, password, other, seed) => {
        const text = JSON.stringify(await encryptKeystore(secretKey, password, sourceOf(seed), { n: 4 }));
        expect(await decryptKeystore(text, password)).toEqual(secretKey);
        if (other.normalize('NFKC') === password.normalize('NFKC')) return;
        await expect(decryptKeystore(text, other)).rejects.toMatchObject({ code: 'wrong-password' });
      }),
      { numRuns: 50 },
    );
  });

  test('with one character changed: an error that does not blame the password, or the same secret', async () => {
    await fc.assert(
      fc.asyncProperty(
        secretKeys,
        fc.nat(),
        fc.string({ minLength: 1, maxLength: 1 }),
        async (secretKey, at, change) => {
          const text = JSON.stringify(await encryptKeystore(secretKey, 'password', sourceOf(1), { n: 4 }));
          const index = at % text.length;
          const outcome = await decryptKeystore(
            text.slice(0, index) + change + text.slice(index + 1),
            'password',
          ).catch((error: unknown) => error);
          if (outcome instanceof KeystoreError) expect(['damaged', 'unknown-version']).toContain(outcome.code);
          else expect(outcome).toEqual(secretKey);
        },
      ),
      { numRuns: 200 },
    );
  });
});
