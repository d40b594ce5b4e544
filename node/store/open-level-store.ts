import { ClassicLevel } from 'classic-level';
import type { ChainId } from '../../chain/types.ts';
import { createSystemClock, nextTurn, pause } from '../adapters.ts';
import { damaged, type StorePlace } from './damage.ts';
import { readGuardFile, saveGuardFile } from './guard-file.ts';
import { BACKLOG_LIMITS } from './index-backlog.ts';
import { backupDirectory, checkDirectory, hasRoom, saveWitness } from './level-directory.ts';
import { openStoreOn } from './level-store.ts';
import { findDamageInTables } from './level-tables.ts';
import type { Store, VoteProtectionStore } from './store.ts';

/** Between the writes of what can wait: long beside the moments that a block keeps every core busy. */
const PAUSE_MS = 50;

export interface OpenOptions {
  /** The chain that the store is opened for: one of another chain is not brought over from an older schema. */
  readonly chainId?: ChainId | undefined;
  /** Hears where the copy of a store of an older schema is. */
  readonly onMigrated?: (backup: string) => void;
}

/**
 * Opens the store in a directory of its own, or makes a new one there. A store of an older schema is copied beside itself
 * and brought to today's.
 *
 * @param place `location`: the directory, made where it is missing; `dataDir`: what messages tell the user to pass
 * @throws StoreError `locked`, `damaged`, `wrong-schema` or, before a migration, `wrong-chain`: the message says what to do,
 * and nothing was changed
 */
export async function openLevelStore(
  place: StorePlace,
  { chainId, onMigrated = () => {} }: OpenOptions = {},
): Promise<Store & VoteProtectionStore> {
  const { location } = place;
  const { hasChain } = await checkDirectory(place);
  const guardFile = await readGuardFile(location);
  if (guardFile.kind === 'bad') throw damaged(place, guardFile.detail);
  const db = new ClassicLevel<Uint8Array, Uint8Array>(location, { keyEncoding: 'view', valueEncoding: 'view' });
  let backup: string | undefined;
  const store = await openStoreOn(db, {
    place,
    chainId,
    hasChain,
    afterChainStored: () => saveWitness(location),
    // The witness of the last clean stop stays true where a new one can't be written.
    afterClose: () => saveWitness(location).catch(() => {}),
    filedGuards: guardFile.kind === 'good' ? guardFile.guards : undefined,
    findTableDamage: () => findDamageInTables(location, db.getProperty('leveldb.sstables')),
    saveGuards: (guards) => saveGuardFile(location, guards),
    beforeMigration: (schema, batches) => {
      backup = migrationBackup(location, schema, batches);
      return backupDirectory(location, backup);
    },
    hasRoom: () => hasRoom(location),
    giveWay: nextTurn,
    pause: () => pause(PAUSE_MS),
    backlog: BACKLOG_LIMITS,
    monotonicMs: createSystemClock().monotonicMs,
  });
  if (backup !== undefined) onMigrated(backup);
  return store;
}

/**
 * Where a store is copied before it is brought over from an older schema. Cut short and done again, the first copy is the
 * one to keep; another store that comes in its place has written another number of batches, and gets a copy of its own.
 */
export function migrationBackup(location: string, schema: number, batches: bigint): string {
  return `${location}.backup-schema-${schema}-${batches}`;
}
