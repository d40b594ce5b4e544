import { expect, test } from 'vitest';
import {
  bucketOf,
  decodeShortTxIds,
  differingBuckets,
  encodeShortTxIds,
  POOL_DIGEST_BYTES,
  POOL_FINGERPRINT_BYTES,
  PoolDigest,
  shortTxId,
} from '../../../chain/pool-digest.ts';
import type { TxId } from '../../../chain/types.ts';
import { bytesToHex } from '../../../crypto/bytes.ts';
import { fc } from '../../fast-check.ts';

const txId = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => bytesToHex(bytes) as TxId);
const txIds = fc.uniqueArray(txId, { maxLength: 50 });

function digestOf(ids: readonly TxId[]): PoolDigest {
  const digest = new PoolDigest();
  for (const id of ids) digest.toggle(id);
  return digest;
}

test('an id alone has its bytes 8 to 15 for fingerprint, in the bucket of its first byte', () => {
  const digest = digestOf([`ff${'00'.repeat(7)}89abcdef01234567${'ee'.repeat(16)}` as TxId]);
  expect(digest.fingerprint()).toBe('89abcdef01234567');
  expect(bytesToHex(digest.buckets().subarray(0xff * POOL_FINGERPRINT_BYTES))).toBe('89abcdef01234567');
});

test('the digest is of the set, whatever the order and whatever was in between', () => {
  fc.assert(
    fc.property(txIds, txIds, (ids, passing) => {
      const digest = digestOf([...ids, ...passing]);
      for (const id of passing) digest.toggle(id);
      expect(digest.buckets()).toEqual(digestOf(ids.toReversed()).buckets());
      expect(digest.total()).toEqual(digestOf(ids).total());
      expect(digest.buckets()).toHaveLength(POOL_DIGEST_BYTES);
      expect(digest.total()).toHaveLength(POOL_FINGERPRINT_BYTES);
    }),
  );
});

test('the buckets that differ are those of the ids that only one side has', () => {
  fc.assert(
    fc.property(txIds, fc.uniqueArray(txId, { minLength: 1, maxLength: 5 }), (shared, more) => {
      const own = more.filter((id) => !shared.includes(id));
      const found = differingBuckets(digestOf(shared).buckets(), digestOf([...shared, ...own]).buckets());
      expect([...found].sort()).toEqual([...new Set(own.map(bucketOf))].sort());
      expect(digestOf([...shared, ...own]).total()).not.toEqual(digestOf(shared).total());
    }),
  );
});

test('short ids round-trip; a broken length or an id twice is refused', () => {
  fc.assert(
    fc.property(fc.uniqueArray(txId.map(shortTxId), { maxLength: 20 }), (ids) => {
      expect(decodeShortTxIds(encodeShortTxIds(ids))).toEqual(ids);
    }),
  );
  expect(decodeShortTxIds(new Uint8Array(7))).toBeUndefined();
  expect(decodeShortTxIds(new Uint8Array(16))).toBeUndefined();
  expect(decodeShortTxIds(new Uint8Array(0))).toEqual([]);
});
