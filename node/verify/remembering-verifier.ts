/**
 * Remembers signatures that were found good, so that none is checked twice: the same transaction in the mempool, in a
 * block, in the block of a competing branch, in a block that was parked. What is being checked is waited for, unless
 * the new request is more urgent. Bad ones are not remembered: who sends them is scored and pays for each.
 */
import { hasItemLengths } from '../../crypto/signature.ts';
import { SeenCache } from '../pipeline/seen-cache.ts';
import type { SignatureItem, SignatureVerifier, VerifyPriority } from '../ports.ts';
import { PACKED_ITEM_BYTES, packItem } from './packed-items.ts';

/** Good signatures remembered per generation, of two: twenty seconds at 1,500 a second; 12 MB at most. */
const REMEMBERED = 32_768;

interface Batch {
  readonly priority: VerifyPriority;
  verdicts: Promise<readonly boolean[]>;
}

/**
 * Rejects where `verifier` does, for this request or for one whose checks it waits for. Items of wrong lengths are
 * false, and are not passed on.
 *
 * @param capacity good signatures remembered per generation, of two
 */
export function createRememberingVerifier(verifier: SignatureVerifier, capacity = REMEMBERED): SignatureVerifier {
  const good = new SeenCache<string>(capacity);
  const underway = new Map<string, { readonly batch: Batch; readonly position: number }>();
  const scratch = Buffer.alloc(PACKED_ITEM_BYTES);
  // All of an item: the digest commits to what was signed, the signature has twins, the key is not in every digest.
  const keyOf = (item: SignatureItem): string => {
    packItem(scratch, 0, item);
    return scratch.toString('latin1');
  };

  return {
    async verify(items, priority = 'urgent') {
      const results: boolean[] = [];
      const batch: Batch = { priority, verdicts: Promise.resolve([]) };
      const fresh: { readonly index: number; readonly key: string }[] = [];
      const joined: { readonly index: number; readonly batch: Batch; readonly position: number }[] = [];
      for (const [index, item] of items.entries()) {
        results[index] = false;
        if (!hasItemLengths(item)) continue;
        const key = keyOf(item);
        const other = underway.get(key);
        if (good.has(key)) results[index] = true;
        else if (other !== undefined && (other.batch.priority === 'urgent' || priority === 'bulk')) {
          joined.push({ index, ...other });
        } else {
          underway.set(key, { batch, position: fresh.length });
          fresh.push({ index, key });
        }
      }
      if (fresh.length > 0) {
        const toCheck = fresh.map(({ index }) => items[index]!);
        batch.verdicts = verifier.verify(toCheck, priority);
        try {
          for (const [position, isGood] of (await batch.verdicts).entries()) {
            const { index, key } = fresh[position]!;
            results[index] = isGood;
            if (isGood) good.add(key);
          }
        } finally {
          for (const { key } of fresh) if (underway.get(key)?.batch === batch) underway.delete(key);
        }
      }
      for (const { index, batch, position } of joined) results[index] = (await batch.verdicts)[position] === true;
      return results;
    },
  };
}
