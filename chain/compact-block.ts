/**
 * Blocks as they travel by gossip (BIP152's idea): the header, the coinbase and for each transaction a short id, from
 * which whoever has the transactions already rebuilds the block. Rules CMPCT-1..CMPCT-4.
 *
 * A short id is SipHash-2-4 of the hash of the transaction's full encoding, under a key that depends on the header and
 * on a salt of the author's: nobody can make transactions beforehand that share a short id, and a re-signed twin,
 * which has the same transaction id, has another short id. The salt travels, so that all who forward a block send the
 * same bytes.
 */

import { taggedHash } from '../crypto/hash.ts';
import { SipHash24 } from '../crypto/siphash.ts';
import { blockIdToBytes, type Decoded, decodeBlockHeader } from './codec.ts';
import {
  COMPACT_BLOCK_FIXED_BYTES,
  HEADER_BYTES,
  MAX_BLOCK_TXS,
  MAX_COMPACT_BLOCK_BYTES,
  SHORT_ID_BYTES,
} from './params.ts';
import type { Block, BlockId, Header, Tx } from './types.ts';
import { ByteReader, ByteWriter } from './wire.ts';

export interface CompactBlock {
  readonly header: Header;
  /** The block's, in the smallest unit, u64. */
  readonly coinbase: bigint;
  /** Chosen at random by the block's author, u64. */
  readonly salt: bigint;
  /** One for each transaction, in the order of the block; integers below 2^48. */
  readonly shortIds: readonly number[];
}

/** What came of a rebuilding. A `complete` block may still be another than the header's: its root decides (BLK-8). */
export type Rebuilt =
  | { readonly kind: 'complete'; readonly block: Block }
  | {
      readonly kind: 'incomplete';
      /** Places whose transaction is unknown, or of which two are known; rising. */
      readonly missing: readonly number[];
      /** How many of those are missing because two known transactions have this short id. */
      readonly collisions: number;
      /** By place; undefined where it is missing. */
      readonly txs: readonly (Tx | undefined)[];
    };

const VERSION = 1;
const SALT_BYTES = 8;
const TAG = 'grapevine/compact-block/1';
const SIP_KEY_BYTES = 16;

/** @param salt u64, random: whoever can foresee it can make short ids collide */
export function makeCompactBlock(block: Block, salt: bigint): CompactBlock {
  const { header, coinbase, txs } = block;
  const hasher = hasherOf(header.id, salt);
  return { header, coinbase, salt, shortIds: txs.map(({ leafHash }) => hasher.hash48(leafHash)) };
}

/** Encodes as laid out in PROTOCOL.md. Throws RangeError where a field does not fit its width. */
export function encodeCompactBlock(compact: CompactBlock): Uint8Array {
  const { header, coinbase, salt, shortIds } = compact;
  if (shortIds.length > MAX_BLOCK_TXS) throw new RangeError(`a block has at most ${MAX_BLOCK_TXS} transactions`);
  const writer = new ByteWriter(COMPACT_BLOCK_FIXED_BYTES + shortIds.length * SHORT_ID_BYTES)
    .u8(VERSION)
    .raw(header.bytes, HEADER_BYTES)
    .u64(coinbase)
    .u64(salt)
    .u32(shortIds.length);
  for (const id of shortIds) writer.u16(Math.floor(id / 0x1_0000_0000)).u32(id % 0x1_0000_0000);
  return writer.bytes;
}

/** CMPCT-1. Decodes one compact block and nothing after it; never throws. */
export function decodeCompactBlock(bytes: Uint8Array): Decoded<CompactBlock> {
  if (bytes.length < COMPACT_BLOCK_FIXED_BYTES) return { ok: false, detail: 'compact block cut short' };
  if (bytes.length > MAX_COMPACT_BLOCK_BYTES) return { ok: false, detail: 'compact block too long' };
  if (bytes[0] !== VERSION) return { ok: false, detail: 'unknown compact block version' };
  const reader = new ByteReader(bytes, 1 + HEADER_BYTES);
  const coinbase = reader.u64();
  const salt = reader.u64();
  const count = reader.u32();
  if (reader.remaining !== count * SHORT_ID_BYTES) return { ok: false, detail: 'not as many short ids as it says' };
  const header = decodeBlockHeader(bytes.subarray(1, 1 + HEADER_BYTES));
  if (!header.ok) return header;
  const shortIds = new Array<number>(count);
  const view = new DataView(bytes.buffer, bytes.byteOffset + reader.offset);
  for (let at = 0; at < count; at++) {
    const offset = at * SHORT_ID_BYTES;
    shortIds[at] = view.getUint16(offset) * 0x1_0000_0000 + view.getUint32(offset + 2);
  }
  return { ok: true, value: { header: header.value, coinbase, salt, shortIds } };
}

/**
 * CMPCT-4: the block, as far as `known` has its transactions. O(known + short ids), whatever short ids a stranger
 * chose: each known transaction is compared with those of one bucket, which hold less than one on average. Looks no
 * further once each place has one, as Bitcoin Core does: of a full pool's 180,000 one more fits into a block of 2,000 one
 * time in 780,000, and where the wrong one came first, the block does not have the header's root.
 *
 * @param known decoded transactions, none of them twice
 */
export function rebuildBlock(compact: CompactBlock, known: Iterable<Tx>): Rebuilt {
  const { header, coinbase, salt, shortIds } = compact;
  const txs = new Array<Tx | undefined>(shortIds.length).fill(undefined);
  const collided = new Set<number>();
  if (shortIds.length > 0) {
    const places = new PlacesByShortId(shortIds);
    const hasher = hasherOf(header.id, salt);
    let open = txs.length;
    for (const tx of known) {
      const id = hasher.hash48(tx.leafHash);
      let place = places.first(id);
      if (place === -1) continue;
      const isShared = places.next(place) !== -1;
      for (; place !== -1; place = places.next(place)) {
        if (isShared || txs[place] !== undefined) collided.add(place);
        else open -= 1;
        txs[place] = tx;
      }
      if (open === 0 && collided.size === 0) break;
    }
    for (const place of collided) txs[place] = undefined;
  }
  const missing: number[] = [];
  for (let place = 0; place < txs.length; place++) if (txs[place] === undefined) missing.push(place);
  if (missing.length === 0) return { kind: 'complete', block: { header, coinbase, txs: txs as Tx[] } };
  return { kind: 'incomplete', missing, collisions: collided.size, txs };
}

/**
 * Puts fetched transactions in the places that were missing.
 *
 * @param fetched one for each of `rebuilt.missing`, in that order
 * @returns undefined where one does not have the short id of its place, or there are not as many
 */
export function fillBlock(
  compact: CompactBlock,
  rebuilt: Extract<Rebuilt, { kind: 'incomplete' }>,
  fetched: readonly Tx[],
): Block | undefined {
  const { header, coinbase, salt, shortIds } = compact;
  if (fetched.length !== rebuilt.missing.length) return undefined;
  const hasher = hasherOf(header.id, salt);
  const txs = [...rebuilt.txs];
  for (const [at, place] of rebuilt.missing.entries()) {
    const tx = fetched[at]!;
    if (hasher.hash48(tx.leafHash) !== shortIds[place]) return undefined;
    txs[place] = tx;
  }
  return { header, coinbase, txs: txs as Tx[] };
}

/** CMPCT-7: whether this is the message that the block's author could have made of it. The headers are the same. */
export function isCompactOf(compact: CompactBlock, block: Block): boolean {
  const { coinbase, salt, shortIds } = compact;
  if (coinbase !== block.coinbase || shortIds.length !== block.txs.length) return false;
  const hasher = hasherOf(block.header.id, salt);
  return block.txs.every(({ leafHash }, place) => hasher.hash48(leafHash) === shortIds[place]);
}

/** CMPCT-3. */
function hasherOf(id: BlockId, salt: bigint): SipHash24 {
  const saltBytes = new ByteWriter(SALT_BYTES).u64(salt).bytes;
  return new SipHash24(taggedHash(TAG, blockIdToBytes(id), saltBytes).subarray(0, SIP_KEY_BYTES));
}

/**
 * Where each short id stands: buckets of linked places. Chained, not probed: a stranger who crowds all of them into
 * one bucket slows down what falls into that one and nothing else.
 */
class PlacesByShortId {
  readonly #ids: Float64Array;
  readonly #heads: Int32Array;
  readonly #links: Int32Array;

  constructor(shortIds: readonly number[]) {
    this.#ids = Float64Array.from(shortIds);
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(2 * shortIds.length))).fill(-1);
    this.#links = new Int32Array(shortIds.length);
    for (let place = shortIds.length - 1; place >= 0; place--) {
      const bucket = this.#bucketOf(shortIds[place]!);
      this.#links[place] = this.#heads[bucket]!;
      this.#heads[bucket] = place;
    }
  }

  /** The first place of that short id, or −1. */
  first(id: number): number {
    return this.#from(this.#heads[this.#bucketOf(id)]!, id);
  }

  /** The next place of the same short id, or −1. */
  next(place: number): number {
    return this.#from(this.#links[place]!, this.#ids[place]!);
  }

  #from(start: number, id: number): number {
    let place = start;
    while (place !== -1 && this.#ids[place] !== id) place = this.#links[place]!;
    return place;
  }

  #bucketOf(id: number): number {
    return id & (this.#heads.length - 1); // the low 32 bits, as all bitwise operators
  }
}
