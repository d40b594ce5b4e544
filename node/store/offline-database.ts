/** Opens the database of a stopped node for `grapevine db`, beside the `Store` that a running one uses. */
import { mkdtemp, open, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { chainIdFromBytes } from '../../chain/codec.ts';
import { damaged, type StorePlace } from './damage.ts';
import { ENCODING } from './database.ts';
import { readGuardFile, saveGuardFile } from './guard-file.ts';
import { META } from './keys.ts';
import { backupDirectory, saveWitness } from './level-directory.ts';
import { locked, wrongChain } from './level-errors.ts';
import { findDamageInTables } from './level-tables.ts';
import { migrationBackup, type OpenOptions } from './open-level-store.ts';
import { decodeU32, decodeU64, RecordError, unsealRecord } from './records.ts';
import { canMigrate, GUARD_FILE_SCHEMA, migrate, olderSchemaOf, SCHEMA } from './schema.ts';
import { StoreError } from './store.ts';
import { readGuards } from './vote-guards.ts';

export type OfflineDatabase = ClassicLevel<Uint8Array, Uint8Array>;

/**
 * Runs `body` while no node can open the store.
 *
 * LevelDB locks a file by its inode, and its own repair takes no lock at all. So an empty database elsewhere, whose
 * lock file is a link to the store's, holds that lock for as long as it is open, and touches nothing of the store.
 * Whoever opens the store within `body` shares the lock (it is the process's), and gives it up on closing.
 *
 * @throws StoreError `locked`
 */
export async function withLock<T>(place: StorePlace, body: () => Promise<T>): Promise<T> {
  const lock = resolve(place.location, 'LOCK'); // a link's relative target would be looked up beside the link
  await (await open(lock, 'a')).close();
  const elsewhere = await mkdtemp(join(tmpdir(), 'grapevine-db-lock-')); // a process that is killed leaves it behind
  try {
    await symlink(lock, join(elsewhere, 'LOCK'));
    const holder = new ClassicLevel(elsewhere); // opens by itself: not before the link is there
    try {
      await holder.open().catch((error: unknown) => {
        throw hasCode(error, 'LEVEL_LOCKED') ? locked(place, { cause: error }) : error;
      });
      return await body();
    } finally {
      await holder.close();
    }
  } finally {
    await rm(elsewhere, { recursive: true, force: true });
  }
}

/** Whether LevelDB's error, or one that caused it, has the code. */
function hasCode(error: unknown, code: string): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if ('code' in inner && inner.code === code) return true;
  }
  return false;
}

/**
 * Opens the database, looks whether its tables are what was written, and brings an older schema to today's, after a backup.
 * @throws StoreError `damaged` where LevelDB can't open it or a table fails its sums, `locked`, `wrong-schema` and, before
 * a migration, `wrong-chain`
 */
export async function openDatabase(
  place: StorePlace,
  { chainId, onMigrated = () => {} }: OpenOptions = {},
): Promise<OfflineDatabase> {
  const { location } = place;
  const db: OfflineDatabase = new ClassicLevel(location, ENCODING);
  try {
    await db.open();
  } catch (error) {
    if (hasCode(error, 'LEVEL_LOCKED')) throw locked(place, { cause: error });
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : (error as Error);
    throw damaged(place, cause.message, { cause: error });
  }
  try {
    const damage = await findDamageInTables(location, db.getProperty('leveldb.sstables'));
    if (damage !== undefined) throw damaged(place, damage);
    const number = await readMeta(db, META.schema, decodeU32);
    if (number === undefined || number === SCHEMA) return db;
    const schema = olderSchemaOf(number);
    if (!canMigrate(number)) {
      const found = `the store in ${location} has schema ${schema}`;
      throw new StoreError('wrong-schema', `${found}, this version of grapevine reads schema ${SCHEMA}`);
    }
    const stored = await readMeta(db, META.chain, chainIdFromBytes);
    if (chainId !== undefined && stored !== undefined && stored !== chainId) throw wrongChain(place, stored, chainId);
    const backup = migrationBackup(location, schema, (await readMeta(db, META.batch, decodeU64)) ?? 0n);
    await db.close();
    await backupDirectory(location, backup);
    await db.open();
    await migrate(db, schema);
    if (schema < GUARD_FILE_SCHEMA) await provideGuardFile(db, location);
    onMigrated(backup);
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** Makes the second copy of the guards, where it can: a guard that can't be read is for `db verify` to tell of. */
async function provideGuardFile(db: OfflineDatabase, location: string): Promise<void> {
  if ((await readGuardFile(location)).kind !== 'none') return; // a node had brought the store over, and was cut short
  const guards = await readGuards(db).catch((error: unknown) => {
    if (error instanceof RecordError) return undefined;
    throw error;
  });
  if (guards !== undefined) await saveGuardFile(location, guards);
}

/**
 * @param isClean work on a store with a chain ended well: the witness of a clean stop is written. After a write that failed,
 * the log may end in half a record, which it would declare whole.
 */
export async function closeDatabase(db: OfflineDatabase, place: StorePlace, isClean: boolean): Promise<void> {
  await db.close();
  if (isClean) await saveWitness(place.location);
}

/** Undefined where it can't be read: whoever examines the store says so. */
async function readMeta<T>(
  db: OfflineDatabase,
  key: Uint8Array,
  decode: (payload: Uint8Array) => T,
): Promise<T | undefined> {
  const record = await db.get(key, ENCODING).catch(() => undefined);
  try {
    return record === undefined ? undefined : decode(unsealRecord(key, record));
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}
