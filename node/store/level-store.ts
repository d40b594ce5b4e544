/**
 * The store over any abstract-level database.
 *
 * Writes go one after another, each one atomic batch that also counts itself. A batch that fails leaves the outcome
 * open: LevelDB may have half of it in its log, or, after a failed fsync, all of it, and an append after a torn one
 * would be lost at the next start. So the write after a failed one first opens the database again, which repairs
 * LevelDB's log, looks at the counter, and undoes the batch if it did arrive after all: what was reported as not
 * written is not there. Reads go on meanwhile, from before the failed batch.
 *
 * Nothing is kept in memory but that, the guards of the few voters that vote from here, which stand in a file of their own
 * too, and the blocks that are not yet in the index (`index-backlog.ts`): every other answer comes from the database.
 */
import { blockIdFromBytes, blockIdToBytes, chainIdFromBytes, encodeEvidence } from '../../chain/codec.ts';
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
import { type Address, addressFromBytes } from '../../crypto/address.ts';
import { damaged, type StorePlace } from './damage.ts';
import {
  BUFFERED,
  DURABLE,
  ENCODING,
  gatherInSlices,
  type LevelDatabase,
  type Operation,
  SCAN,
  scanRecords,
  type WriteOptions,
} from './database.ts';
import {
  blockIndexOperations,
  mempoolOperations,
  operationsOf,
  put,
  putAccount,
  putBlock,
  putVote,
} from './derived-records.ts';
import { BACKLOG_LIMITS, type BacklogLimits, IndexBacklog } from './index-backlog.ts';
import * as keys from './keys.ts';
import { KIND, META } from './keys.ts';
import { full, storeErrorOf, writeErrorOf, wrongChain, wrongSchema } from './level-errors.ts';
import * as records from './records.ts';
import { canMigrate, migrate, olderSchemaOf, SCHEMA } from './schema.ts';
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
} from './store.ts';
import { guardsMissingIn, mergeGuards, putGuard, readGuards } from './vote-guards.ts';
import { type GuardPlaces, writeGuard } from './write-guard.ts';

export interface StoreOptions {
  readonly place: StorePlace;
  /** As `OpenOptions` has it. */
  readonly chainId: ChainId | undefined;
  /** A chain was stored here before: to find none is damage. */
  readonly hasChain: boolean;
  /** Called as soon as a chain is stored, when `hasChain` did not say so. */
  readonly afterChainStored: () => Promise<void>;
  /** Called after a clean stop of a store that holds a chain. */
  readonly afterClose: () => Promise<void>;
  /** The second copy of the guards (`guard-file.ts`); undefined where there is none. */
  readonly filedGuards: ReadonlyMap<Address, VoteGuard> | undefined;
  /**
   * What is wrong with the database's tables, or undefined: looked for before a store is brought over from an older schema,
   * and before the second copy is first made of it.
   */
  readonly findTableDamage: () => Promise<string | undefined>;
  /** Writes the second copy; durable when it resolves. */
  readonly saveGuards: (guards: ReadonlyMap<Address, VoteGuard>) => Promise<void>;
  /** Called, with the database closed, before a store of an older schema and so many batches is brought to today's. */
  readonly beforeMigration: (schema: number, batches: bigint) => Promise<void>;
  /** Whether to try again after a write that failed. */
  readonly hasRoom: () => Promise<boolean>;
  /** Called between the slices of a long write: lets others have their turn. */
  readonly giveWay: () => Promise<void>;
  /** Called between the writes of what can wait. */
  readonly pause: () => Promise<void>;
  readonly backlog: BacklogLimits;
  readonly monotonicMs: () => number;
}

const MEMORY: StoreOptions = {
  place: { location: 'memory', dataDir: 'memory' },
  chainId: undefined,
  hasChain: false,
  afterChainStored: async () => {},
  afterClose: async () => {},
  filedGuards: undefined,
  findTableDamage: async () => undefined,
  saveGuards: async () => {},
  beforeMigration: async () => {},
  hasRoom: async () => true,
  giveWay: async () => {},
  pause: async () => {},
  backlog: { ...BACKLOG_LIMITS, settleMs: 0 },
  monotonicMs: () => 0,
};

/**
 * Opens a store on a database that the caller made (in tests and simulation, memory-level) and hands over: `close`
 * closes it. Options default to those of a database in memory.
 * @throws StoreError `wrong-schema`; `damaged` where there are records but nothing that says of which schema
 */
export async function openStoreOn(
  db: LevelDatabase,
  options: Partial<StoreOptions> = {},
): Promise<Store & VoteProtectionStore> {
  const store = new LevelStore(db, { ...MEMORY, ...options });
  try {
    await store.open();
  } catch (error) {
    await db.close().catch(() => {});
    throw error;
  }
  return store;
}

/** A batch that failed: its number, and what would undo it. */
interface FailedBatch {
  readonly number: bigint;
  /** Undefined where even that could not be read. */
  readonly undo: readonly Operation[] | undefined;
}

class LevelStore implements Store, VoteProtectionStore {
  readonly #db: LevelDatabase;
  readonly #options: StoreOptions;
  /** Settles when the last write in the queue has. */
  #lastWrite: Promise<void> = Promise.resolve();
  #batches = 0n;
  #pruned = records.NOTHING_PRUNED;
  #hasSchema = false;
  #guards: ReadonlyMap<Address, VoteGuard> = new Map();
  #hasChain: boolean;
  #reopening: Promise<void> | undefined;
  #failed: FailedBatch | undefined;
  #closing: Promise<void> | undefined;
  readonly #backlog: IndexBacklog;
  /** Resolves when what the last life listed is in the backlog. */
  #indexTaken: Promise<void> | undefined;
  /** `META.unindexed` stands in the database. */
  #isAnyListed = false;
  #isIndexing = false;

  constructor(db: LevelDatabase, options: StoreOptions) {
    this.#db = db;
    this.#options = options;
    this.#hasChain = options.hasChain;
    this.#backlog = new IndexBacklog(options.backlog, options.monotonicMs);
  }

  async open(): Promise<void> {
    await this.#reading(async () => {
      await this.#db.open();
      const schema = await this.#read(META.schema, records.decodeU32);
      if (schema === undefined) {
        for await (const _ of this.#db.keys({ ...SCAN, limit: 1 })) throw this.#damaged('its schema record is missing');
        if (this.#hasChain) throw this.#damaged('it is empty, though a chain was stored in it');
        await this.#takeUpGuards();
        return;
      }
      if (!canMigrate(schema)) throw wrongSchema(this.#options.place, schema, SCHEMA);
      if (await this.#db.has(META.repairing, ENCODING)) throw this.#damaged('a repair of it was cut short');
      if (schema !== SCHEMA) await this.#migrate(olderSchemaOf(schema));
      this.#hasSchema = true;
      this.#batches = await this.#readBatchNumber();
      const pruned = await this.#read(META.pruned, records.decodePruned);
      if (pruned === undefined) throw this.#damaged('the record of what was pruned is missing');
      this.#pruned = pruned;
      await this.#takeUpGuards();
    });
  }

  /** What either copy says of a voter counts, and then stands in both. */
  async #takeUpGuards(): Promise<void> {
    const { filedGuards, saveGuards, findTableDamage } = this.#options;
    const damage = filedGuards === undefined ? await findTableDamage() : undefined;
    if (damage !== undefined) throw this.#damaged(damage);
    const stored = await readGuards(this.#db);
    this.#guards = mergeGuards(stored, filedGuards ?? new Map());
    const lost = guardsMissingIn(stored, this.#guards).map(([voter, guard]) => putGuard(voter, guard));
    if (lost.length > 0) await this.#writeBatch(lost, DURABLE);
    const isFiled = filedGuards !== undefined && guardsMissingIn(filedGuards, this.#guards).length === 0;
    if (!isFiled) await saveGuards(this.#guards);
  }

  async #migrate(schema: number): Promise<void> {
    const { chainId, place, findTableDamage } = this.#options;
    const stored = await this.#read(META.chain, chainIdFromBytes);
    if (chainId !== undefined && stored !== undefined && stored !== chainId) throw wrongChain(place, stored, chainId);
    // LevelDB does not look: what it writes anew would have a good sum over bad bytes.
    const damage = await findTableDamage();
    if (damage !== undefined) throw this.#damaged(damage);
    const batches = await this.#readBatchNumber();
    await this.#db.close(); // LevelDB's files stand still for the backup
    await this.#options.beforeMigration(schema, batches);
    await this.#db.open();
    await migrate(this.#db, schema);
  }

  load(chainId: ChainId): Promise<StoredChain | undefined> {
    return this.#reading(async () => {
      const stored = await this.#read(META.chain, chainIdFromBytes);
      const tip = await this.#read(META.tip, blockIdFromBytes);
      const final = await this.#read(META.final, records.decodeCheckpoint);
      if (stored === undefined && tip === undefined && final === undefined && !(await this.#hasAny(KIND.entry))) {
        if (this.#hasChain) throw this.#damaged('it holds no chain, though one was stored in it');
        return undefined;
      }
      if (stored === undefined) throw this.#damaged('the record of its chain id is missing');
      if (stored !== chainId) throw wrongChain(this.#options.place, stored, chainId);
      if (tip === undefined) throw this.#damaged('the record of its tip is missing');
      if (final === undefined) throw this.#damaged('the record of its final block is missing');

      const { entries, accountsSum } = await this.#loadEntries(chainId, tip, final);
      const accounts = await this.#loadAccounts(accountsSum);
      await this.#readBlock(tip);
      const certificates: Certificate[] = [];
      for await (const [key, value] of scanRecords(this.#db, keys.rangeFromHeight(KIND.certificate, final.height))) {
        certificates.push(records.decodeCertificate(records.unsealRecord(key, value)));
      }
      const votes: Vote[] = [];
      for await (const [key, value] of scanRecords(this.#db, keys.rangeFromHeight(KIND.vote, final.height + 1n))) {
        votes.push(records.decodeStoredVote(records.unsealRecord(key, value)));
      }
      const evidence: Evidence[] = [];
      for await (const [key, value] of scanRecords(this.#db, keys.rangeOf(KIND.evidence))) {
        evidence.push(records.decodeStoredEvidence(records.unsealRecord(key, value)));
      }
      const mempool: Tx[] = [];
      for await (const [key, value] of scanRecords(this.#db, keys.rangeOf(KIND.mempool))) {
        mempool.push(records.decodeStoredTx(records.unsealRecord(key, value)));
      }
      await this.#takeUpIndex();
      if (!this.#hasChain) await this.#options.afterChainStored();
      this.#hasChain = true;
      // Each sender's in nonce order, so that whoever adds them one by one meets no gap.
      mempool.sort((a, b) => (a.nonce < b.nonce ? -1 : a.nonce > b.nonce ? 1 : 0));
      const { bodiesFrom } = this.#pruned;
      return { chainId: stored, entries, tip, accounts, certificates, final, votes, evidence, mempool, bodiesFrom };
    });
  }

  /** Throws an Error where the store holds a chain already: that is the caller's fault. */
  async initialize(genesis: StoredBlock, accounts: ReadonlyMap<Address, Account>): Promise<void> {
    const { header } = genesis.entry;
    let sum = 0;
    for (const [address, account] of accounts) sum = (sum + records.sumOfAccount(address, account)) >>> 0;
    const operations = [
      put(META.chain, blockIdToBytes(header.id)),
      put(META.tip, blockIdToBytes(header.id)),
      put(META.final, records.encodeCheckpoint(header)),
      ...putBlock(genesis, sum),
      ...[...accounts].map(([address, account]) => putAccount(address, account)),
    ];
    await this.#write(operations, DURABLE, async () => {
      if ((await this.#read(META.chain, chainIdFromBytes)) !== undefined) throw new Error('the store holds a chain');
    });
    await this.#translating(this.#options.afterChainStored);
    this.#hasChain = true;
  }

  async commit(change: ChainCommit): Promise<void> {
    const last = change.move?.connected.at(-1);
    if (last !== undefined && last.header.id !== change.move?.tip) {
      throw new Error('the tip is not the last block connected');
    }
    await this.#inTurn(async () => {
      const { move } = change;
      await this.#takeUpIndex();
      const backlog = move && this.#backlog.plan(move);
      const operations = [...(await this.#gather(operationsOf(change)))];
      for (const block of backlog?.overdue ?? []) {
        operations.push(...(await this.#gather(blockIndexOperations(block))));
      }
      if (backlog !== undefined && (backlog.listed.length > 0 || this.#isAnyListed)) {
        operations.push(putUnindexed(backlog.listed));
      }
      if (operations.length > 0) await this.#writeBatch(operations, DURABLE);
      if (backlog === undefined) return;
      this.#backlog.apply(backlog);
      this.#isAnyListed = backlog.listed.length > 0;
    });
    this.#startIndexing();
  }

  block(id: BlockId): Promise<Block | undefined> {
    return this.#reading(() => this.#readBlock(id));
  }

  encodedBlock(id: BlockId): Promise<Uint8Array | undefined> {
    return this.#reading(async () => {
      const bytes = await this.#read(keys.blockKey(id), (payload) => payload);
      if (bytes === undefined) await this.#mustBeAbsent(id, 'body', this.#pruned.bodiesFrom);
      return bytes;
    });
  }

  delta(id: BlockId): Promise<BlockDelta | undefined> {
    return this.#reading(async () => {
      const delta = await this.#read(keys.deltaKey(id), records.decodeDelta);
      if (delta === undefined) await this.#mustBeAbsent(id, 'delta', this.#pruned.undoFrom);
      return delta;
    });
  }

  txLocation(id: TxId): Promise<TxLocation | undefined> {
    return this.#reading(
      async () => this.#backlog.txLocation(id) ?? (await this.#read(keys.txLocationKey(id), records.decodeTxLocation)),
    );
  }

  history(address: Address, limit: number, before?: HistoryPlace): Promise<readonly HistoryItem[]> {
    return this.#reading(async () => {
      if (limit <= 0) return [];
      const waiting = this.#backlog.history(address, limit, before);
      const isWaiting = new Set(this.#backlog.blocks.map(({ header }) => header.id));
      const items: HistoryItem[] = [];
      // Of the first block there may be nothing older than the place; every other has one item at least.
      const range = { ...keys.historyRange(address, before), reverse: true, limit: limit + 1 };
      for await (const [key, value] of scanRecords(this.#db, range)) {
        const height = keys.heightOfHistoryKey(key);
        const { block, indices } = records.decodeHistory(records.unsealRecord(key, value));
        if (isWaiting.has(block)) continue; // its items are in `waiting`
        for (const index of indices.toReversed()) {
          if (height === before?.height && index >= (before.index ?? 0)) continue;
          items.push({ height, block, index });
        }
        if (items.length >= limit) break;
      }
      return newestFirst([...waiting, ...items]).slice(0, limit);
    });
  }

  saveVotes(votes: readonly Vote[]): Promise<void> {
    return this.#write(votes.map(putVote), BUFFERED);
  }

  saveAgreement(certificates: readonly Certificate[], final: Checkpoint | undefined): Promise<void> {
    const operations = certificates.map((certificate) =>
      put(keys.certificateKey(certificate.target), records.encodeCertificate(certificate)),
    );
    if (final !== undefined) operations.push(put(META.final, records.encodeCheckpoint(final)));
    return this.#write(operations, DURABLE);
  }

  saveEvidence(evidence: Evidence): Promise<void> {
    return this.#write([put(keys.evidenceKey(evidence), encodeEvidence(evidence))], DURABLE);
  }

  /** Two at one height exist only where a third of the voters broke VOTE-8; then the one with the lower id. */
  certificate(targetHeight: bigint): Promise<Certificate | undefined> {
    return this.#reading(async () => {
      for await (const [key, value] of scanRecords(this.#db, {
        ...keys.rangeAtHeight(KIND.certificate, targetHeight),
        limit: 1,
      })) {
        return records.decodeCertificate(records.unsealRecord(key, value));
      }
      return undefined;
    });
  }

  certificatesFrom(targetHeight: bigint, votes: number): Promise<readonly Certificate[]> {
    return this.#reading(() => this.#certificates(targetHeight, votes, records.decodeCertificate));
  }

  encodedVotesFrom(targetHeight: bigint, votes: number): Promise<readonly Uint8Array[]> {
    return this.#reading(async () => {
      const certificates = await this.#certificates(targetHeight, votes, records.encodedVotesOf);
      return certificates.flatMap((certificate) => certificate.votes);
    });
  }

  async #certificates<C extends { readonly target: Checkpoint; readonly votes: readonly unknown[] }>(
    targetHeight: bigint,
    votes: number,
    decode: (payload: Uint8Array) => C,
  ): Promise<C[]> {
    const certificates: C[] = [];
    let missing = votes;
    if (missing <= 0) return certificates;
    for await (const [key, value] of scanRecords(this.#db, keys.rangeFromHeight(KIND.certificate, targetHeight))) {
      const certificate = decode(records.unsealRecord(key, value));
      if (certificate.target.height === certificates.at(-1)?.target.height) continue;
      certificates.push(certificate);
      missing -= certificate.votes.length;
      if (missing <= 0) break;
    }
    return certificates;
  }

  /**
   * Rejects with RangeError where the guard would go back (VOTE-8), or the voter has moved away: the last line of
   * defence against own faults.
   */
  saveOwnVote(vote: Vote, guard: VoteGuard): Promise<void> {
    return this.#writeGuard(vote.voter, guard, vote);
  }

  saveVoteGuard(voter: Address, guard: VoteGuard): Promise<void> {
    return this.#writeGuard(voter, guard);
  }

  async voteGuards(): Promise<ReadonlyMap<Address, VoteGuard>> {
    this.#assertOpen();
    return this.#guards;
  }

  chainId(): Promise<ChainId | undefined> {
    return this.#reading(() => this.#read(META.chain, chainIdFromBytes));
  }

  async voteGuard(voter: Address): Promise<VoteGuard | undefined> {
    this.#assertOpen();
    return this.#guards.get(voter);
  }

  saveMempool(added: readonly Tx[], removed: readonly TxId[]): Promise<void> {
    return this.#write(() => this.#gather(mempoolOperations(added, removed)), BUFFERED);
  }

  savePeers(peers: ReadonlyMap<string, number>): Promise<void> {
    return this.#write([put(keys.PEERS_KEY, records.encodePeers(peers))], BUFFERED);
  }

  async loadPeers(): Promise<ReadonlyMap<string, number>> {
    const peers = await this.#reading(() => this.#read(keys.PEERS_KEY, records.decodePeers));
    return peers ?? new Map();
  }

  /** Waits for the writes in the queue; what is not indexed by then is by the next life. May be called again. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#lastWrite;
      await this.#db.close();
      // After a write that failed, the log may well end in half a record.
      if (this.#hasChain && this.#failed === undefined) await this.#options.afterClose();
    })();
    return this.#closing;
  }

  // Loading -----------------------------------------------------------------------------------------------------

  /** All entries, parents first, and what the accounts at the tip must sum to. */
  async #loadEntries(
    chainId: ChainId,
    tip: BlockId,
    final: Checkpoint,
  ): Promise<{ readonly entries: readonly ChainEntry[]; readonly accountsSum: number }> {
    const byId = new Map<string, records.EntryRecord>();
    for await (const [key, value] of scanRecords(this.#db, keys.rangeOf(KIND.entry))) {
      const record = records.decodeEntry(records.unsealRecord(key, value));
      byId.set(record.entry.header.id, record);
    }
    const entries = Array.from(byId.values(), (record) => record.entry);
    for (const { header } of entries) {
      if ((header.id as string) === chainId) continue;
      const parent = byId.get(header.parent);
      if (parent === undefined || parent.entry.header.height + 1n !== header.height) {
        throw this.#damaged(`block ${header.id} has no parent`);
      }
    }
    if (!byId.has(final.id)) throw this.#damaged(`the final block ${final.id} is missing`);
    let accountsSum = 0;
    for (let id: string = tip; ; ) {
      const record = byId.get(id);
      if (record === undefined) throw this.#damaged(`block ${id} of the main chain is missing`);
      accountsSum = (accountsSum + record.sumChange) >>> 0;
      if (id === chainId) break;
      id = record.entry.header.parent;
    }
    // A parent is one lower than its child; equal heights in order of arrival.
    entries.sort((a, b) => Number(a.header.height - b.header.height) || a.arrival - b.arrival);
    return { entries, accountsSum };
  }

  async #loadAccounts(expectedSum: number): Promise<ReadonlyMap<Address, Account>> {
    const accounts = new Map<Address, Account>();
    let sum = 0;
    for await (const [key, value] of scanRecords(this.#db, keys.rangeOf(KIND.account))) {
      const address = addressFromBytes(key.subarray(1));
      const account = records.decodeAccount(records.unsealRecord(key, value));
      accounts.set(address, account);
      sum = (sum + records.sumOfAccount(address, account)) >>> 0;
    }
    if (sum !== expectedSum) throw this.#damaged('its accounts do not match its blocks');
    return accounts;
  }

  // Reading -----------------------------------------------------------------------------------------------------

  async #readBlock(id: BlockId): Promise<Block | undefined> {
    const block = await this.#read(keys.blockKey(id), records.decodeStoredBlock);
    if (block === undefined) await this.#mustBeAbsent(id, 'body', this.#pruned.bodiesFrom);
    return block;
  }

  /** Entry, body and delta of a block come in one batch: one without the other is damage, unless it was pruned. */
  async #mustBeAbsent(id: BlockId, missing: string, keptFrom: bigint): Promise<void> {
    const record = await this.#read(keys.entryKey(id), records.decodeEntry);
    if (record === undefined || record.entry.header.height < keptFrom) return;
    throw this.#damaged(`block ${id} has no ${missing}`);
  }

  async #hasAny(kind: number): Promise<boolean> {
    for await (const _ of this.#db.keys({ ...keys.rangeOf(kind), ...ENCODING, limit: 1 })) return true;
    return false;
  }

  async #read<T>(key: Uint8Array, decode: (payload: Uint8Array) => T): Promise<T | undefined> {
    const record = await this.#db.get(key, ENCODING);
    return record === undefined ? undefined : decode(records.unsealRecord(key, record));
  }

  async #readBatchNumber(): Promise<bigint> {
    return (await this.#read(META.batch, records.decodeU64)) ?? 0n;
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    await this.#reopening;
    return this.#translating(read);
  }

  /** Says in the store's own words what went wrong. */
  async #translating<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof records.RecordError) throw this.#damaged(error.message, { cause: error });
      throw storeErrorOf(error, this.#options.place, this.#failed !== undefined);
    }
  }

  // Writing -----------------------------------------------------------------------------------------------------

  /**
   * Queues one atomic batch.
   * @param batch what to write, or what makes it when its turn has come
   * @param check runs when its turn has come, and stops it by throwing
   */
  #write(
    batch: readonly Operation[] | (() => Promise<readonly Operation[]>),
    options: WriteOptions,
    check: () => Promise<void> = async () => {},
  ): Promise<void> {
    return this.#inTurn(async () => {
      await check();
      const operations = typeof batch === 'function' ? await batch() : batch;
      if (operations.length > 0) await this.#writeBatch(operations, options);
    });
  }

  /** Queues a write; when its turn has come, what one before it left is undone first. */
  async #inTurn(run: () => Promise<void>): Promise<void> {
    this.#assertOpen();
    const write = this.#lastWrite.then(() =>
      this.#translating(async () => {
        if (this.#failed !== undefined) await this.#recover(this.#failed);
        await run();
      }),
    );
    this.#lastWrite = write.catch(() => {});
    try {
      await write;
    } catch (error) {
      throw writeErrorOf(error, this.#options.place);
    }
  }

  #writeGuard(voter: Address, guard: VoteGuard, vote?: Vote): Promise<void> {
    const places: GuardPlaces = {
      place: this.#options.place,
      saveFile: (guards) => this.#options.saveGuards(guards),
      writeBatch: (operations) => this.#writeBatch(operations, DURABLE),
      undoFailed: async () => {
        if (this.#failed !== undefined) await this.#recover(this.#failed);
      },
    };
    return this.#inTurn(async () => {
      this.#guards = await writeGuard(places, this.#guards, voter, guard, vote);
    });
  }

  #gather(operations: Iterable<Operation>): Promise<readonly Operation[]> {
    return gatherInSlices(operations, this.#options.giveWay);
  }

  async #writeBatch(operations: readonly Operation[], options: WriteOptions): Promise<void> {
    const number = this.#batches + 1n;
    const batch = [...operations, put(META.batch, records.encodeU64(number))];
    if (!this.#hasSchema) {
      batch.push(put(META.schema, records.encodeU32(SCHEMA)));
      batch.push(put(META.pruned, records.encodePruned(records.NOTHING_PRUNED)));
    }
    try {
      await this.#db.batch(batch, options);
    } catch (error) {
      this.#failed = { number, undo: await this.#undoOf(batch).catch(() => undefined) };
      throw error;
    }
    this.#batches = number;
    this.#hasSchema = true;
  }

  /** What gives each key of a batch the value it has now, before the batch. */
  async #undoOf(batch: readonly Operation[]): Promise<readonly Operation[]> {
    const batchKeys = batch.map((operation) => operation.key);
    const values = await this.#db.getMany<Uint8Array, Uint8Array>(batchKeys, ENCODING);
    return batchKeys.map((key, i): Operation => {
      const value = values[i];
      return value === undefined ? { type: 'del', key } : { type: 'put', key, value };
    });
  }

  async #recover(failed: FailedBatch): Promise<void> {
    if (!(await this.#options.hasRoom())) throw full(this.#options.place);
    const reopening = this.#reopen();
    this.#reopening = reopening.catch(() => {});
    await reopening;
    if ((await this.#readBatchNumber()) === failed.number) {
      if (failed.undo === undefined) {
        throw new StoreError('closed', `a write to ${this.#location} that failed is there after all: start again`);
      }
      await this.#db.batch([...failed.undo], DURABLE);
    }
    this.#failed = undefined;
  }

  async #reopen(): Promise<void> {
    await this.#db.close();
    await this.#db.open();
  }

  // Indexing ----------------------------------------------------------------------------------------------------

  /** What the last life had not indexed, or not for long: once, before anything else changes what is listed. */
  #takeUpIndex(): Promise<void> {
    this.#indexTaken ??= this.#readUnindexed().catch((error: unknown) => {
      this.#indexTaken = undefined;
      throw error;
    });
    return this.#indexTaken;
  }

  async #readUnindexed(): Promise<void> {
    const listed = (await this.#read(META.unindexed, records.decodeBlockIds)) ?? [];
    const waiting: Block[] = [];
    for (const id of listed) {
      const block = await this.#readBlock(id);
      if (block !== undefined) waiting.push(block); // else it was pruned, and its index with it
    }
    this.#backlog.apply({ waiting, overdue: [], listed });
    this.#isAnyListed = listed.length > 0;
    this.#startIndexing();
  }

  #startIndexing(): void {
    if (this.#isIndexing || this.#backlog.isEmpty) return;
    this.#isIndexing = true;
    void this.#index();
  }

  /**
   * Writes what waits a slice at a time. One that cannot be written waits for the next block, or the next start: whoever
   * writes next undoes what there is of it, and is told what is wrong. Rejects on a mistake of our own alone.
   */
  async #index(): Promise<void> {
    const { pause } = this.#options;
    try {
      for (await pause(); !this.#backlog.isEmpty && this.#closing === undefined; await pause()) {
        await this.#inTurn(() => this.#writeSlice());
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    } finally {
      this.#isIndexing = false;
    }
  }

  async #writeSlice(): Promise<void> {
    const operations = this.#backlog.nextSlice();
    if (operations.length > 0) await this.#writeBatch(operations, BUFFERED);
    this.#backlog.written();
  }

  // Errors ------------------------------------------------------------------------------------------------------

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new StoreError('closed', `the store in ${this.#location} is closed`);
  }

  get #location(): string {
    return this.#options.place.location;
  }

  #damaged(detail: string, options?: ErrorOptions): StoreError {
    return damaged(this.#options.place, detail, options);
  }
}

/** Which blocks the next life has to index. */
function putUnindexed(ids: readonly BlockId[]): Operation {
  return ids.length === 0 ? { type: 'del', key: META.unindexed } : put(META.unindexed, records.encodeBlockIds(ids));
}

function newestFirst(items: readonly HistoryItem[]): HistoryItem[] {
  return items.toSorted((a, b) => Number(b.height - a.height) || b.index - a.index);
}
