/**
 * The schema's number and how an older store becomes one of today. A new number: whenever the key table or a record
 * changes so that an older program would read it wrongly.
 *
 * | schema | what is new                                                   |
 * |--------|---------------------------------------------------------------|
 * | 1      |                                                               |
 * | 2      | the meta record `pruned`: from which heights records are kept |
 * | 3      | the guards stand a second time in `GRAPEVINE-GUARDS`          |
 */
import { DURABLE, type LevelDatabase, type Operation } from './database.ts';
import { put } from './derived-records.ts';
import { META } from './keys.ts';
import * as records from './records.ts';

export const SCHEMA = 3;

interface Migration {
  readonly from: number;
  /**
   * What to write, in batches. The last one is followed by the new schema's number; a migration cut short by a crash
   * is run again from its beginning, so its writes must come out the same the second time.
   */
  readonly run: (db: LevelDatabase) => AsyncIterable<Operation[]> | Iterable<Operation[]>;
}

const MIGRATIONS: readonly Migration[] = [
  { from: 1, run: () => [[put(META.pruned, records.encodePruned(records.NOTHING_PRUNED))]] },
  // The file is made when the store is next opened. An older program would leave it behind what it votes.
  { from: 2, run: () => [] },
];

/** Whether a store of that schema can be brought to today's. */
export function canMigrate(schema: number): boolean {
  if (schema === SCHEMA) return true;
  return schema < SCHEMA && MIGRATIONS.some(({ from }) => from === schema) && canMigrate(schema + 1);
}

/** Brings the open database from an older schema to today's. `canMigrate` has said yes, and there is a backup. */
export async function migrate(db: LevelDatabase, schema: number): Promise<void> {
  for (let at = schema; at < SCHEMA; at += 1) {
    const migration = MIGRATIONS.find(({ from }) => from === at);
    if (migration === undefined) throw new Error(`there is no migration from schema ${at}`);
    for await (const batch of migration.run(db)) await db.batch(batch, DURABLE);
    await db.batch([put(META.schema, records.encodeU32(at + 1))], DURABLE);
  }
}
