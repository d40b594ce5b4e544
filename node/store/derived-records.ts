/** Which records a block, an account or a vote makes. Everything but the blocks themselves can be made again. */
import { blockIdToBytes, encodeBlock } from '../../chain/codec.ts';
import type { Account, Block, BlockDelta, Tx, TxId, Vote } from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';
import type { Operation } from './database.ts';
import * as keys from './keys.ts';
import { META } from './keys.ts';
import * as records from './records.ts';
import type { ChainCommit, ChainMove, StoredBlock } from './store.ts';

/** The write of one record, sealed for its key (`sealRecord`): no record goes into the database otherwise. */
export function put(key: Uint8Array, payload: Uint8Array): Operation {
  return { type: 'put', key, value: records.sealRecord(key, payload) };
}

/**
 * Entry, body and delta: written in one batch, since later one without the others is damage, unless it was pruned.
 *
 * @param sumChange what the block adds to the sum of the accounts, mod 2^32 (`sumChangeOf`); of genesis, the sum
 */
export function putBlock({ entry, block, delta }: StoredBlock, sumChange: number): Operation[] {
  const { id } = entry.header;
  return [
    put(keys.entryKey(id), records.encodeEntry({ entry, sumChange })),
    put(keys.blockKey(id), encodeBlock(block)),
    put(keys.deltaKey(id), records.encodeDelta(delta)),
  ];
}

/** Removes the record of an account that no longer exists, balance and nonce both 0. */
export function putAccount(address: Address, account: Account | undefined): Operation {
  const key = keys.accountKey(address);
  const existing = records.existingAccount(account);
  return existing === undefined ? { type: 'del', key } : put(key, records.encodeAccount(existing));
}

/** Of any voter. With an own vote goes its guard (`putGuard`), in the same batch. */
export function putVote(vote: Vote): Operation {
  return put(keys.voteKey(vote), vote.bytes);
}

/** By how much a block changes the sum of the accounts, mod 2^32. */
export function sumChangeOf(delta: BlockDelta): number {
  let sum = 0;
  for (const [address, account] of delta.before) sum = (sum - records.sumOfAccount(address, account)) >>> 0;
  for (const [address, account] of delta.after) sum = (sum + records.sumOfAccount(address, account)) >>> 0;
  return sum;
}

/** Keys and payloads by which a main-chain block's transactions are found. A transfer to oneself is one item. */
export function* indexOf(block: Block): Generator<readonly [Uint8Array, Uint8Array]> {
  const { id, height } = block.header;
  const indicesOf = new Map<Address, number[]>();
  const note = (address: Address, index: number): void => {
    const indices = indicesOf.get(address);
    if (indices === undefined) indicesOf.set(address, [index]);
    else indices.push(index);
  };
  for (const [index, tx] of block.txs.entries()) {
    yield [keys.txLocationKey(tx.id), records.encodeTxLocation({ block: id, index })];
    note(tx.from, index);
    if (tx.to !== tx.from) note(tx.to, index);
  }
  for (const [address, indices] of indicesOf) {
    yield [keys.historyKey(address, height), records.encodeHistory({ block: id, indices })];
  }
}

/** What indexes a block's transactions. */
export function* blockIndexOperations(block: Block): Generator<Operation, undefined> {
  for (const [key, payload] of indexOf(block)) yield put(key, payload);
}

/**
 * What writes a change of the chain, and takes the transactions of abandoned blocks out of the index. Those of its new
 * blocks are indexed after it: what is mined again on a new branch stays indexed.
 */
export function* operationsOf({ added, move }: ChainCommit): Generator<Operation> {
  for (const stored of added) yield* putBlock(stored, sumChangeOf(stored.delta));
  if (move === undefined) return;
  for (const block of move.disconnected) for (const [key] of indexOf(block)) yield { type: 'del', key };
  for (const [address, account] of move.accounts) yield putAccount(address, account);
  for (const tx of unmined(move)) yield put(keys.mempoolKey(tx.id), tx.bytes);
  yield put(META.tip, blockIdToBytes(move.tip));
}

/**
 * What a move of the tip takes out of the chain. It goes back into the mempool's journal with the move, for nothing else
 * would remember it after a crash; the mempool takes out what it can't take back.
 */
export function* unmined({ disconnected, connected }: ChainMove): Generator<Tx> {
  if (disconnected.length === 0) return;
  const mined = new Set<TxId>();
  for (const { txs } of connected) for (const { id } of txs) mined.add(id);
  for (const { txs } of disconnected) for (const tx of txs) if (!mined.has(tx.id)) yield tx;
}

/** What writes a change of the mempool. */
export function* mempoolOperations(added: Iterable<Tx>, removed: Iterable<TxId>): Generator<Operation> {
  for (const id of removed) yield { type: 'del', key: keys.mempoolKey(id) };
  for (const tx of added) yield put(keys.mempoolKey(tx.id), tx.bytes);
}
