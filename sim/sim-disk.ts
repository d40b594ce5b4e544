/**
 * A disk for one node: a database in memory that takes time to sync, can be full, and forgets at a power loss what was
 * not synced. Of the writes since the last sync a prefix survives, as LevelDB's log is written in order.
 */
import { MemoryLevel } from 'memory-level';
import type { LevelDatabase } from '../node/store/database.ts';
import type { SeededRng } from './seeded-rng.ts';
import type { VirtualClock } from './virtual-clock.ts';

type Bytes = Uint8Array;
type Batch = Parameters<LevelDatabase['batch']>;

const ENCODING = { keyEncoding: 'view', valueEncoding: 'view' } as const;

export interface DiskWrite {
  /** Counts the batches since the disk was made, from 0. */
  readonly index: number;
  readonly isSync: boolean;
}

/** What happens to a write: it goes through; it never arrives, or arrives whole, and the caller hears of neither. */
export type WriteFate = 'written' | 'lost' | 'unheard';

export interface SimDiskOptions {
  readonly clock: VirtualClock;
  readonly rng: SeededRng;
  /** Mean time of a write that is synced; others take none. */
  readonly syncLatencyMs?: number;
}

/**
 * Outlives its node. One database that `open` gave is alive at a time: what is written to an earlier one never
 * resolves.
 */
export class SimDisk {
  /** No write goes through while this is set. */
  isFull = false;
  /** Decides each write's fate. */
  onWrite: (write: DiskWrite) => WriteFate = () => 'written';
  readonly #options: SimDiskOptions;
  readonly #db = new MemoryLevel<Bytes, Bytes>({ keyEncoding: 'view', valueEncoding: 'view' });
  /** What undoes each write since the last sync, oldest first. */
  #unsynced: Batch[0][] = [];
  #life = 0;
  #writes = 0;

  constructor(options: SimDiskOptions) {
    this.#options = options;
  }

  get writes(): number {
    return this.#writes;
  }

  /** The database for a node's next life; nothing that the one before has under way arrives any more. */
  open(): LevelDatabase {
    const db = this.#db;
    this.#life += 1;
    const life = this.#life;
    let isClosed = false;
    return {
      open: async () => {
        await db.open();
        isClosed = false; // a store that could not write opens it again
      },
      close: async () => {
        isClosed = true; // for the node: the disk stays, and may lose its power yet
      },
      get: db.get.bind(db) as LevelDatabase['get'],
      getMany: db.getMany.bind(db) as LevelDatabase['getMany'],
      has: db.has.bind(db) as LevelDatabase['has'],
      keys: db.keys.bind(db) as LevelDatabase['keys'],
      iterator: (options) => db.iterator(options),
      batch: async (operations, options) => {
        if (isClosed) throw new Error('the database is not open');
        await this.#write(life, operations, options);
      },
    };
  }

  /** Undoes what was not synced, but for a prefix drawn at random. */
  async losePower(): Promise<void> {
    this.#life += 1;
    const kept = Math.floor(this.#options.rng.unit() * (this.#unsynced.length + 1));
    const lost = this.#unsynced.splice(kept).reverse();
    this.#unsynced = [];
    for (const undo of lost) await this.#db.batch([...undo], ENCODING);
  }

  async #write(life: number, operations: Batch[0], options: Batch[1]): Promise<void> {
    const { clock, rng, syncLatencyMs = 0 } = this.#options;
    if (life !== this.#life) return never();
    const fate = this.onWrite({ index: this.#writes, isSync: options.sync });
    this.#writes += 1;
    if (fate === 'lost') return never();
    if (this.isFull) throw Object.assign(new Error('No space left on device'), { code: 'ENOSPC' });
    if (options.sync && syncLatencyMs > 0) {
      await new Promise<void>((resolve) => clock.after(rng.exponential(syncLatencyMs), resolve));
      if (life !== this.#life) return never();
    }
    if (!options.sync) await this.#noteUndo(operations);
    await this.#db.batch(operations, ENCODING);
    if (options.sync) this.#unsynced = [];
    if (fate === 'unheard') return never();
  }

  async #noteUndo(operations: Batch[0]): Promise<void> {
    const keys = operations.map(({ key }) => key);
    const values = await this.#db.getMany(keys, ENCODING);
    this.#unsynced.push(
      keys.map((key, at) => {
        const value = values[at];
        return value === undefined ? { type: 'del', key } : { type: 'put', key, value };
      }),
    );
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}
