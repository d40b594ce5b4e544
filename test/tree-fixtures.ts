/** Blocks, transactions and votes for tests of pure code: real encodings and ids, signatures and work left out. */
import { chainIdOf, makeHeader, makeTx, makeVote } from '../chain/codec.ts';
import type { Account, AccountView, Block, BlockId, ChainEntry, Checkpoint, Header, Tx, Vote } from '../chain/types.ts';
import type { Address } from '../crypto/address.ts';
import { addressFromBytes, addressOf } from '../crypto/address.ts';

const NO_SIGNATURE = new Uint8Array(64);
const ZERO_ID = '00'.repeat(32) as BlockId;

/** An address that no key owns. */
export function addressAt(index: number): Address {
  const bytes = new Uint8Array(20);
  new DataView(bytes.buffer).setUint32(16, index);
  return addressFromBytes(bytes);
}

/** 33 bytes that look like a compressed key. */
export function publicKeyAt(index: number): Uint8Array {
  const bytes = new Uint8Array(33);
  bytes[0] = 2;
  new DataView(bytes.buffer).setUint32(29, index + 1);
  return bytes;
}

/** The address of `publicKeyAt(index)`. */
export function senderAt(index: number): Address {
  return addressOf(publicKeyAt(index));
}

export interface EntryOptions {
  /** Tells siblings apart. */
  readonly salt?: number;
  readonly work?: bigint;
  readonly timestampMs?: bigint;
  readonly arrival?: number;
  readonly miner?: Address;
}

export function genesisEntry(timestampMs = 0n): ChainEntry {
  return entryOf(undefined, { timestampMs });
}

/** A child of `parent`; one unit of work unless told. */
export function childOf(parent: ChainEntry, options: EntryOptions = {}): ChainEntry {
  return entryOf(parent, options);
}

/** `length` blocks on top of `parent`, lowest first. */
export function chainOn(parent: ChainEntry, length: number, options: EntryOptions = {}): ChainEntry[] {
  const entries: ChainEntry[] = [];
  let top = parent;
  for (let i = 0; i < length; i += 1) {
    top = entryOf(top, options);
    entries.push(top);
  }
  return entries;
}

let arrivals = 0;

function entryOf(parent: ChainEntry | undefined, options: EntryOptions): ChainEntry {
  const header = makeHeader({
    height: parent === undefined ? 0n : parent.header.height + 1n,
    parent: parent?.header.id ?? ZERO_ID,
    txRoot: new Uint8Array(32),
    timestampMs: options.timestampMs ?? (parent?.header.timestampMs ?? 0n) + 1000n,
    bits: 0x207fffff,
    miner: options.miner ?? addressAt(0),
    nonce: BigInt(options.salt ?? 0),
  });
  arrivals += 1;
  return {
    header,
    totalWork: (parent?.totalWork ?? 0n) + (options.work ?? 1n),
    effectiveTimeMs: header.timestampMs,
    arrival: options.arrival ?? arrivals,
  };
}

export function checkpointOf(entry: ChainEntry): Checkpoint {
  return { height: entry.header.height, id: entry.header.id };
}

const CHAIN_ID = chainIdOf(genesisEntry().header.id);

export interface TxOptions {
  readonly sender?: number;
  readonly nonce?: bigint;
  readonly amount?: bigint;
  readonly fee?: bigint;
  readonly to?: Address;
  readonly memoBytes?: number;
}

export function txOf(options: TxOptions = {}): Tx {
  return makeTx(
    {
      chainId: CHAIN_ID,
      publicKey: publicKeyAt(options.sender ?? 0),
      nonce: options.nonce ?? 0n,
      to: options.to ?? addressAt(1),
      amount: options.amount ?? 1n,
      fee: options.fee ?? 1000n,
      memo: new Uint8Array(options.memoBytes ?? 0),
    },
    NO_SIGNATURE,
  );
}

/** A block with these transactions; only what pools look at is meaningful. */
export function blockOf(txs: readonly Tx[], header: Header = genesisEntry().header): Block {
  return { header, coinbase: 0n, txs };
}

export function voteOf(voter: number, source: ChainEntry | Checkpoint, target: ChainEntry | Checkpoint): Vote {
  return makeVote(
    {
      chainId: CHAIN_ID,
      publicKey: publicKeyAt(voter),
      source: 'header' in source ? checkpointOf(source) : source,
      target: 'header' in target ? checkpointOf(target) : target,
    },
    NO_SIGNATURE,
  );
}

/** Accounts given by sender index; everybody else has nothing. */
export function accountsOf(accounts: ReadonlyMap<Address, Account>): AccountView {
  return { get: (address) => accounts.get(address) ?? { balance: 0n, nonce: 0n } };
}

/** Everybody has this account. */
export function everybody(account: Account): AccountView {
  return { get: () => account };
}
