/**
 * The schema's number and how an older store becomes one of today. A new number: whenever the key table or a record
 * changes so that an older program would read it wrongly.
 *
 * | schema | what is new                                                   |
 * |--------|---------------------------------------------------------------|
 * | 1      |                                                               |
 * | 2      | the meta record `pruned`: from which heights records are kept |
 * | 3      | the guards stand a second time in `GRAPEVINE-GUARDS`          |
 * | 4      | an address has one history record a block, not one an item    |
 * | 5      | the meta record `unindexed`: blocks that are not in the index |
 */
import { blockIdFromBytes } from '../../chain/codec.ts';
import type { BlockId } from '../../chain/types.ts';
import { ByteReader } from '../../chain/wire.ts';
import { DURABLE, type LevelDatabase, type Operation, scanRecords } from './database.ts';
import { put } from './derived-records.ts';
import * as keys from './keys.ts';
import { KIND, META } from './keys.ts';
import * as records from './records.ts';

export const SCHEMA = 5;
/** From this on the vote guards have their second copy, made by whoever opens a store of an older one. */
export const GUARD_FILE_SCHEMA = 3;

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
  // The file of guards is made by who opens the store. An older program would leave it behind what it votes.
  { from: 2, run: () => [] },
  { from: 3, run: gatherHistory },
  // All are. An older program would not finish the index.
  { from: 4, run: () => [] },
];

/** Operations of one batch, about. */
const BATCH = 5_000;
/** Today's, and the index. */
const OLD_HISTORY_KEY_BYTES = keys.KEY_BYTES.history + 4;

/**
 * Items of one address in one block, which stood one after another, become one record. One that cannot be read is left
 * out, and `db verify` finds it missing: to refuse the whole store for it would keep `db repair` from mending it. Of a
 * group that names two blocks, which is damage too, the last is taken.
 */
async function* gatherHistory(db: LevelDatabase): AsyncGenerator<Operation[]> {
  let batch: Operation[] = [];
  let block: BlockId | undefined;
  let indices: number[] = [];
  let group: Uint8Array | undefined;
  const endGroup = (): void => {
    if (group !== undefined && block !== undefined) batch.push(put(group, records.encodeHistory({ block, indices })));
    block = undefined;
    indices = [];
  };
  for await (const [key, record] of scanRecords(db, keys.rangeOf(KIND.history))) {
    if (key.length !== OLD_HISTORY_KEY_BYTES) continue; // made by a run that was cut short
    const next = Uint8Array.from(key.subarray(0, keys.KEY_BYTES.history));
    if (group === undefined || Buffer.compare(group, next) !== 0) {
      endGroup();
      // Items go with the record that has them in its place.
      if (batch.length >= BATCH) {
        yield batch;
        batch = [];
      }
      group = next;
    }
    batch.push({ type: 'del', key: Uint8Array.from(key) });
    const item = oldHistoryBlock(key, record);
    if (item === undefined) continue;
    block = item;
    indices.push(new ByteReader(key, keys.KEY_BYTES.history).u32());
  }
  endGroup();
  yield batch;
}

/** Undefined where the record is not what was written. A transaction's id stands before the block's. */
function oldHistoryBlock(key: Uint8Array, record: Uint8Array): BlockId | undefined {
  try {
    const payload = records.unsealRecord(key, record);
    return payload.length === 64 ? blockIdFromBytes(payload.subarray(32)) : undefined;
  } catch (error) {
    if (error instanceof records.RecordError) return undefined;
    throw error;
  }
}

/**
 * Added to the number while a store is being brought over, so that no older program takes it, cut short, for one of its
 * own.
 */
const UNDER_WAY = 0x8000_0000;

/** Of which schema a store is, or was before it was begun to be brought over: by the number in its record. */
export function olderSchemaOf(stored: number): number {
  return stored >= UNDER_WAY ? stored - UNDER_WAY : stored;
}

/** Whether a store with that number can be brought to today's schema. */
export function canMigrate(stored: number): boolean {
  if (stored === SCHEMA) return true;
  const schema = olderSchemaOf(stored);
  if (schema >= SCHEMA) return false;
  for (let at = schema; at < SCHEMA; at += 1) if (!MIGRATIONS.some(({ from }) => from === at)) return false;
  return true;
}

/** Brings the open database from an older schema to today's. `canMigrate` has said yes, and there is a backup. */
export async function migrate(db: LevelDatabase, schema: number): Promise<void> {
  for (let at = schema; at < SCHEMA; at += 1) {
    const migration = MIGRATIONS.find(({ from }) => from === at);
    if (migration === undefined) throw new Error(`there is no migration from schema ${at}`);
    await db.batch([put(META.schema, records.encodeU32(UNDER_WAY + at))], DURABLE);
    for await (const batch of migration.run(db)) await db.batch(batch, DURABLE);
    await db.batch([put(META.schema, records.encodeU32(at + 1))], DURABLE);
  }
}
