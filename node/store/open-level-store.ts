import { ClassicLevel } from 'classic-level';
import { nextTurn } from '../adapters.ts';
import { damaged, type StorePlace } from './damage.ts';
import { readGuardFile, saveGuardFile } from './guard-file.ts';
import { backupDirectory, checkDirectory, hasRoom, saveWitness } from './level-directory.ts';
import { openStoreOn } from './level-store.ts';
import { findDamageInTables } from './level-tables.ts';
import type { Store, VoteProtectionStore } from './store.ts';

/**
 * Opens the store in a directory of its own, or makes a new one there. A store of an older schema is copied beside itself
 * and brought to today's.
 *
 * @param place `location`: the directory, made where it is missing; `dataDir`: what messages tell the user to pass
 * @param onMigrated hears where the copy is
 * @throws StoreError `locked`, `damaged` or `wrong-schema`: the message says what to do, and nothing was changed
 */
export async function openLevelStore(
  place: StorePlace,
  onMigrated: (backup: string) => void = () => {},
): Promise<Store & VoteProtectionStore> {
  const { location } = place;
  const { hasChain } = await checkDirectory(place);
  const guardFile = await readGuardFile(location);
  if (guardFile.kind === 'bad') throw damaged(place, guardFile.detail);
  const db = new ClassicLevel<Uint8Array, Uint8Array>(location, { keyEncoding: 'view', valueEncoding: 'view' });
  let backup: string | undefined;
  const store = await openStoreOn(db, {
    place,
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
