/**
 * What the API needs of the node. Plain data in and out, in the API's own types; `node/backend/` implements it
 * over the services. Nothing here throws for what a caller can get wrong: that is an outcome. A rejected promise is an
 * internal error, answered with 500 (or 503, where it is the store's).
 */
import type { CertificateDocument, CertifiedState } from '../../chain/certificate-document.ts';
import type { TxReason } from '../../chain/reasons.ts';
import type { BlockId, Tx, TxId } from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';
import type {
  AccountHistory,
  AccountInfo,
  BlockInfo,
  BlockList,
  BlockRef,
  ChainEvent,
  EvidenceList,
  MempoolInfo,
  NodeStatus,
  PeerList,
  Readiness,
  TipInfo,
  TransactionState,
  TransactionStatus,
} from './schemas.ts';

/** What does not change while the node runs. */
export interface NodeIdentity {
  readonly peerId: string;
  readonly name: string;
  /** The genesis document's name. */
  readonly network: string;
  readonly chainId: string;
}

export type SubmitOutcome =
  /** New, checked, in the mempool or parked there (nonce gap), and on its way to the peers. */
  | { readonly kind: 'accepted'; readonly id: TxId; readonly parked: boolean }
  /** In the mempool or on the main chain already. */
  | { readonly kind: 'known'; readonly id: TxId; readonly state: TransactionState; readonly parked: boolean }
  /** A rule says no, whether by `reject` or by `ignore`. `id` where it decoded. */
  | { readonly kind: 'refused'; readonly reason: TxReason; readonly id?: TxId; readonly detail?: string }
  /** The node lags behind its work, or the queue is full. */
  | { readonly kind: 'overloaded'; readonly retryAfterS: number }
  | { readonly kind: 'unavailable'; readonly code: 'not-ready' | 'disk-full' | 'stopping'; readonly detail: string };

/** Entries strictly older than this place; without `index`: than the whole block. */
export interface HistoryCursor {
  readonly height: bigint;
  readonly index?: number;
}

export type ConnectOutcome =
  /** In the address book, being dialled or connected. */
  | { readonly kind: 'added' }
  /** Not a multiaddr this node can dial. */
  | { readonly kind: 'bad-address'; readonly detail: string };

export type MineOutcome =
  /** Lowest first. Fewer than asked for where the signal aborted. */
  | { readonly kind: 'mined'; readonly blocks: readonly BlockRef[] }
  /** The mining mode does not allow it. */
  | { readonly kind: 'refused'; readonly detail: string };

export interface ApiBackend {
  readonly identity: NodeIdentity;
  /** The genesis document as it was read; the chain id depends on it. */
  readonly genesis: object;
  /** The main chain's tip, from memory. */
  head(): BlockRef;
  /** What is missing before the node can serve: mesh, sync, store. */
  readiness(): Readiness;

  /**
   * Sends a transaction down the spine, as if a peer had sent it.
   *
   * @param submitted what the client sent, at most the body limit, and may be anything; or what it has been decoded to
   */
  submitTransaction(submitted: Uint8Array | Tx): Promise<SubmitOutcome>;
  transaction(id: TxId): Promise<TransactionStatus | undefined>;

  account(address: Address): Promise<AccountInfo>;
  /** @param limit 1 to 100 entries; `next` in the answer is `<height>.<index>` of the page's last entry */
  history(address: Address, limit: number, before: HistoryCursor | undefined): Promise<AccountHistory>;

  block(ref: { readonly id: BlockId } | { readonly height: bigint }): Promise<BlockInfo | undefined>;
  /** @param from highest height of the page; the tip if undefined or above it */
  blocks(from: bigint | undefined, limit: number): Promise<BlockList>;

  /** @param limit transactions in the list, 1 to 1000 */
  mempool(limit: number): Promise<MempoolInfo>;
  tip(): Promise<TipInfo>;
  /** @returns undefined where the block is not in that state, or its votes are not stored */
  certificate(height: bigint, state: CertifiedState | undefined): Promise<CertificateDocument | undefined>;
  /** @param after address as hex, or '' for the first page */
  evidence(limit: number, after: string): Promise<EvidenceList>;
  status(): Promise<NodeStatus>;

  peers(): Promise<PeerList>;
  /** @param address multiaddr */
  connectPeer(address: string): Promise<ConnectOutcome>;
  /** @returns false when no such peer is connected */
  disconnectPeer(id: string): Promise<boolean>;

  /**
   * Mines on demand.
   *
   * @param blocks 1 to 1000
   * @param signal aborts when the caller is gone
   */
  mine(blocks: number, signal: AbortSignal): Promise<MineOutcome>;

  /**
   * Calls `listener` for each event from now on, synchronously and in order; the disposer ends it.
   *
   * @param wantsTx asked before a `tx` event is made: most are made for nobody where listeners take a sample
   */
  subscribe(listener: (event: ChainEvent) => void, wantsTx: (id: TxId) => boolean): () => void;
}
