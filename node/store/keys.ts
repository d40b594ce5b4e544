/**
 * Where each record stands. A key is one kind byte and fixed-width fields, numbers big-endian, so that LevelDB's
 * byte order is the numbers' order and a range is a prefix.
 *
 * | kind | key after the kind byte                     | value (`records.ts`)        | read by             |
 * |------|---------------------------------------------|-----------------------------|---------------------|
 * | 00   | u8 meta field                               | see `META`                  | open, load          |
 * | 01   | block id 32                                 | header and what follows it  | load, whole         |
 * | 02   | block id 32                                 | block                       | get                 |
 * | 03   | block id 32                                 | delta                       | get                 |
 * | 04   | tx id 32                                    | block id, index             | get                 |
 * | 05   | address 20, height u64                      | block id, indices           | range, newest first |
 * | 06   | address 20                                  | balance, nonce              | load, whole         |
 * | 07   | target height u64, voter 20, vote id 32     | vote                        | load, from a height |
 * | 08   | target height u64, target id 32             | certificate with its votes  | load, from a height |
 * | 09   | voter 20                                    | guard                       | get                 |
 * | 0a   | voter 20, first vote id 32, second 32       | evidence                    | load, whole         |
 * | 0b   | tx id 32                                    | transaction                 | load, whole         |
 * | 0c   |                                             | all peers                   | get                 |
 *
 * Ids are hashes, so most writes fall on random keys: that is the pattern LevelDB was chosen for by measurement
 * (ADR 0005). Headers stand apart from bodies so that `load` reads 200 bytes per block, not the block; they are in
 * id order, and sorting 10,000 of them by height costs less than a second index would on every write.
 */
import { blockIdToBytes, txIdToBytes, voteIdToBytes } from '../../chain/codec.ts';
import type { BlockId, Checkpoint, Evidence, TxId, Vote } from '../../chain/types.ts';
import { ByteReader, ByteWriter } from '../../chain/wire.ts';
import { ADDRESS_BYTES, type Address, addressFromBytes, addressToBytes } from '../../crypto/address.ts';
import type { HistoryPlace } from './store.ts';

export const KIND = {
  meta: 0x00,
  entry: 0x01,
  block: 0x02,
  delta: 0x03,
  txLocation: 0x04,
  history: 0x05,
  account: 0x06,
  vote: 0x07,
  certificate: 0x08,
  guard: 0x09,
  evidence: 0x0a,
  mempool: 0x0b,
  peers: 0x0c,
} as const;

/** Of an id, and the ends of an address and of a height right after the kind byte. */
const ID_BYTES = 32;
const ADDRESS_END = 1 + ADDRESS_BYTES;
const HEIGHT_END = 1 + 8;

/** Bytes of the keys of each kind: one of another length is damage. */
export const KEY_BYTES: Readonly<Record<keyof typeof KIND, number>> = {
  meta: 2,
  entry: 1 + ID_BYTES,
  block: 1 + ID_BYTES,
  delta: 1 + ID_BYTES,
  txLocation: 1 + ID_BYTES,
  history: ADDRESS_END + 8,
  account: ADDRESS_END,
  vote: HEIGHT_END + ADDRESS_BYTES + ID_BYTES,
  certificate: HEIGHT_END + ID_BYTES,
  guard: ADDRESS_END,
  evidence: ADDRESS_END + 2 * ID_BYTES,
  mempool: 1 + ID_BYTES,
  peers: 1,
};

/** A half-open range of keys: `gte` ≤ key < `lt`. */
export interface KeyRange {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
}

/**
 * Schema u32, chain id 32, tip id 32, final height u64 and id 32, number of the last batch u64, lowest heights kept
 * (`PrunedRecord`), and, while `db repair` writes, a record that says so (schema u32); the ids of the main-chain blocks
 * whose transactions the next life has to index, 32 each, lowest first, where there are any.
 */
export const META = {
  schema: metaKey(0),
  chain: metaKey(1),
  tip: metaKey(2),
  final: metaKey(3),
  batch: metaKey(4),
  pruned: metaKey(5),
  repairing: metaKey(6),
  unindexed: metaKey(7),
} as const;

export const PEERS_KEY = Uint8Array.of(KIND.peers);

/** 33 bytes. Of a block on any branch; never pruned. */
export function entryKey(id: BlockId): Uint8Array {
  return idKey(KIND.entry, blockIdToBytes(id));
}

/** 33 bytes. Of a block on any branch; without a record once the body is pruned. */
export function blockKey(id: BlockId): Uint8Array {
  return idKey(KIND.block, blockIdToBytes(id));
}

/** 33 bytes. Of a block on any branch; without a record once the delta is pruned. */
export function deltaKey(id: BlockId): Uint8Array {
  return idKey(KIND.delta, blockIdToBytes(id));
}

/** 33 bytes. Only of transactions on the main chain; of blocks that `META.unindexed` names there may be none yet. */
export function txLocationKey(id: TxId): Uint8Array {
  return idKey(KIND.txLocation, txIdToBytes(id));
}

/** 33 bytes. Differs from `txLocationKey` of the same transaction by the kind alone. */
export function mempoolKey(id: TxId): Uint8Array {
  return idKey(KIND.mempool, txIdToBytes(id));
}

/**
 * 29 bytes: the heights of one address stand in order, so that its history is a range. Only of blocks on the main
 * chain; of those that `META.unindexed` names there may be none yet.
 */
export function historyKey(address: Address, height: bigint): Uint8Array {
  return new ByteWriter(KEY_BYTES.history).u8(KIND.history).raw(addressToBytes(address), ADDRESS_BYTES).u64(height)
    .bytes;
}

/** Throws RangeError where the key is shorter than a history key; its kind is not looked at. */
export function heightOfHistoryKey(key: Uint8Array): bigint {
  return new ByteReader(key, ADDRESS_END).u64();
}

/** History of one address in the blocks up to the place's (without `index`: below it), or all of it. */
export function historyRange(address: Address, before: HistoryPlace | undefined): KeyRange {
  const gte = historyKey(address, 0n);
  if (before === undefined) return { gte, lt: after(gte.subarray(0, ADDRESS_END)) };
  const at = historyKey(address, before.height);
  return { gte, lt: before.index === undefined ? at : after(at) };
}

/** 21 bytes. Accounts are as of the tip. */
export function accountKey(address: Address): Uint8Array {
  return addressKey(KIND.account, address);
}

/** Whose account or guard stands under the key. */
export function addressOfKey(key: Uint8Array): Address {
  return addressFromBytes(key.slice(1, ADDRESS_END));
}

/** 21 bytes. The record has a twin outside the database (`guard-file.ts`). */
export function guardKey(voter: Address): Uint8Array {
  return addressKey(KIND.guard, voter);
}

/** The vote id is part of the key: of a double vote both are kept. */
export function voteKey(vote: Vote): Uint8Array {
  return new ByteWriter(KEY_BYTES.vote)
    .u8(KIND.vote)
    .u64(vote.target.height)
    .raw(addressToBytes(vote.voter), ADDRESS_BYTES)
    .raw(voteIdToBytes(vote.id), ID_BYTES).bytes;
}

/** 41 bytes. Two of one height have two keys: they exist only where a third of the voters broke VOTE-8. */
export function certificateKey(target: Checkpoint): Uint8Array {
  return new ByteWriter(KEY_BYTES.certificate)
    .u8(KIND.certificate)
    .u64(target.height)
    .raw(blockIdToBytes(target.id), ID_BYTES).bytes;
}

/** 85 bytes. Both votes are part of the key, so that another piece against the same voter does not take its place. */
export function evidenceKey(evidence: Evidence): Uint8Array {
  return new ByteWriter(KEY_BYTES.evidence)
    .u8(KIND.evidence)
    .raw(addressToBytes(evidence.voter), ADDRESS_BYTES)
    .raw(voteIdToBytes(evidence.first.id), ID_BYTES)
    .raw(voteIdToBytes(evidence.second.id), ID_BYTES).bytes;
}

/** Every record of a kind. */
export function rangeOf(kind: number): KeyRange {
  return { gte: Uint8Array.of(kind), lt: Uint8Array.of(kind + 1) };
}

/** Records of a kind whose key begins with a height, from that height on. */
export function rangeFromHeight(kind: number, height: bigint): KeyRange {
  return { gte: new ByteWriter(HEIGHT_END).u8(kind).u64(height).bytes, lt: Uint8Array.of(kind + 1) };
}

/** Records of a kind whose key begins with exactly that height. */
export function rangeAtHeight(kind: number, height: bigint): KeyRange {
  const { gte } = rangeFromHeight(kind, height);
  return { gte, lt: after(gte) };
}

function metaKey(field: number): Uint8Array {
  return Uint8Array.of(KIND.meta, field);
}

function idKey(kind: number, id: Uint8Array): Uint8Array {
  return new ByteWriter(1 + ID_BYTES).u8(kind).raw(id, ID_BYTES).bytes;
}

function addressKey(kind: number, address: Address): Uint8Array {
  return new ByteWriter(ADDRESS_END).u8(kind).raw(addressToBytes(address), ADDRESS_BYTES).bytes;
}

/** The smallest key above everything that begins with `prefix`. Kinds are below ff, so there always is one. */
function after(prefix: Uint8Array): Uint8Array {
  const next = Uint8Array.from(prefix);
  let last = next.length - 1;
  while (next[last] === 0xff) last -= 1;
  next[last] = next[last]! + 1;
  return next.slice(0, last + 1);
}
