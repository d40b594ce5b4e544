/**
 * What the node keeps. One interface over `abstract-level`: LevelDB on disk, memory in tests and simulation.
 *
 * Promises: each call that writes is one atomic batch; with `durable` writes the batch is on disk (fsync) when
 * the promise resolves; what was acknowledged is there after SIGKILL.
 */
import type {
  Account,
  Block,
  BlockDelta,
  BlockId,
  Certificate,
  ChainEntry,
  ChainId,
  Checkpoint,
  Evidence,
  Tx,
  TxId,
  Vote,
} from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';

/** A block as it enters the tree: always fully validated, whichever branch it is on. */
export interface StoredBlock {
  readonly entry: ChainEntry;
  readonly block: Block;
  readonly delta: BlockDelta;
}

/** One step of the chain: new blocks, and where they move the tip. Written durably, as one batch. */
export interface ChainCommit {
  readonly added: readonly StoredBlock[];
  /** Set when the tip moves. What it takes out of the chain comes back with the mempool at `load`. */
  readonly move?: ChainMove;
}

export interface ChainMove {
  readonly tip: BlockId;
  /** From the old tip down. */
  readonly disconnected: readonly Block[];
  /** From the fork point up. */
  readonly connected: readonly Block[];
  /** Every account that differs between the two tips, as of the new one. */
  readonly accounts: ReadonlyMap<Address, Account | undefined>;
}

/** What `load` finds. `undefined` from `load`: a new, empty store. */
export interface StoredChain {
  readonly chainId: ChainId;
  /** All headers, parents before children, genesis first. */
  readonly entries: readonly ChainEntry[];
  readonly tip: BlockId;
  readonly accounts: ReadonlyMap<Address, Account>;
  /** Agreed checkpoints above and including the last final one, lowest first. */
  readonly certificates: readonly Certificate[];
  readonly final: Checkpoint;
  /** Votes with targets above the last final height. */
  readonly votes: readonly Vote[];
  readonly evidence: readonly Evidence[];
  readonly mempool: readonly Tx[];
  /** Bodies below this height were pruned; genesis' never are. */
  readonly bodiesFrom: bigint;
}

export interface TxLocation {
  readonly block: BlockId;
  readonly index: number;
}

export interface HistoryItem {
  readonly height: bigint;
  readonly block: BlockId;
  readonly index: number;
}

/** Entries strictly older than this place; without `index`: than the whole block. */
export interface HistoryPlace {
  readonly height: bigint;
  readonly index?: number;
}

/** What a voter must remember never to contradict itself (VOTE-8): monotone in all. */
export interface VoteGuard {
  readonly sourceHeight: bigint;
  readonly targetHeight: bigint;
  /** The voter votes from another store: none may be cast on this one. Default false. */
  readonly disabled?: boolean;
  /** How often the voter has moved from store to store. Default 0. */
  readonly moves?: number;
}

export interface Store {
  /** Reads everything that lives in memory. Throws `StoreError` on damage, wrong schema, or another net's chain. */
  load(chainId: ChainId): Promise<StoredChain | undefined>;
  /** First write of a new store. */
  initialize(genesis: StoredBlock, accounts: ReadonlyMap<Address, Account>): Promise<void>;
  commit(change: ChainCommit): Promise<void>;

  /** Undefined for a block that is unknown or whose body was pruned. */
  block(id: BlockId): Promise<Block | undefined>;
  /** The same as its bytes, for who passes it on. */
  encodedBlock(id: BlockId): Promise<Uint8Array | undefined>;
  delta(id: BlockId): Promise<BlockDelta | undefined>;
  /** Where a transaction stands on the main chain. */
  txLocation(id: TxId): Promise<TxLocation | undefined>;
  /** Transactions from or to the address on the main chain, newest first. */
  history(address: Address, limit: number, before?: HistoryPlace): Promise<readonly HistoryItem[]>;

  /** Votes heard; not fsynced, they can be had again. */
  saveVotes(votes: readonly Vote[]): Promise<void>;
  /** Newly agreed checkpoints, and the final one where it moved; durable, one batch. */
  saveAgreement(certificates: readonly Certificate[], final: Checkpoint | undefined): Promise<void>;
  saveEvidence(evidence: Evidence): Promise<void>;
  certificate(targetHeight: bigint): Promise<Certificate | undefined>;
  /**
   * Those with targets at that height or above, lowest first, one a height: as many as hold so many `votes`, and the
   * last of them whole. Empty: there is none.
   */
  certificatesFrom(targetHeight: bigint, votes: number): Promise<readonly Certificate[]>;
  /** The votes of those, encoded as they are kept: to be passed on, not looked at. */
  encodedVotesFrom(targetHeight: bigint, votes: number): Promise<readonly Uint8Array[]>;

  /** Own vote and guard in one durable batch; resolves before the vote may be published. */
  saveOwnVote(vote: Vote, guard: VoteGuard): Promise<void>;
  voteGuard(voter: Address): Promise<VoteGuard | undefined>;

  /** Mempool journal: survives SIGKILL of the process, not fsynced. */
  saveMempool(added: readonly Tx[], removed: readonly TxId[]): Promise<void>;

  /** Address book: multiaddr → last time connected, ms. Replaced whole, bounded by the caller. */
  savePeers(peers: ReadonlyMap<string, number>): Promise<void>;
  loadPeers(): Promise<ReadonlyMap<string, number>>;

  close(): Promise<void>;
}

/** What moving a voter needs of a store, besides what a node does. Used on a stopped node. */
export interface VoteProtectionStore {
  /** Undefined: the store holds no chain yet. */
  chainId(): Promise<ChainId | undefined>;
  voteGuards(): Promise<ReadonlyMap<Address, VoteGuard>>;
  /**
   * Durable. Rejects with RangeError where a height or the moves would go back. After a `StoreError` the voter stands as
   * before, also at the next start, unless the message says that this is not certain, and what to do.
   */
  saveVoteGuard(voter: Address, guard: VoteGuard): Promise<void>;
  close(): Promise<void>;
}

/** The store can't be opened, read or written; `code` is stable, the message says what to do. */
export class StoreError extends Error {
  readonly code: 'locked' | 'damaged' | 'wrong-schema' | 'wrong-chain' | 'empty' | 'full' | 'unwritable' | 'closed';

  constructor(code: StoreError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}
