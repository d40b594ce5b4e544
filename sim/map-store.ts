/**
 * A store that keeps objects as they are: what a world of many nodes can afford. Same promises as the store on a
 * database, less the bytes: nothing is encoded, so nothing can be damaged. It outlives its node: a restart opens a
 * new store on the same {@link MapDatabase}.
 */
import { encodeBlock } from '../chain/codec.ts';
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
} from '../chain/types.ts';
import type { Address } from '../crypto/address.ts';
import { unmined } from '../node/store/derived-records.ts';
import { wrongChain } from '../node/store/level-errors.ts';
import {
  type ChainCommit,
  type HistoryItem,
  type HistoryPlace,
  type Store,
  type StoredBlock,
  type StoredChain,
  StoreError,
  type TxLocation,
  type VoteGuard,
  type VoteProtectionStore,
} from '../node/store/store.ts';
import { assertGuardRises, strongerGuard } from '../node/store/vote-guards.ts';

/** What is "on disk". */
export class MapDatabase {
  chainId: ChainId | undefined;
  tip: BlockId | undefined;
  final: Checkpoint | undefined;
  readonly blocks = new Map<BlockId, StoredBlock>();
  readonly accounts = new Map<Address, Account>();
  readonly certificates = new Map<bigint, Certificate[]>();
  readonly votes = new Map<string, Vote>();
  readonly evidence = new Map<string, Evidence>();
  readonly mempool = new Map<TxId, Tx>();
  readonly guards = new Map<Address, VoteGuard>();
  peers: ReadonlyMap<string, number> = new Map();
}

/** For messages. */
const PLACE = { location: 'memory', dataDir: 'memory' };
const ascending = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** One at a time on a database, which nothing checks. After `close` every call rejects with a StoreError, `closed`. */
export function openMapStore(db: MapDatabase): Store & VoteProtectionStore {
  let isClosed = false;
  // As an async function would, at half its price: a world makes some calls for every transaction at every node.
  const guard = <T>(work: () => T): Promise<T> => {
    if (isClosed) return Promise.reject(new StoreError('closed', 'the store in memory is closed'));
    try {
      return Promise.resolve(work());
    } catch (error) {
      return Promise.reject(error);
    }
  };
  const putBlocks = (added: readonly StoredBlock[]): void => {
    for (const stored of added) db.blocks.set(stored.entry.header.id, stored);
  };
  const putAccounts = (accounts: ReadonlyMap<Address, Account | undefined>): void => {
    for (const [address, account] of accounts) {
      if (account === undefined || (account.balance === 0n && account.nonce === 0n)) db.accounts.delete(address);
      else db.accounts.set(address, account);
    }
  };
  return {
    load: (chainId) =>
      guard((): StoredChain | undefined => {
        const { tip, final } = db;
        if (db.chainId === undefined || tip === undefined || final === undefined) return undefined;
        if (db.chainId !== chainId) throw wrongChain(PLACE, db.chainId, chainId);
        return {
          chainId,
          bodiesFrom: 0n,
          entries: entriesOf(db),
          tip,
          accounts: new Map(db.accounts),
          certificates: [...db.certificates]
            .filter(([height]) => height >= final.height)
            .sort(([a], [b]) => ascending(a, b))
            .flatMap(([, certificates]) => certificates),
          final,
          votes: [...db.votes.values()]
            .filter(({ target }) => target.height > final.height)
            .sort((a, b) => ascending(a.target.height, b.target.height)),
          evidence: [...db.evidence.values()],
          mempool: [...db.mempool.values()].sort((a, b) => ascending(a.nonce, b.nonce)),
        };
      }),
    initialize: (genesis, accounts) =>
      guard(() => {
        if (db.chainId !== undefined) throw new Error('the store holds a chain');
        const { id, height } = genesis.entry.header;
        db.chainId = id as string as ChainId;
        db.tip = id;
        db.final = { id, height };
        putBlocks([genesis]);
        putAccounts(accounts);
      }),
    commit: ({ added, move }: ChainCommit) =>
      guard(() => {
        if (move === undefined) {
          putBlocks(added);
          return;
        }
        const { tip, connected, accounts } = move;
        const last = connected.at(-1);
        if (last !== undefined && last.header.id !== tip) throw new Error('the tip is not the last block connected');
        putBlocks(added);
        putAccounts(accounts);
        for (const tx of unmined(move)) db.mempool.set(tx.id, tx);
        db.tip = tip;
      }),
    block: (id) => guard((): Block | undefined => db.blocks.get(id)?.block),
    encodedBlock: (id) =>
      guard((): Uint8Array | undefined => {
        const stored = db.blocks.get(id);
        return stored && encodeBlock(stored.block);
      }),
    delta: (id) => guard((): BlockDelta | undefined => db.blocks.get(id)?.delta),
    txLocation: (id) => guard(() => locationOf(db, id)),
    history: (address, limit, before) => guard(() => historyOf(db, address, limit, before)),
    saveVotes: (votes) =>
      guard(() => {
        for (const vote of votes) db.votes.set(vote.id, vote);
      }),
    saveAgreement: (certificates, final) =>
      guard(() => {
        for (const certificate of certificates) putCertificate(db, certificate);
        if (final !== undefined) db.final = { id: final.id, height: final.height };
      }),
    saveEvidence: (evidence) =>
      guard(() => {
        db.evidence.set(evidenceKey(evidence), evidence);
      }),
    certificate: (targetHeight) => guard(() => db.certificates.get(targetHeight)?.[0]),
    certificatesFrom: (targetHeight, votes) => guard(() => certificatesFrom(db, targetHeight, votes)),
    encodedVotesFrom: (targetHeight, votes) =>
      guard(() =>
        certificatesFrom(db, targetHeight, votes).flatMap((certificate) => certificate.votes.map(({ bytes }) => bytes)),
      ),
    saveOwnVote: (vote, next) =>
      guard(() => {
        assertGuardRises(vote.voter, db.guards.get(vote.voter), next, true);
        db.votes.set(vote.id, vote);
        db.guards.set(vote.voter, strongerGuard(next));
      }),
    saveVoteGuard: (voter, next) =>
      guard(() => {
        assertGuardRises(voter, db.guards.get(voter), next, false);
        db.guards.set(voter, strongerGuard(next));
      }),
    voteGuards: () => guard(() => new Map(db.guards)),
    chainId: () => guard(() => db.chainId),
    voteGuard: (voter) => guard(() => db.guards.get(voter)),
    saveMempool: (added, removed) =>
      guard(() => {
        for (const id of removed) db.mempool.delete(id);
        for (const tx of added) db.mempool.set(tx.id, tx);
      }),
    savePeers: (peers) =>
      guard(() => {
        db.peers = new Map(peers);
      }),
    loadPeers: () => guard(() => db.peers),
    async close() {
      isClosed = true;
    },
  };
}

/** Parents before children: as they were added, since no block enters the tree before its parent. */
function entriesOf(db: MapDatabase): ChainEntry[] {
  return Array.from(db.blocks.values(), ({ entry }) => entry);
}

function certificatesFrom(db: MapDatabase, targetHeight: bigint, votes: number): readonly Certificate[] {
  const certificates: Certificate[] = [];
  let missing = votes;
  for (const height of [...db.certificates.keys()].filter((each) => each >= targetHeight).sort(ascending)) {
    if (missing <= 0) break;
    const certificate = db.certificates.get(height)![0]!;
    certificates.push(certificate);
    missing -= certificate.votes.length;
  }
  return certificates;
}

/** The blocks of the main chain, newest first. */
function* mainChain(db: MapDatabase): Generator<StoredBlock, void, undefined> {
  let stored = db.tip === undefined ? undefined : db.blocks.get(db.tip);
  while (stored !== undefined) {
    yield stored;
    stored = db.blocks.get(stored.entry.header.parent);
  }
}

/** There is no index: it would be most of what a world of many nodes keeps. O(blocks · transactions). */
function locationOf(db: MapDatabase, id: TxId): TxLocation | undefined {
  for (const { block } of mainChain(db)) {
    const index = block.txs.findIndex((tx) => tx.id === id);
    if (index !== -1) return { block: block.header.id, index };
  }
  return undefined;
}

/** Newest first. O(blocks · transactions). */
function historyOf(
  db: MapDatabase,
  address: Address,
  limit: number,
  before: HistoryPlace | undefined,
): readonly HistoryItem[] {
  const items: HistoryItem[] = [];
  for (const { block } of mainChain(db)) {
    if (items.length >= limit) break;
    const { header } = block;
    for (const [index, tx] of [...block.txs.entries()].reverse()) {
      if (items.length >= limit) break;
      if (before !== undefined && !isBefore(header.height, index, before)) continue;
      if (tx.from === address || tx.to === address) {
        items.push({ height: header.height, block: header.id, index });
      }
    }
  }
  return items;
}

function isBefore(height: bigint, index: number, place: HistoryPlace): boolean {
  if (height !== place.height) return height < place.height;
  return place.index !== undefined && index < place.index;
}

/** Two at one height exist only where a third of the voters broke VOTE-8; the one with the lower id stands first. */
function putCertificate(db: MapDatabase, certificate: Certificate): void {
  const { height, id } = certificate.target;
  const others = (db.certificates.get(height) ?? []).filter(({ target }) => target.id !== id);
  db.certificates.set(
    height,
    [...others, certificate].sort((a, b) => (a.target.id < b.target.id ? -1 : 1)),
  );
}

function evidenceKey(evidence: Evidence): string {
  return `${evidence.voter} ${evidence.kind} ${evidence.first.id} ${evidence.second.id}`;
}
