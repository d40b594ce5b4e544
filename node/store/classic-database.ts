/** classic-level as the store uses it: long batches are handed over in slices. */
import { ClassicLevel } from 'classic-level';
import { nextTurn } from '../adapters.ts';
import { type LevelDatabase, type Operation, SLICE_OPERATIONS } from './database.ts';

/**
 * LevelDB in a directory. A batch is written whole or not at all, whatever its length; one of a block of thousands of
 * transactions would hold up the event loop for tens of milliseconds if LevelDB were handed it at once, as an array.
 */
export function createClassicDatabase(location: string): LevelDatabase {
  const db = new ClassicLevel<Uint8Array, Uint8Array>(location, { keyEncoding: 'view', valueEncoding: 'view' });
  return {
    open: () => db.open(),
    close: () => db.close(),
    get: db.get.bind(db) as LevelDatabase['get'],
    getMany: db.getMany.bind(db) as LevelDatabase['getMany'],
    has: db.has.bind(db) as LevelDatabase['has'],
    keys: db.keys.bind(db) as LevelDatabase['keys'],
    iterator: (options) => db.iterator(options),
    batch: (operations, { sync }) => writeInSlices(db, operations, sync),
  };
}

async function writeInSlices(
  db: ClassicLevel<Uint8Array, Uint8Array>,
  operations: readonly Operation[],
  sync: boolean,
): Promise<void> {
  const batch = db.batch();
  try {
    for (const [at, operation] of operations.entries()) {
      if (at > 0 && at % SLICE_OPERATIONS === 0) await nextTurn();
      if (operation.type === 'put') batch.put(operation.key, operation.value);
      else batch.del(operation.key);
    }
  } catch (error) {
    await batch.close();
    throw error;
  }
  await batch.write({ sync });
}
