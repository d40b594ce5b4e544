/**
 * What stands under each key. Every record is `format u8 = 1 | payload | CRC-32 u32`; the sum covers the key too, so
 * that a record under another's key is noticed. LevelDB is opened without paranoid checks (classic-level has no
 * switch for them): a flipped bit in a table would otherwise be decoded into nonsense.
 *
 * Objects that are hashed or signed stand in their canonical encoding (`chain/codec.ts`), so decoding gives back
 * their ids from the bytes themselves.
 *
 * `encode*` and `decode*` are about the payload, all numbers big-endian. `encode*` throws RangeError for a value that does
 * not fit its field. `decode*` throws RecordError for bytes too few or too many, or which say what cannot be; whether
 * other records agree is not looked at (`grapevine db verify` does).
 */
import { crc32 } from 'node:zlib';
import {
  blockIdFromBytes,
  blockIdToBytes,
  type Decoded,
  decodeBlock,
  decodeHeader,
  decodeTx,
  decodeVote,
  EVIDENCE_KINDS,
  isInEvidenceOrder,
} from '../../chain/codec.ts';
import { HEADER_BYTES, VOTE_BYTES } from '../../chain/params.ts';
import type {
  Account,
  Block,
  BlockDelta,
  BlockId,
  Certificate,
  ChainEntry,
  Checkpoint,
  Evidence,
  Tx,
  Vote,
} from '../../chain/types.ts';
import { ByteReader, ByteWriter } from '../../chain/wire.ts';
import { type Address, addressFromBytes, addressToBytes } from '../../crypto/address.ts';
import type { TxLocation, VoteGuard } from './store.ts';

const FORMAT = 1;
const FORMAT_BYTES = 1;
const SUM_BYTES = 4;

/** A record that does not say what was written. The message goes into a `StoreError`. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
}

/** Payload → record, for this key only. */
export function sealRecord(key: Uint8Array, payload: Uint8Array): Uint8Array {
  const record = new Uint8Array(FORMAT_BYTES + payload.length + SUM_BYTES);
  record[0] = FORMAT;
  record.set(payload, FORMAT_BYTES);
  const summed = record.length - SUM_BYTES;
  viewOf(record).setUint32(summed, crc32(record.subarray(0, summed), crc32(key)));
  return record;
}

/** Record → payload, a view. Throws RecordError where the sum or the format is wrong. */
export function unsealRecord(key: Uint8Array, record: Uint8Array): Uint8Array {
  const summed = record.length - SUM_BYTES;
  if (summed < FORMAT_BYTES) throw new RecordError('a record is cut short');
  if (viewOf(record).getUint32(summed) !== crc32(record.subarray(0, summed), crc32(key))) {
    throw new RecordError('a record fails its checksum');
  }
  if (record[0] !== FORMAT) throw new RecordError(`a record has format ${record[0]}, known is ${FORMAT}`);
  return record.subarray(FORMAT_BYTES, summed);
}

// Chain ---------------------------------------------------------------------------------------------------------

/** A chain entry, and by how much its block changes the accounts' sum (`sumOfAccount`). */
export interface EntryRecord {
  readonly entry: ChainEntry;
  readonly sumChange: number;
}

/** header | total work u256 | effective time i64 | arrival u64 | sum change u32. */
export function encodeEntry({ entry, sumChange }: EntryRecord): Uint8Array {
  const effectiveTime = BigInt.asUintN(64, entry.effectiveTimeMs);
  if (BigInt.asIntN(64, effectiveTime) !== entry.effectiveTimeMs) {
    throw new RangeError(`effective time ${entry.effectiveTimeMs} is not an i64`);
  }
  const writer = new ByteWriter(HEADER_BYTES + 52).raw(entry.header.bytes, HEADER_BYTES);
  writer.u64(entry.totalWork >> 192n);
  for (const shift of [128n, 64n, 0n]) writer.u64(BigInt.asUintN(64, entry.totalWork >> shift));
  return writer.u64(effectiveTime).u64(BigInt(entry.arrival)).u32(sumChange).bytes;
}

/** A header that does not decode is damage too. Its id comes from its bytes; the work is not checked. */
export function decodeEntry(payload: Uint8Array): EntryRecord {
  return decodeWith(payload, (reader) => {
    const header = decodedValue(decodeHeader(reader.raw(HEADER_BYTES)));
    let totalWork = 0n;
    for (let i = 0; i < 4; i += 1) totalWork = (totalWork << 64n) | reader.u64();
    const effectiveTimeMs = BigInt.asIntN(64, reader.u64());
    const arrival = Number(reader.u64());
    return { entry: { header, totalWork, effectiveTimeMs, arrival }, sumChange: reader.u32() };
  });
}

/** The record is the block's canonical encoding (`encodeBlock`). No rule is checked beyond BLK-1. */
export function decodeStoredBlock(payload: Uint8Array): Block {
  return decodedValue(decodeBlock(payload));
}

/** Count u32 and, for each account before, address | exists u8 | balance | nonce; then the same for after. */
export function encodeDelta(delta: BlockDelta): Uint8Array {
  const writer = new ByteWriter(8 + 37 * (delta.before.size + delta.after.size));
  for (const side of [delta.before, delta.after]) {
    writer.u32(side.size);
    for (const [address, account] of side) {
      writer.raw(addressToBytes(address), 20).u8(account === undefined ? 0 : 1);
      writer.u64(account?.balance ?? 0n).u64(account?.nonce ?? 0n);
    }
  }
  return writer.bytes;
}

/** `before` may say that an account did not exist; that `after` says so is damage. */
export function decodeDelta(payload: Uint8Array): BlockDelta {
  return decodeWith(payload, (reader) => {
    const before = new Map<Address, Account | undefined>();
    for (let left = reader.u32(); left > 0; left -= 1) before.set(...decodeDeltaItem(reader));
    const after = new Map<Address, Account>();
    for (let left = reader.u32(); left > 0; left -= 1) {
      const [address, account] = decodeDeltaItem(reader);
      if (account === undefined) throw new RecordError('a delta ends in no account');
      after.set(address, account);
    }
    return { before, after };
  });
}

function decodeDeltaItem(reader: ByteReader): [Address, Account | undefined] {
  const address = addressFromBytes(reader.raw(20));
  const exists = reader.u8() === 1;
  const account = { balance: reader.u64(), nonce: reader.u64() };
  return [address, exists ? account : undefined];
}

/** block id 32 | index u32, from 0. */
export function encodeTxLocation(location: TxLocation): Uint8Array {
  return new ByteWriter(36).raw(blockIdToBytes(location.block), 32).u32(location.index).bytes;
}

/** 36 bytes. */
export function decodeTxLocation(payload: Uint8Array): TxLocation {
  return decodeWith(payload, (reader) => ({ block: blockIdFromBytes(reader.raw(32)), index: reader.u32() }));
}

/** What a history key does not say. */
export interface HistoryRecord {
  readonly block: BlockId;
  /** Of the block's transactions from or to the address, rising. */
  readonly indices: readonly number[];
}

/** block id 32 | indices u32 each, as many as there is room for: the record has no count. */
export function encodeHistory({ block, indices }: HistoryRecord): Uint8Array {
  const writer = new ByteWriter(32 + 4 * indices.length).raw(blockIdToBytes(block), 32);
  for (const index of indices) writer.u32(index);
  return writer.bytes;
}

/** That the indices rise is not checked. */
export function decodeHistory(payload: Uint8Array): HistoryRecord {
  return decodeWith(payload, (reader) => {
    const block = blockIdFromBytes(reader.raw(32));
    const indices: number[] = [];
    while (reader.remaining > 0) indices.push(reader.u32());
    return { block, indices };
  });
}

/** balance u64 | nonce u64. Accounts of nothing have no record: see `existingAccount`. */
export function encodeAccount(account: Account): Uint8Array {
  return new ByteWriter(16).u64(account.balance).u64(account.nonce).bytes;
}

/** 16 bytes. */
export function decodeAccount(payload: Uint8Array): Account {
  return decodeWith(payload, (reader) => ({ balance: reader.u64(), nonce: reader.u64() }));
}

/** An account of nothing is the same as none (`AccountView`). */
export function existingAccount(account: Account | undefined): Account | undefined {
  return account === undefined || (account.balance === 0n && account.nonce === 0n) ? undefined : account;
}

/**
 * One account's share of the accounts' sum: CRC-32 of address, balance and nonce; 0 for none. The shares of all
 * accounts, added mod 2^32, are the same number as the changes of all blocks from genesis to the tip: a missing,
 * stale or foreign account record shows at load, without reading one block.
 */
export function sumOfAccount(address: Address, account: Account | undefined): number {
  const existing = existingAccount(account);
  return existing === undefined ? 0 : crc32(encodeAccount(existing), crc32(addressToBytes(address)));
}

/** From which heights on a store keeps what can be pruned. Genesis is never pruned. */
export interface PrunedRecord {
  /** Bodies, and where their transactions stand. */
  readonly bodiesFrom: bigint;
  /** Deltas, on all branches; votes by their target; certificates that nobody needs. */
  readonly undoFrom: bigint;
}

export const NOTHING_PRUNED: PrunedRecord = { bodiesFrom: 0n, undoFrom: 0n };

/** bodies from u64 | undo data from u64. */
export function encodePruned(pruned: PrunedRecord): Uint8Array {
  return new ByteWriter(16).u64(pruned.bodiesFrom).u64(pruned.undoFrom).bytes;
}

/** 16 bytes. */
export function decodePruned(payload: Uint8Array): PrunedRecord {
  return decodeWith(payload, (reader) => ({ bodiesFrom: reader.u64(), undoFrom: reader.u64() }));
}

/** 32 bytes each. */
export function encodeBlockIds(ids: readonly BlockId[]): Uint8Array {
  const writer = new ByteWriter(32 * ids.length);
  for (const id of ids) writer.raw(blockIdToBytes(id), 32);
  return writer.bytes;
}

/** Any whole number of them. */
export function decodeBlockIds(payload: Uint8Array): readonly BlockId[] {
  return decodeWith(payload, (reader) =>
    Array.from({ length: Math.floor(payload.length / 32) }, () => blockIdFromBytes(reader.raw(32))),
  );
}

// Agreement -----------------------------------------------------------------------------------------------------

/** height u64 | id 32. Stands by itself as the final block, and twice in a certificate. */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  return new ByteWriter(40).u64(checkpoint.height).raw(blockIdToBytes(checkpoint.id), 32).bytes;
}

/** 40 bytes. */
export function decodeCheckpoint(payload: Uint8Array): Checkpoint {
  return decodeWith(payload, readCheckpoint);
}

/** The record is the vote's canonical encoding, `VOTE_BYTES`. Its signature is not checked again. */
export function decodeStoredVote(payload: Uint8Array): Vote {
  return decodedValue(decodeVote(payload));
}

/** source | target | vote count u32 | votes: whole, so that it can be checked with nothing else at hand. */
export function encodeCertificate(certificate: Certificate): Uint8Array {
  const writer = new ByteWriter(84 + VOTE_BYTES * certificate.votes.length)
    .raw(encodeCheckpoint(certificate.source))
    .raw(encodeCheckpoint(certificate.target))
    .u32(certificate.votes.length);
  for (const vote of certificate.votes) writer.raw(vote.bytes, VOTE_BYTES);
  return writer.bytes;
}

/** Only the form is checked: neither that the votes are for this link, nor what they weigh. */
export function decodeCertificate(payload: Uint8Array): Certificate {
  return decodeWith(payload, (reader) => {
    const source = readCheckpoint(reader);
    const target = readCheckpoint(reader);
    const votes: Vote[] = [];
    for (let left = reader.u32(); left > 0; left -= 1) votes.push(decodeStoredVote(reader.raw(VOTE_BYTES)));
    return { source, target, votes };
  });
}

/** A certificate's target, and its votes as they are: to decode and to hash one takes longer than all else about it. */
export function encodedVotesOf(payload: Uint8Array): { readonly target: Checkpoint; readonly votes: Uint8Array[] } {
  return decodeWith(payload, (reader) => {
    readCheckpoint(reader);
    const target = readCheckpoint(reader);
    const votes: Uint8Array[] = [];
    for (let left = reader.u32(); left > 0; left -= 1) votes.push(reader.raw(VOTE_BYTES));
    return { target, votes };
  });
}

/** source height u64 | target height u64 | and, of a voter that has moved, disabled u8 | moves u32. */
export function encodeGuard(guard: VoteGuard): Uint8Array {
  const { sourceHeight, targetHeight, disabled = false, moves = 0 } = guard;
  const hasMoved = disabled || moves > 0;
  const writer = new ByteWriter(hasMoved ? 21 : 16).u64(sourceHeight).u64(targetHeight);
  return hasMoved ? writer.u8(disabled ? 1 : 0).u32(moves).bytes : writer.bytes;
}

/** 16 bytes of a voter that never moved, which gives no `disabled` and `moves`, else 21. */
export function decodeGuard(payload: Uint8Array): VoteGuard {
  return decodeWith(payload, (reader) => {
    const heights = { sourceHeight: reader.u64(), targetHeight: reader.u64() };
    return reader.remaining === 0 ? heights : { ...heights, disabled: reader.u8() === 1, moves: reader.u32() };
  });
}

/** As `encodeEvidence` writes it, but the votes in any order: earlier versions kept the order of arrival. */
export function decodeStoredEvidence(payload: Uint8Array): Evidence {
  return decodeWith(payload, (reader) => {
    const kind = EVIDENCE_KINDS[reader.u8()];
    if (kind === undefined) throw new RecordError('evidence of an unknown kind');
    const [a, b] = [decodeStoredVote(reader.raw(VOTE_BYTES)), decodeStoredVote(reader.raw(VOTE_BYTES))];
    const [first, second] = isInEvidenceOrder(a, b) ? [a, b] : [b, a];
    return { kind, voter: first.voter, first, second };
  });
}

// The rest ------------------------------------------------------------------------------------------------------

/** The record is the transaction's canonical encoding. Its signature is not checked again. */
export function decodeStoredTx(payload: Uint8Array): Tx {
  return decodedValue(decodeTx(payload));
}

/** count u32, then for each peer: length u16 | multiaddr in UTF-8 | milliseconds f64 (as the port gives them). */
export function encodePeers(peers: ReadonlyMap<string, number>): Uint8Array {
  const texts = [...peers.keys()].map((text) => new TextEncoder().encode(text));
  const writer = new ByteWriter(texts.reduce((sum, text) => sum + 10 + text.length, 4)).u32(texts.length);
  let i = 0;
  for (const lastSeenMs of peers.values()) {
    const text = texts[i]!;
    i += 1;
    const time = new Uint8Array(8);
    viewOf(time).setFloat64(0, lastSeenMs);
    writer.u16(text.length).raw(text).raw(time);
  }
  return writer.bytes;
}

/** Neither the addresses nor the times are checked. */
export function decodePeers(payload: Uint8Array): ReadonlyMap<string, number> {
  return decodeWith(payload, (reader) => {
    const peers = new Map<string, number>();
    for (let left = reader.u32(); left > 0; left -= 1) {
      const text = new TextDecoder().decode(reader.raw(reader.u16()));
      peers.set(text, viewOf(reader.raw(8)).getFloat64(0));
    }
    return peers;
  });
}

/** 4 bytes; throws RangeError for what is no u32. Numbers of schemas. */
export function encodeU32(value: number): Uint8Array {
  return new ByteWriter(4).u32(value).bytes;
}

/** 4 bytes, big-endian. */
export function decodeU32(payload: Uint8Array): number {
  return decodeWith(payload, (reader) => reader.u32());
}

/** 8 bytes; throws RangeError for what is no u64. Numbers of batches. */
export function encodeU64(value: bigint): Uint8Array {
  return new ByteWriter(8).u64(value).bytes;
}

/** 8 bytes, big-endian. */
export function decodeU64(payload: Uint8Array): bigint {
  return decodeWith(payload, (reader) => reader.u64());
}

function readCheckpoint(reader: ByteReader): Checkpoint {
  return { height: reader.u64(), id: blockIdFromBytes(reader.raw(32)) };
}

function decodedValue<T>(decoded: Decoded<T>): T {
  if (!decoded.ok) throw new RecordError(decoded.detail);
  return decoded.value;
}

/** Runs a decoder over the whole payload: too few and too many bytes are both damage. */
function decodeWith<T>(payload: Uint8Array, decode: (reader: ByteReader) => T): T {
  const reader = new ByteReader(payload);
  let value: T;
  try {
    value = decode(reader);
  } catch (error) {
    if (error instanceof RangeError) throw new RecordError('a record is cut short', { cause: error });
    throw error;
  }
  if (reader.remaining > 0) throw new RecordError('a record has trailing bytes');
  return value;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
