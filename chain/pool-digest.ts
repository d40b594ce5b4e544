/**
 * A fingerprint of the mempool's ids, so that two nodes see what one of them lacks without listing what both have.
 *
 * Ids fall into 256 buckets by their first byte. A bucket's fingerprint is the exclusive or of eight other bytes of its
 * ids: adding and removing are the same O(1) step, and the order does not matter. Two sets with one fingerprint can be
 * made on purpose (some 2^32 hashes), by whoever wants to keep his own transactions from being exchanged.
 */
import { bytesToHex, hexToBytes, hexToUint } from '../crypto/bytes.ts';
import type { TxId } from './types.ts';

export const POOL_BUCKETS = 256;
/** Of one bucket, and of the whole pool. */
export const POOL_FINGERPRINT_BYTES = 8;
export const POOL_DIGEST_BYTES = POOL_BUCKETS * POOL_FINGERPRINT_BYTES;
/** The first bytes of a transaction id, in hex: enough to ask for it. */
export type ShortTxId = string & { readonly __brand: 'ShortTxId' };
export const SHORT_TX_ID_BYTES = 8;

const WORDS = POOL_FINGERPRINT_BYTES / 4;

/**
 * The fingerprints of one pool, kept up as it changes: O(1) a change, and 2 KiB. It does not know which ids are in
 * it: one that is toggled once too often leaves it wrong without a sign, so `Mempool` alone changes it.
 */
export class PoolDigest {
  readonly #words = new Uint32Array(POOL_BUCKETS * WORDS);
  /** Exclusive or of all buckets. */
  readonly #total = new Uint32Array(WORDS);
  #fingerprint: string | undefined;

  /** Adds an id that is not in the set, or takes out one that is. */
  toggle(id: TxId): void {
    const at = bucketOf(id) * WORDS;
    const high = hexToUint(id, 16, 8);
    const low = hexToUint(id, 24, 8);
    this.#words[at]! ^= high;
    this.#words[at + 1]! ^= low;
    this.#total[0]! ^= high;
    this.#total[1]! ^= low;
    this.#fingerprint = undefined;
  }

  /** Of the whole pool, `POOL_FINGERPRINT_BYTES`. */
  total(): Uint8Array {
    return bigEndian(this.#total);
  }

  /** `total` in hex: asked for more often than it changes. */
  fingerprint(): string {
    this.#fingerprint ??= bytesToHex(this.total());
    return this.#fingerprint;
  }

  /** Of each bucket in turn, `POOL_DIGEST_BYTES`. */
  buckets(): Uint8Array {
    return bigEndian(this.#words);
  }
}

/** 0 to 255. */
export function bucketOf(id: TxId): number {
  return hexToUint(id, 0, 2);
}

/** The first `SHORT_TX_ID_BYTES`, as hex. Two transactions may share one, on purpose with some 2^32 hashes. */
export function shortTxId(id: TxId): ShortTxId {
  return id.slice(0, 2 * SHORT_TX_ID_BYTES) as ShortTxId;
}

/** The buckets in which two digests of `POOL_DIGEST_BYTES` differ. */
export function differingBuckets(ours: Uint8Array, theirs: Uint8Array): ReadonlySet<number> {
  const buckets = new Set<number>();
  for (let at = 0; at < POOL_DIGEST_BYTES; at++) {
    if (ours[at] !== theirs[at]) buckets.add(Math.floor(at / POOL_FINGERPRINT_BYTES));
  }
  return buckets;
}

/** One after the other, `SHORT_TX_ID_BYTES` each. */
export function encodeShortTxIds(ids: readonly ShortTxId[]): Uint8Array {
  return hexToBytes(ids.join(''));
}

/** @returns undefined when the bytes are no whole number of ids, or an id comes twice */
export function decodeShortTxIds(bytes: Uint8Array): readonly ShortTxId[] | undefined {
  if (bytes.length % SHORT_TX_ID_BYTES !== 0) return undefined;
  const hex = bytesToHex(bytes);
  const ids = new Set<ShortTxId>();
  for (let at = 0; at < hex.length; at += 2 * SHORT_TX_ID_BYTES) {
    ids.add(hex.slice(at, at + 2 * SHORT_TX_ID_BYTES) as ShortTxId);
  }
  return ids.size * SHORT_TX_ID_BYTES === bytes.length ? [...ids] : undefined;
}

function bigEndian(words: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < words.length; at++) view.setUint32(4 * at, words[at]! >>> 0);
  return bytes;
}
