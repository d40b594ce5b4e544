import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { describe, expect, it } from 'vitest';
import { peerIdOfSeed } from '../../../node/net/identity.ts';
import { fc } from '../../fast-check.ts';

describe('peerIdOfSeed', () => {
  it('is the peer id that libp2p derives from the seed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 32 }), async (seed) => {
        const key = await generateKeyPairFromSeed('Ed25519', seed);
        expect(peerIdOfSeed(seed)).toBe(peerIdFromPrivateKey(key).toString());
      }),
      { numRuns: 20 },
    );
  });

  it('takes 32 bytes', () => {
    for (const length of [0, 31, 33, 64]) expect(() => peerIdOfSeed(new Uint8Array(length))).toThrow(RangeError);
  });
});
