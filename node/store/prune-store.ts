/** `grapevine db prune`: removes what neither this node nor its peers will ask for again (ADR 0007). */
import { BlockTree } from '../../chain/block-tree.ts';
import { blockIdFromBytes } from '../../chain/codec.ts';
import type { BlockId, ChainEntry, ChainId } from '../../chain/types.ts';
import { damaged, type StorePlace } from './damage.ts';
import { DURABLE, ENCODING, type Operation, scanRecords } from './database.ts';
import { indexOf, put } from './derived-records.ts';
import * as keys from './keys.ts';
import { KIND, META } from './keys.ts';
import { checkDirectory } from './level-directory.ts';
import { openStoreOn } from './level-store.ts';
import { closeDatabase, type OfflineDatabase, openDatabase, withLock } from './offline-database.ts';
import * as records from './records.ts';
import { StoreError } from './store.ts';

export interface PruneOptions {
  readonly chainId: ChainId;
  /** Heights below the final block that are kept. */
  readonly keep: bigint;
  /** Also bodies, and where their transactions stand. */
  readonly bodies: boolean;
  readonly onMigrated: (backup: string) => void;
  /** Removals a batch, about; default 5,000. */
  readonly batch?: number;
}

export interface PruneReport {
  readonly final: bigint;
  /** Lowest height that is kept in full. */
  readonly keptFrom: bigint;
  readonly bodiesFrom: bigint;
  readonly undoFrom: bigint;
  readonly removed: {
    readonly deltas: number;
    readonly votes: number;
    readonly certificates: number;
    readonly bodies: number;
    readonly index: number;
  };
}

/** A late twin of a vote is evidence down to this many heights below the final block (VOTE-7). */
export const MIN_KEEP = 128n;
const BATCH = 5_000;

/**
 * Cut short, it leaves a sound store, of which the next pruning removes the rest.
 * @throws StoreError `locked`, `damaged`, `empty`, `wrong-chain`, `wrong-schema`; nothing is changed then
 */
export function pruneStore(place: StorePlace, options: PruneOptions): Promise<PruneReport> {
  return withLock(place, async () => {
    const { hasChain } = await checkDirectory(place);
    const db = await openDatabase(place, options);
    let isDone = false;
    try {
      // Loading checks what pruning goes by: headers, tip, final block, accounts.
      // What is not indexed waits for the node: nobody else writes here.
      const store = await openStoreOn(db, { place, hasChain, pause: () => new Promise(() => {}) });
      const stored = await store.load(options.chainId);
      if (stored === undefined) {
        throw new StoreError('empty', `the store in ${place.location} holds no chain: there is nothing to prune`);
      }
      const tree = new BlockTree(stored.entries);
      tree.setTip(stored.tip);
      const report = await new Pruner(db, tree, options).run(stored.final.height, stored.final.id);
      isDone = true;
      return report;
    } catch (error) {
      throw error instanceof records.RecordError ? damaged(place, error.message, { cause: error }) : error;
    } finally {
      await closeDatabase(db, place, hasChain && isDone);
    }
  });
}

class Pruner {
  readonly #db: OfflineDatabase;
  readonly #tree: BlockTree;
  readonly #options: PruneOptions;
  #batch: Operation[] = [];
  readonly #removed = { deltas: 0, votes: 0, certificates: 0, bodies: 0, index: 0 };

  constructor(db: OfflineDatabase, tree: BlockTree, options: PruneOptions) {
    this.#db = db;
    this.#tree = tree;
    this.#options = options;
  }

  async run(final: bigint, finalId: BlockId): Promise<PruneReport> {
    const { keep, bodies } = this.#options;
    const line = final > keep ? final - keep : 0n;
    const before = await this.#readPruned();
    const bodiesFrom = bodies && line > before.bodiesFrom ? line : before.bodiesFrom;
    // The state below the lowest body follows from the deltas above it: they stay, or nothing could be verified.
    const undoLine = bodiesFrom > 0n && bodiesFrom < line ? bodiesFrom : line;
    const undoFrom = undoLine > before.undoFrom ? undoLine : before.undoFrom;
    await this.#assertReadable(bodies ? bodiesFrom : 0n);
    // First what is allowed to be missing: cut short, the rest is pruned the next time.
    await this.#db.batch([put(META.pruned, records.encodePruned({ bodiesFrom, undoFrom }))], DURABLE);
    if (bodies) await this.#pruneBodies(bodiesFrom);
    await this.#pruneDeltas(undoFrom);
    await this.#pruneVotes(line);
    await this.#pruneCertificates(line, finalId);
    await this.#flush();
    await this.#db.compactRange(Uint8Array.of(0), Uint8Array.of(0xff), ENCODING);
    return { final, keptFrom: line, bodiesFrom, undoFrom, removed: this.#removed };
  }

  /** What tells which records go is read before the first one goes. Throws RecordError. */
  async #assertReadable(bodiesFrom: bigint): Promise<void> {
    for await (const [key, record] of scanRecords(this.#db, keys.rangeOf(KIND.block))) {
      const height = this.#entryOf(key)?.header.height;
      if (height !== undefined && height < bodiesFrom) records.decodeStoredBlock(records.unsealRecord(key, record));
    }
    for await (const [key, record] of scanRecords(this.#db, keys.rangeOf(KIND.certificate))) {
      records.decodeCertificate(records.unsealRecord(key, record));
    }
  }

  async #readPruned(): Promise<records.PrunedRecord> {
    const record = await this.#db.get(META.pruned, ENCODING);
    if (record === undefined) return records.NOTHING_PRUNED;
    return records.decodePruned(records.unsealRecord(META.pruned, record));
  }

  async #pruneDeltas(from: bigint): Promise<void> {
    for await (const key of this.#db.keys({ ...keys.rangeOf(KIND.delta), ...ENCODING })) {
      const entry = this.#entryOf(key);
      if (entry === undefined || entry.header.height >= from) continue;
      this.#removed.deltas += 1;
      await this.#remove(key);
    }
  }

  async #pruneBodies(from: bigint): Promise<void> {
    for await (const [key, record] of scanRecords(this.#db, keys.rangeOf(KIND.block))) {
      const entry = this.#entryOf(key);
      if (entry === undefined || entry.header.height >= from || entry.header.height === 0n) continue;
      const block = records.decodeStoredBlock(records.unsealRecord(key, record));
      const index = this.#tree.isOnMain(entry.header.id) ? [...indexOf(block)].map(([indexKey]) => indexKey) : [];
      this.#removed.bodies += 1;
      this.#removed.index += index.length;
      // In one batch: what names a transaction of a block goes with the block, or it would name nothing.
      await this.#remove(key, ...index);
    }
  }

  async #pruneVotes(below: bigint): Promise<void> {
    const range = { gte: keys.rangeOf(KIND.vote).gte, lt: keys.rangeFromHeight(KIND.vote, below).gte };
    for await (const key of this.#db.keys({ ...range, ...ENCODING })) {
      this.#removed.votes += 1;
      await this.#remove(key);
    }
  }

  /**
   * A peer that begins at genesis believes a checkpoint only by the certificates from genesis to it. So all that lie
   * on the way to the final block stay; what goes is certificates of branches and detours that nobody needs.
   */
  async #pruneCertificates(below: bigint, finalId: BlockId): Promise<void> {
    const sources = new Map<BlockId, { readonly source: BlockId; readonly height: bigint; readonly key: Uint8Array }>();
    for await (const [key, record] of scanRecords(this.#db, keys.rangeOf(KIND.certificate))) {
      const { source, target } = records.decodeCertificate(records.unsealRecord(key, record));
      sources.set(target.id, { source: source.id, height: target.height, key: Uint8Array.from(key) });
    }
    const path = new Set<BlockId>();
    const genesisId = this.#tree.genesis.header.id;
    let at = finalId;
    while (at !== genesisId && !path.has(at)) {
      path.add(at);
      const step = sources.get(at);
      if (step === undefined) return; // the way is not whole: whatever is left may be what proves it
      at = step.source;
    }
    for (const [target, { height, key }] of sources) {
      if (height >= below || path.has(target)) continue;
      this.#removed.certificates += 1;
      await this.#remove(key);
    }
  }

  #entryOf(key: Uint8Array): ChainEntry | undefined {
    return this.#tree.get(blockIdFromBytes(key.slice(1)));
  }

  /** All of them, or none, at whatever moment the process dies. */
  async #remove(...removed: readonly Uint8Array[]): Promise<void> {
    for (const key of removed) this.#batch.push({ type: 'del', key: Uint8Array.from(key) });
    if (this.#batch.length >= (this.#options.batch ?? BATCH)) await this.#flush();
  }

  async #flush(): Promise<void> {
    if (this.#batch.length > 0) await this.#db.batch(this.#batch, DURABLE);
    this.#batch = [];
  }
}
