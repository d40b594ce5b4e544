/**
 * The things the chain is made of. Types only: bytes are in `codec.ts`, rules under `validate/`.
 *
 * Ids and addresses are lower-case hex strings, so that they can key a Map; the brands keep a block id from
 * standing where a transaction id belongs. They are minted in `codec.ts`, `crypto/` and the API edge only.
 */
import type { Address } from '../crypto/address.ts';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Tagged hash of what a transaction's sender signs; 64 hex digits. A re-signed twin has the same id. */
export type TxId = Brand<string, 'TxId'>;
/** Double SHA-256 of the 113-byte header; 64 hex digits. */
export type BlockId = Brand<string, 'BlockId'>;
/** Tagged hash of what a voter signs; 64 hex digits. */
export type VoteId = Brand<string, 'VoteId'>;
/** The genesis block's id: no replay across nets. 64 hex digits. */
export type ChainId = Brand<string, 'ChainId'>;

/** What the sender signs, less the domain tag. Amounts and fees in the smallest unit, u64. */
export interface TxBody {
  readonly chainId: ChainId;
  /** Compressed secp256k1 public key, 33 bytes. */
  readonly publicKey: Uint8Array;
  readonly nonce: bigint;
  readonly to: Address;
  readonly amount: bigint;
  readonly fee: bigint;
  readonly memo: Uint8Array;
}

/** A signed transaction, with what decoding derives from it. Made by `codec.ts` only. */
export interface Tx extends TxBody {
  readonly id: TxId;
  readonly from: Address;
  /** ECDSA over secp256k1, compact (r‖s), 64 bytes. */
  readonly signature: Uint8Array;
  /** The canonical encoding. */
  readonly bytes: Uint8Array;
  /**
   * Hash of the canonical encoding as a leaf of the transaction root (RFC 9162), 32 bytes. What a block commits to:
   * a re-signed twin has another. Worked out once, when decoding; every root and every short id needs it.
   */
  readonly leafHash: Uint8Array;
}

export interface HeaderBody {
  readonly height: bigint;
  readonly parent: BlockId;
  /** Merkle root over the coinbase and the transactions' full encodings, 32 bytes. */
  readonly txRoot: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly timestampMs: bigint;
  /** Target in Bitcoin's compact form, u32. */
  readonly bits: number;
  /** Whom the coinbase pays; also the voter in electorates drawn from miners. */
  readonly miner: Address;
  readonly nonce: bigint;
}

export interface Header extends HeaderBody {
  readonly id: BlockId;
  readonly bytes: Uint8Array;
}

export interface Block {
  readonly header: Header;
  /** What the block pays its miner: reward + fees (BLK-9). */
  readonly coinbase: bigint;
  readonly txs: readonly Tx[];
}

/** A block by height and id: the two ends of a vote. */
export interface Checkpoint {
  readonly height: bigint;
  readonly id: BlockId;
}

export interface VoteBody {
  readonly chainId: ChainId;
  readonly publicKey: Uint8Array;
  readonly source: Checkpoint;
  readonly target: Checkpoint;
}

export interface Vote extends VoteBody {
  readonly id: VoteId;
  readonly voter: Address;
  readonly signature: Uint8Array;
  readonly bytes: Uint8Array;
}

export interface Account {
  readonly balance: bigint;
  /** The next nonce this account may use. */
  readonly nonce: bigint;
}

/** Read access to the accounts as of one block. An account never touched is `{ balance: 0n, nonce: 0n }`. */
export interface AccountView {
  get(address: Address): Account;
}

/** What one block changed: `before` undoes it, `after` applies it. `undefined`: the account did not exist. */
export interface BlockDelta {
  readonly before: ReadonlyMap<Address, Account | undefined>;
  readonly after: ReadonlyMap<Address, Account>;
}

/** A header in the block tree, with what follows from its ancestors. */
export interface ChainEntry {
  readonly header: Header;
  /** Sum of the work of all blocks from genesis to this one. */
  readonly totalWork: bigint;
  /** The chain clock, what ASERT takes for time: see `effectiveTimeMs` in chain/asert.ts (ADR 0003). */
  readonly effectiveTimeMs: bigint;
  /** Order of arrival at this node: the last tie-breaker of the fork choice. */
  readonly arrival: number;
}

/** More than two thirds of the electorate voted `source` → `target`: `target` is agreed (justified). */
export interface Certificate {
  readonly source: Checkpoint;
  readonly target: Checkpoint;
  readonly votes: readonly Vote[];
}

/** Two votes by one voter that break VOTE-8. Made by `makeEvidence` and decoding only. */
export interface Evidence {
  readonly kind: 'double' | 'surround';
  readonly voter: Address;
  /** The one with the lower target height; of equal ones the one with the lower id. */
  readonly first: Vote;
  readonly second: Vote;
}
