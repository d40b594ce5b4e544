import { expect, test } from 'vitest';
import { KIND } from '../../node/store/keys.ts';
import { applyFixes } from '../../node/store/verify-store.ts';
import { fc } from '../fast-check.ts';
import { openMemoryStore } from '../unit/store/open-store.ts';
import { realGenesis, VOTERS } from '../unit/store/real-chain.ts';
import { databaseOf, examine, makeSoundRecords } from '../unit/store/sound-store.ts';

const LENGTH = 12;
const sound = await makeSoundRecords(LENGTH);
const VOTER = VOTERS[0]!.address;

const damage = fc.record({
  /** Which record. */
  at: fc.nat({ max: sound.length - 1 }),
  how: fc.constantFrom('flip', 'cut', 'delete', 'swap'),
  bit: fc.nat({ max: 10_000 }),
});

test('whatever records are damaged, repair ends with a sound store, and with no guard lower than it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 12 }), async (all) => {
      const db = await databaseOf(sound);
      for (const { at, how, bit } of all) {
        const [key, value] = sound[at]!;
        const wrong = Uint8Array.from(value);
        if (how === 'flip') wrong[bit % wrong.length] = wrong[bit % wrong.length]! ^ (1 << (bit % 8));
        if (how === 'swap') await db.put(key, sound[(at + bit) % sound.length]![1]);
        // No damage of files takes out one record and leaves no trace; that of a guard could not be seen.
        else if (how === 'delete' && key[0] !== KIND.guard) await db.del(key);
        else await db.put(key, how === 'cut' ? wrong.subarray(0, bit % wrong.length) : wrong);
      }
      const found = await examine(db);
      await applyFixes(db, found.fixes);
      expect((await examine(db)).faults).toEqual([]);
      const store = await openMemoryStore(db);
      const loaded = await store.load(realGenesis.chainId);
      expect(loaded?.tip).toBe(found.tip.header.id);
      const guard = await store.voteGuard(VOTER);
      expect(guard!.targetHeight).toBeGreaterThanOrEqual(BigInt(LENGTH - 1));
      expect(guard!.sourceHeight).toBeGreaterThanOrEqual(BigInt(LENGTH - 2));
    }),
    { numRuns: 150 },
  );
});
