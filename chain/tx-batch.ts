/** A batch of transactions: what travels on the gossip topic `tx`. Layout and rules BATCH-1..5 in `docs/PROTOCOL.md`. */
import { type Decoded, decodeTxsToEnd } from './codec.ts';
import { MAX_TX_BATCH_BYTES, MIN_TX_BYTES } from './params.ts';
import type { Tx } from './types.ts';
import { ByteReader, ByteWriter } from './wire.ts';

const VERSION = 1;
/** version u8 and txCount u16, which stand before the transactions. */
export const TX_BATCH_FIXED_BYTES = 3;

/**
 * version u8 | txCount u16 | transactions, one after the other.
 *
 * @throws RangeError where there is none, one twice, or more than MAX_TX_BATCH_BYTES
 */
export function encodeTxBatch(txs: readonly Tx[]): Uint8Array {
  const length = txs.reduce((sum, { bytes }) => sum + bytes.length, TX_BATCH_FIXED_BYTES);
  if (txs.length === 0) throw new RangeError('a batch has at least one transaction');
  if (length > MAX_TX_BATCH_BYTES)
    throw new RangeError(`a batch is at most ${MAX_TX_BATCH_BYTES} bytes, got ${length}`);
  if (hasTwins(txs)) throw new RangeError('a transaction is twice in the batch');
  const writer = new ByteWriter(length).u8(VERSION).u16(txs.length);
  for (const { bytes } of txs) writer.raw(bytes);
  return writer.bytes;
}

/** As few batches as hold them all, in order. Throws RangeError where one is twice in a batch. */
export function encodeTxBatches(txs: readonly Tx[]): readonly Uint8Array[] {
  const batches: Tx[][] = [];
  let room = 0;
  for (const tx of txs) {
    if (tx.bytes.length > room) {
      batches.push([]);
      room = MAX_TX_BATCH_BYTES - TX_BATCH_FIXED_BYTES;
    }
    batches.at(-1)!.push(tx);
    room -= tx.bytes.length;
  }
  return batches.map(encodeTxBatch);
}

/** Decodes one batch and nothing after it. Linear in the bytes given, of which there may be MAX_TX_BATCH_BYTES. */
export function decodeTxBatch(bytes: Uint8Array): Decoded<readonly Tx[]> {
  if (bytes.length > MAX_TX_BATCH_BYTES) return malformed('batch too long'); // BATCH-1
  if (bytes.length < TX_BATCH_FIXED_BYTES + MIN_TX_BYTES) return malformed('batch cut short');
  const reader = new ByteReader(bytes);
  if (reader.u8() !== VERSION) return malformed('unknown batch version');
  const count = reader.u16();
  const txs = decodeTxsToEnd(bytes, TX_BATCH_FIXED_BYTES, count);
  // BATCH-2, by id: a re-signed twin is the same transaction.
  return txs.ok && hasTwins(txs.value) ? malformed('a transaction is twice in the batch') : txs;
}

/**
 * Transactions that a message claims to hold, for counting copies without decoding them: at most as many as its bytes
 * have room for, 0 for what is no batch.
 */
export function claimedTxCount(bytes: Uint8Array): number {
  if (bytes.length < TX_BATCH_FIXED_BYTES || bytes.length > MAX_TX_BATCH_BYTES || bytes[0] !== VERSION) return 0;
  const room = Math.floor((bytes.length - TX_BATCH_FIXED_BYTES) / MIN_TX_BYTES);
  return Math.min(new ByteReader(bytes, 1).u16(), room);
}

function hasTwins(txs: readonly Tx[]): boolean {
  return new Set(txs.map(({ id }) => id)).size < txs.length;
}

function malformed(detail: string): { readonly ok: false; readonly detail: string } {
  return { ok: false, detail };
}
