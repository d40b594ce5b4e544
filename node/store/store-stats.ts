/** `grapevine db stats`: what a store holds, and how much of it. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { blockIdFromBytes, chainIdFromBytes } from '../../chain/codec.ts';
import type { Checkpoint } from '../../chain/types.ts';
import type { StorePlace } from './damage.ts';
import { ENCODING, scanRecords } from './database.ts';
import type { KindName } from './examination.ts';
import * as keys from './keys.ts';
import { KIND, META } from './keys.ts';
import { checkDirectory } from './level-directory.ts';
import { closeDatabase, type OfflineDatabase, openDatabase, withLock } from './offline-database.ts';
import * as records from './records.ts';

export interface Amount {
  readonly count: number;
  readonly bytes: number;
}

export interface StoredBlockRef extends Checkpoint {
  readonly timestampMs: bigint;
}

export interface StoreStats {
  readonly schema: number | undefined;
  readonly chainId: string | undefined;
  readonly tip: StoredBlockRef | undefined;
  readonly final: StoredBlockRef | undefined;
  readonly batches: bigint | undefined;
  readonly pruned: records.PrunedRecord;
  /** Keys and values, before LevelDB compresses them. */
  readonly kinds: Readonly<Record<KindName, Amount>>;
  /** On disk, by what the files are. */
  readonly files: Readonly<Record<string, Amount>>;
}

/** @throws StoreError `locked`, `damaged`, `wrong-schema` */
export function readStats(place: StorePlace, onMigrated: (backup: string) => void): Promise<StoreStats> {
  return withLock(place, async () => {
    const { hasChain } = await checkDirectory(place);
    const db = await openDatabase(place, { onMigrated });
    try {
      const kinds = {} as Record<KindName, Amount>;
      for (const [name, kind] of Object.entries(KIND)) kinds[name as KindName] = await amountOf(db, kind);
      const tip = await read(db, META.tip, blockIdFromBytes);
      const final = await read(db, META.final, records.decodeCheckpoint);
      return {
        schema: await read(db, META.schema, records.decodeU32),
        chainId: await read(db, META.chain, chainIdFromBytes),
        tip: tip && (await blockRef(db, tip)),
        final: final && (await blockRef(db, final.id)),
        batches: await read(db, META.batch, records.decodeU64),
        pruned: (await read(db, META.pruned, records.decodePruned)) ?? records.NOTHING_PRUNED,
        kinds,
        files: await filesIn(place.location),
      };
    } finally {
      await closeDatabase(db, place, hasChain);
    }
  });
}

async function amountOf(db: OfflineDatabase, kind: number): Promise<Amount> {
  let count = 0;
  let bytes = 0;
  for await (const [key, value] of scanRecords(db, keys.rangeOf(kind))) {
    count += 1;
    bytes += key.length + value.length;
  }
  return { count, bytes };
}

async function blockRef(db: OfflineDatabase, id: Checkpoint['id']): Promise<StoredBlockRef | undefined> {
  const record = await read(db, keys.entryKey(id), records.decodeEntry);
  if (record === undefined) return undefined;
  const { height, timestampMs } = record.entry.header;
  return { height, id, timestampMs };
}

async function read<T>(
  db: OfflineDatabase,
  key: Uint8Array,
  decode: (payload: Uint8Array) => T,
): Promise<T | undefined> {
  const record = await db.get(key, ENCODING);
  return record === undefined ? undefined : decode(records.unsealRecord(key, record));
}

async function filesIn(location: string): Promise<Record<string, Amount>> {
  const files: Record<string, Amount> = {};
  for (const name of await readdir(location)) {
    const extension = extname(name);
    const what = extension === '.ldb' || extension === '.sst' ? 'tables' : extension === '.log' ? 'logs' : 'other';
    const { size } = await stat(join(location, name));
    const before = files[what] ?? { count: 0, bytes: 0 };
    files[what] = { count: before.count + 1, bytes: before.bytes + size };
  }
  return files;
}
