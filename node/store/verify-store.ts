/** `grapevine db verify` and `repair`: one examination, printed or also put right. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { equalBytes } from '../../crypto/bytes.ts';
import type { StorePlace } from './damage.ts';
import { DURABLE, ENCODING, type LevelDatabase, type Operation } from './database.ts';
import { put } from './derived-records.ts';
import { type ExamineOptions, examineStore, type StoreExamination } from './examine-store.ts';
import { FAULTS, type Fault } from './faults.ts';
import { readGuardFile, saveGuardFile } from './guard-file.ts';
import { KEY_BYTES, KIND, META } from './keys.ts';
import { backupDirectory, checkDirectory, isBeingRepaired, markRepair, unmarkRepair } from './level-directory.ts';
import { salvageTables } from './level-tables.ts';
import { closeDatabase, type OfflineDatabase, openDatabase, withLock } from './offline-database.ts';
import type { OpenOptions } from './open-level-store.ts';
import { encodeU32, RecordError, unsealRecord } from './records.ts';
import { SCHEMA } from './schema.ts';
import { StoreError } from './store.ts';
import type { TableEntry } from './table-format.ts';
import { readGuards } from './vote-guards.ts';

export interface VerifyOptions extends Omit<ExamineOptions, 'isGuardDoubtful' | 'filedGuards' | 'isGuardFileGone'> {
  /** Hears where the copy is that was made before an older schema was brought to today's. */
  readonly onMigrated: (backup: string) => void;
}

export interface VerifyReport {
  readonly faults: readonly Fault[];
  /** Undefined where LevelDB can't open the store, or nothing was ever stored. */
  readonly examination: StoreExamination | undefined;
  readonly isEmpty: boolean;
}

export interface RepairReport {
  /** What was found, before anything was changed. */
  readonly faults: readonly Fault[];
  /** What is still wrong: nothing, unless repair has a fault of its own. */
  readonly remaining: readonly Fault[];
  /** The untouched copy; undefined where there was nothing to repair. */
  readonly backup: string | undefined;
  /** Whether LevelDB had to repair its files. */
  readonly repairedFiles: boolean;
  readonly lost: StoreExamination['lost'];
  readonly raised: StoreExamination['raised'];
  /** The store as it is now. */
  readonly examination: StoreExamination;
}

const KIND_NAMES = new Map<number | undefined, keyof typeof KIND>(
  Object.entries(KIND).map(([name, kind]) => [kind, name as keyof typeof KIND]),
);
/** Writes per batch. */
const BATCH = 5_000;

/**
 * Reads everything and changes nothing but what every opening does (LevelDB's own housekeeping, an older schema).
 * @throws StoreError `locked`, `wrong-chain`, `wrong-schema`
 */
export function verifyStore(place: StorePlace, options: VerifyOptions): Promise<VerifyReport> {
  return withLock(place, async () => {
    const { filedGuards, faults } = await readFiledGuards(place.location);
    let hasChain: boolean;
    let db: OfflineDatabase;
    try {
      ({ hasChain } = await checkDirectory(place));
      db = await openDatabase(place, opening(options));
    } catch (error) {
      return { faults: [...faults, filesFault(error)], examination: undefined, isEmpty: false };
    }
    let isDone = false;
    try {
      const isGuardFileGone = hasChain && (await hasNoGuardFile(place.location));
      const examination = await examineStore(db, { ...options, filedGuards, isGuardFileGone, isGuardDoubtful: false });
      isDone = true;
      if (examination.isEmpty && !hasChain) {
        return {
          faults: [...faults, ...examination.faults.filter(isGuardFault)],
          examination: undefined,
          isEmpty: true,
        };
      }
      return { faults: [...faults, ...examination.faults], examination, isEmpty: false };
    } finally {
      await closeDatabase(db, place, hasChain && isDone);
    }
  });
}

/**
 * Copies the store, then mends it. Cut short, or refused after LevelDB's files were repaired, it is to be run again: until
 * it is done no node opens the store, for what LevelDB could not save may have been a guard.
 * @throws StoreError `locked`, `wrong-chain`, `wrong-schema`; nothing is changed then
 */
export function repairStore(place: StorePlace, options: VerifyOptions): Promise<RepairReport> {
  return withLock(place, async () => {
    const time = new Date(options.nowMs).toISOString().replaceAll(':', '-');
    const backup = `${place.location}.backup-${time}`;
    await backupDirectory(place.location, backup);
    const { filedGuards, faults: guardFaults } = await readFiledGuards(place.location);
    const faults: Fault[] = [...guardFaults];
    /** By this repair, or by one before it that did not come to its end. */
    let repairedFiles = await isBeingRepaired(place.location);
    const repairFiles = async (): Promise<void> => {
      await markRepair(place.location);
      await salvageTables(place.location, isRecord);
      await repairLevel(place.location);
      repairedFiles = true;
    };

    /** Another chain's store is left as it was, without a backup beside it. */
    const orUndo = async <T>(result: Promise<T>): Promise<T> => {
      try {
        return await result;
      } catch (error) {
        const isRefused = error instanceof StoreError && error.code !== 'damaged';
        if (isRefused && !repairedFiles) await rm(backup, { recursive: true, force: true });
        throw error;
      }
    };
    let hasChain = true;
    const examineOrUndo = async (database: OfflineDatabase, isGuardDoubtful: boolean): Promise<StoreExamination> => {
      // Once the files were repaired the guards are in doubt anyway.
      const isGuardFileGone = !isGuardDoubtful && hasChain && (await hasNoGuardFile(place.location));
      return orUndo(examineStore(database, { ...options, filedGuards, isGuardFileGone, isGuardDoubtful }));
    };

    try {
      ({ hasChain } = await checkDirectory(place));
    } catch (error) {
      faults.push(filesFault(error));
      await repairFiles();
    }
    let db: OfflineDatabase;
    try {
      db = await orUndo(openDatabase(place, opening(options)));
    } catch (error) {
      if (repairedFiles) throw error;
      faults.push(filesFault(error));
      await repairFiles();
      db = await openDatabase(place, opening(options));
    }
    let [isBegun, isDone] = [true, false];
    try {
      let found = await examineOrUndo(db, repairedFiles);
      faults.push(...found.faults);
      if (found.isEmpty && !hasChain) {
        isBegun = false; // a witness would make an empty store look like a lost one
        const { raised } = found;
        const summary = { ...summaryOf(found), raised, remaining: [], repairedFiles };
        const isMended = repairedFiles || faults.some(isGuardFault);
        if (isMended) {
          await applyFixes(db, found.fixes.filter(isOfStoreWithoutChain)); // it may hold a guard that was imported
          await fileGuards(db, place.location);
        } else await rm(backup, { recursive: true, force: true });
        isDone = true;
        // What else files that cannot be read have lost is in the copy alone.
        return { ...summary, faults: isMended ? faults : [], backup: isMended ? backup : undefined };
      }
      if (found.isUnreadable && !repairedFiles) {
        await db.close();
        await repairFiles();
        db = await openDatabase(place, opening(options));
        const again = { ...options, filedGuards, isGuardFileGone: false, isGuardDoubtful: true };
        found = await examineStore(db, again);
        faults.push(...found.faults);
      }
      if (faults.length === 0) {
        await rm(backup, { recursive: true, force: true });
        isDone = true;
        return { ...summaryOf(found), faults, remaining: [], backup: undefined, repairedFiles };
      }
      await applyFixes(db, found.fixes);
      await fileGuards(db, place.location);
      const mended = { ...options, filedGuards: undefined, isGuardFileGone: false, isGuardDoubtful: false };
      const after = await examineStore(db, mended);
      const { lost, raised } = found;
      isDone = true;
      return { faults, remaining: after.faults, backup, repairedFiles, lost, raised, examination: after };
    } finally {
      await closeDatabase(db, place, isBegun && isDone);
      if (isDone) await unmarkRepair(place.location);
    }
  });
}

/**
 * Writes what mends the store, guards first: whatever happens on the way, no guard is lower than it must be. A mark
 * stands in the store until all is written.
 */
export async function applyFixes(db: LevelDatabase, fixes: readonly Operation[]): Promise<void> {
  const guards = fixes.filter(isOfGuard);
  const others = fixes.filter((operation) => !isOfGuard(operation));
  await db.batch([...guards, put(META.repairing, encodeU32(SCHEMA))], DURABLE);
  for (let at = 0; at < others.length; at += BATCH) await db.batch(others.slice(at, at + BATCH), DURABLE);
  await db.batch([{ type: 'del', key: META.repairing }], DURABLE);
}

function isOfGuard({ key }: Operation): boolean {
  return key[0] === KIND.guard;
}

function isOfStoreWithoutChain(fix: Operation): boolean {
  return isOfGuard(fix) || [META.schema, META.batch, META.pruned].some((key) => equalBytes(key, fix.key));
}

function isGuardFault({ kind }: Fault): boolean {
  return kind === 'guard-file' || kind === 'guard-unreadable' || kind === 'guard-behind';
}

/** Whether an entry of a table is a record of the store, or that one was deleted. */
function isRecord({ key, value }: TableEntry): boolean {
  const name = KIND_NAMES.get(key[0]);
  if (name === undefined || key.length !== KEY_BYTES[name]) return false;
  if (value === undefined) return true;
  try {
    unsealRecord(key, value);
    return true;
  } catch (error) {
    if (error instanceof RecordError) return false;
    throw error;
  }
}

function opening({ genesis, onMigrated }: VerifyOptions): OpenOptions {
  return { chainId: genesis.chainId, onMigrated };
}

/** Of an open store: what opens one of a schema that had no such file makes it. */
async function hasNoGuardFile(location: string): Promise<boolean> {
  return (await readGuardFile(location)).kind === 'none';
}

/** Reads the second copy of the guards. One that is not what was written is a fault, and counts as none. */
async function readFiledGuards(location: string): Promise<{
  readonly filedGuards: ExamineOptions['filedGuards'];
  readonly faults: readonly Fault[];
}> {
  const file = await readGuardFile(location);
  if (file.kind === 'good') return { filedGuards: file.guards, faults: [] };
  if (file.kind === 'none') return { filedGuards: undefined, faults: [] };
  const fault: Fault = { kind: 'guard-file', detail: file.detail, repair: FAULTS['guard-file'] };
  return { filedGuards: undefined, faults: [fault] };
}

/** Makes the second copy of the guards from the first. */
async function fileGuards(db: LevelDatabase, location: string): Promise<void> {
  await saveGuardFile(location, await readGuards(db));
}

function summaryOf(examination: StoreExamination) {
  return { lost: undefined, raised: [], examination };
}

/** What LevelDB or the look at its files says; other errors are thrown on. */
function filesFault(error: unknown): Fault {
  if (!(error instanceof StoreError) || error.code !== 'damaged') throw error;
  const [, detail = error.message] = /is damaged: (.*?)\. Nothing was changed/s.exec(error.message) ?? [];
  return { kind: 'files', detail, repair: FAULTS.files };
}

/** LevelDB's own repair: tables and logs that can be read make a new database; the rest it moves to `lost`. */
async function repairLevel(location: string): Promise<void> {
  try {
    await ClassicLevel.repair(location);
  } catch (error) {
    const { cause } = error as Error;
    const text = `${(error as Error).message} ${cause instanceof Error ? cause.message : ''}`;
    if (!/no files/.test(text)) throw error; // nothing is left: it begins again
  }
  await rm(join(location, 'lost'), { recursive: true, force: true }); // the backup has it
  // All tables are on the first level now, where LevelDB takes what the newest says of a key, be it the oldest record.
  const db: OfflineDatabase = new ClassicLevel(location, ENCODING);
  await db.open();
  await db.compactRange(Uint8Array.of(0), Uint8Array.of(0xff), ENCODING);
  await db.close();
}
