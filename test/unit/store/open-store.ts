/** Stores to test with: on memory, on memory that fails when told, and on disk in a directory of the test's own. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AbstractBatchOptions } from 'abstract-level';
import { ClassicLevel } from 'classic-level';
import { MemoryLevel } from 'memory-level';
import { vi } from 'vitest';
import type { LevelDatabase } from '../../../node/store/database.ts';
import { BACKLOG_LIMITS } from '../../../node/store/index-backlog.ts';
import { openStoreOn, type StoreOptions } from '../../../node/store/level-store.ts';
import { openLevelStore } from '../../../node/store/open-level-store.ts';
import type { Store } from '../../../node/store/store.ts';

const VIEWS = { keyEncoding: 'view', valueEncoding: 'view' } as const;
type BatchOptions = AbstractBatchOptions<Uint8Array, Uint8Array>;

export type Memory = MemoryLevel<Uint8Array, Uint8Array>;

export function makeMemory(): Memory {
  return new MemoryLevel<Uint8Array, Uint8Array>(VIEWS);
}

export function openMemoryStore(db: LevelDatabase = makeMemory(), options: Partial<StoreOptions> = {}): Promise<Store> {
  return openStoreOn(db, options);
}

/** For a store that indexes nothing in this life: what else is written is seen alone. */
export const UNINDEXED: Partial<StoreOptions> = { pause: () => new Promise<void>(() => {}) };

/** For a store that indexes each block with the block, and lists none: its records are those of a store at rest. */
export const INDEXED: Partial<StoreOptions> = { backlog: { ...BACKLOG_LIMITS, maxTxs: 0 } };

/** A database whose next batches can be made to fail as LevelDB's do on a full disk. */
export class FaultyLevel extends MemoryLevel<Uint8Array, Uint8Array> {
  /** Batches that still succeed. */
  batchesLeft = Number.POSITIVE_INFINITY;
  /** Whether a batch that fails is in the log all the same, and turns up when the database is opened again. */
  arrivesLate = false;
  readonly durability: boolean[] = [];
  #late: (() => Promise<void>) | undefined;

  constructor() {
    super(VIEWS);
  }

  async _batch(operations: readonly object[], options: BatchOptions & { readonly sync?: boolean }): Promise<void> {
    // @ts-expect-error abstract-level's types leave out what databases implement
    const write = (): Promise<void> => super._batch(operations, options);
    if (this.batchesLeft <= 0) {
      if (this.arrivesLate) this.#late = write;
      const error = new Error('IO error: /data/000003.log: No space left on device');
      throw Object.assign(error, { code: 'LEVEL_IO_ERROR' });
    }
    this.batchesLeft -= 1;
    this.durability.push(options.sync === true);
    await write();
  }

  async _close(): Promise<void> {
    await this.#late?.();
    this.#late = undefined;
  }
}

/** Batches on disk fail, as where the process is killed, after so many, until what is returned is called. */
export function killAfterBatches(count: number): () => void {
  let left = count;
  const { batch } = ClassicLevel.prototype;
  const spy = vi.spyOn(ClassicLevel.prototype, 'batch').mockImplementation(function (this: never, ...args) {
    left -= 1;
    if (left < 0) throw new Error('killed');
    return batch.apply(this, args as never) as never;
  });
  return () => spy.mockRestore();
}

/** Runs `body` with a directory that is gone afterwards. */
export async function withDirectory(body: (location: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'grapevine-store-'));
  try {
    await body(join(root, 'db'));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Opens the store in `location` as a node would that was started with its parent as data directory. */
export function openDiskStore(location: string): Promise<Store> {
  return openLevelStore({ location, dataDir: join(location, '..') });
}

/** File name → content in hex, without LevelDB's own log of what it did. */
export async function readFiles(location: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const name of (await readdir(location)).sort()) {
    if (name.startsWith('LOG')) continue;
    files.set(name, (await readFile(join(location, name))).toString('hex'));
  }
  return files;
}

/** The same store, which another node closes. */
export function unclosed(store: Store): Store {
  return new Proxy(store, {
    get: (target, key) => {
      if (key === 'close') return () => Promise.resolve();
      const value = Reflect.get(target, key) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
