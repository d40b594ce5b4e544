import { readdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { expect, test } from 'vitest';
import type { BlockId, ChainId } from '../../../chain/types.ts';
import { ByteWriter } from '../../../chain/wire.ts';
import { type Address, addressFromBytes } from '../../../crypto/address.ts';
import { readGuardFile } from '../../../node/store/guard-file.ts';
import * as keys from '../../../node/store/keys.ts';
import { META } from '../../../node/store/keys.ts';
import { migrationBackup, openLevelStore } from '../../../node/store/open-level-store.ts';
import { pruneStore } from '../../../node/store/prune-store.ts';
import * as records from '../../../node/store/records.ts';
import { canMigrate, migrate, SCHEMA } from '../../../node/store/schema.ts';
import { repairStore, verifyStore } from '../../../node/store/verify-store.ts';
import { FaultyLevel, makeMemory, openDiskStore, openMemoryStore, withDirectory } from './open-store.ts';
import { realGenesis } from './real-chain.ts';
import { VERIFY } from './sound-store.ts';

/** A store as the version with schema 1 wrote it. */
const fixture: { readonly tip: string; readonly final: string; readonly records: Readonly<Record<string, string>> } =
  JSON.parse(await readFile(new URL('../../vectors/store-schema-1.json', import.meta.url), 'utf8'));

/** How many the fixture's store had written. */
const BATCHES = records.decodeU64(records.unsealRecord(META.batch, fromHex(fixture.records['0004']!)));
const VIEWS = { keyEncoding: 'view', valueEncoding: 'view' } as const;

async function writeFixture(location: string): Promise<void> {
  const db = new ClassicLevel<Uint8Array, Uint8Array>(location, VIEWS);
  await db.batch(
    Object.entries(fixture.records).map(([key, value]) => ({ type: 'put', key: fromHex(key), value: fromHex(value) })),
  );
  await db.close();
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

async function readAll(location: string): Promise<Record<string, string>> {
  const db = new ClassicLevel<Uint8Array, Uint8Array>(location, VIEWS);
  const all: Record<string, string> = {};
  for (const [key, value] of await db.iterator().all()) {
    all[Buffer.from(key).toString('hex')] = Buffer.from(value).toString('hex');
  }
  await db.close();
  return all;
}

test("a store of schema 1 is brought to today's when it is opened, with a copy of what it was", () =>
  withDirectory(async (location) => {
    await writeFixture(location);
    const store = await openDiskStore(location);
    const loaded = await store.load(realGenesis.chainId);
    expect(loaded).toMatchObject({ tip: fixture.tip, bodiesFrom: 0n, final: { height: BigInt(fixture.final) } });
    await store.close();

    expect(await readAll(migrationBackup(location, 1, BATCHES))).toEqual(fixture.records);
    const place = { location, dataDir: join(location, '..') };
    expect((await verifyStore(place, VERIFY)).faults).toEqual([]);
    // Once is enough.
    await (await openDiskStore(location)).close();
    expect((await readdir(join(location, '..'))).sort()).toEqual(['db', `db.backup-schema-1-${BATCHES}`]);
  }));

test('db verify brings it over as well, and says where the copy is', () =>
  withDirectory(async (location) => {
    await writeFixture(location);
    const backups: string[] = [];
    const place = { location, dataDir: join(location, '..') };
    const { faults } = await verifyStore(place, { ...VERIFY, onMigrated: (backup) => backups.push(backup) });
    expect(faults).toEqual([]);
    expect(backups).toEqual([migrationBackup(location, 1, BATCHES)]);
    // And makes what today's schema has beside the database, or it would be missed the next time.
    expect(await readGuardFile(location)).toMatchObject({ kind: 'good' });
    expect((await verifyStore(place, VERIFY)).faults).toEqual([]);
  }));

test('a migration that a crash cut short is done again, and the first copy stays', () =>
  withDirectory(async (location) => {
    await writeFixture(location);
    await (await openDiskStore(location)).close();
    const db = new ClassicLevel<Uint8Array, Uint8Array>(location, VIEWS);
    // As if only its last write had not come through.
    await db.put(META.schema, records.sealRecord(META.schema, records.encodeU32(1)));
    await db.close();
    const store = await openDiskStore(location);
    expect((await store.load(realGenesis.chainId))?.tip).toBe(fixture.tip);
    await store.close();
    expect(await readAll(migrationBackup(location, 1, BATCHES))).toEqual(fixture.records);
  }));

test('another store of an older schema in its place has a copy of its own, and both are said where they are', () =>
  withDirectory(async (location) => {
    const backups: string[] = [];
    const open = () =>
      openLevelStore({ location, dataDir: join(location, '..') }, { onMigrated: (backup) => backups.push(backup) });
    await writeFixture(location);
    await (await open()).close();
    await rm(location, { recursive: true });
    await writeFixture(location);
    const db = new ClassicLevel<Uint8Array, Uint8Array>(location, VIEWS);
    await db.put(META.batch, records.sealRecord(META.batch, records.encodeU64(BATCHES + 7n)));
    await db.close();
    await (await open()).close();
    expect(backups).toEqual([BATCHES, BATCHES + 7n].map((batches) => migrationBackup(location, 1, batches)));
    const key = Buffer.from(META.batch).toString('hex');
    expect((await readAll(backups[1]!))[key]).not.toBe((await readAll(backups[0]!))[key]);
  }));

test('a store of another chain is refused before it is brought over', () =>
  withDirectory(async (location) => {
    await writeFixture(location);
    const place = { location, dataDir: join(location, '..') };
    const other = { ...realGenesis, chainId: 'ab'.repeat(32) as ChainId };
    const refused = { code: 'wrong-chain' };
    await expect(openLevelStore(place, { chainId: other.chainId })).rejects.toMatchObject(refused);
    await expect(verifyStore(place, { ...VERIFY, genesis: other })).rejects.toMatchObject(refused);
    await expect(repairStore(place, { ...VERIFY, genesis: other })).rejects.toMatchObject(refused);
    const options = { chainId: other.chainId, keep: 128n, bodies: false, onMigrated: () => {} };
    await expect(pruneStore(place, options)).rejects.toMatchObject(refused);
    expect(await readAll(location)).toEqual(fixture.records);
    expect(await readdir(place.dataDir)).toEqual([basename(location)]);
  }));

const addressAt = (at: number): Address => addressFromBytes(new Uint8Array(20).fill(at));
const blockAt = (height: number): BlockId => Buffer.alloc(32, height).toString('hex') as BlockId;

/** A history of schema 3: an item for each transaction. */
async function writeOldHistory(db: FaultyLevel, addresses: number, blocks: number, items: number): Promise<void> {
  for (let height = 1; height <= blocks; height += 1) {
    for (let address = 0; address < addresses; address += 1) {
      for (let index = 0; index < items; index += 1) {
        const place = new ByteWriter(4).u32(3 * index).bytes;
        const key = Buffer.concat([keys.historyKey(addressAt(address), BigInt(height)), place]);
        const payload = Buffer.concat([Buffer.alloc(32, index), Buffer.from(blockAt(height), 'hex')]);
        await db.put(key, records.sealRecord(key, payload));
      }
    }
  }
}

async function readHistory(db: FaultyLevel, address: number): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const [key, value] of db.iterator(keys.historyRange(addressAt(address), undefined))) {
    found.push([keys.heightOfHistoryKey(key), records.decodeHistory(records.unsealRecord(key, value))]);
  }
  return found;
}

test('schema 4 has one history record for each address and block, also where a crash cut the change short', async () => {
  const db = new FaultyLevel();
  await writeOldHistory(db, 3, 200, 15); // more than a batch has room for
  db.batchesLeft = 2; // that it is under way, and some of it
  await expect(migrate(db, 3)).rejects.toMatchObject({ code: 'LEVEL_IO_ERROR' });
  const lengths = new Set<number>();
  for await (const key of db.keys(keys.rangeOf(keys.KIND.history))) lengths.add(key.length);
  expect(lengths).toEqual(new Set([29, 33]));
  // No program of schema 3 takes it for its own.
  expect(records.decodeU32(records.unsealRecord(META.schema, (await db.get(META.schema))!))).toBe(0x8000_0003);
  db.batchesLeft = Number.POSITIVE_INFINITY;
  await migrate(db, 3);
  const indices = Array.from({ length: 15 }, (_, index) => 3 * index);
  const wanted = Array.from({ length: 200 }, (_, at) => [BigInt(at + 1), { block: blockAt(at + 1), indices }]);
  for (let address = 0; address < 3; address += 1) expect(await readHistory(db, address)).toEqual(wanted);
});

test('an item of a history that cannot be read is left out, and keeps no store from being mended', async () => {
  const db = new FaultyLevel();
  await writeOldHistory(db, 2, 1, 3);
  const damaged: Uint8Array[] = [];
  for await (const key of db.keys(keys.rangeOf(keys.KIND.history))) damaged.push(key);
  await db.put(damaged[1]!, new Uint8Array(69));
  for (const key of damaged.slice(3)) await db.put(key, new Uint8Array(3));
  await migrate(db, 3);
  expect(await readHistory(db, 0)).toEqual([[1n, { block: blockAt(1), indices: [0, 6] }]]);
  expect(await readHistory(db, 1)).toEqual([]);
});

test('a store whose tables are damaged is not brought over: LevelDB would write them anew, with good sums', async () => {
  const db = new FaultyLevel();
  await writeOldHistory(db, 1, 3, 2);
  for (const [key, payload] of [
    [META.schema, records.encodeU32(3)],
    [META.pruned, records.encodePruned(records.NOTHING_PRUNED)],
  ] as const) {
    await db.put(key, records.sealRecord(key, payload));
  }
  const before = await db.iterator().all();
  db.batchesLeft = 0;
  // With a second copy of the guards the tables are not looked at otherwise.
  const options = { filedGuards: new Map(), findTableDamage: async () => '000043.ldb has a bad checksum' };
  const backups: number[] = [];
  const opened = openMemoryStore(db, { ...options, beforeMigration: async (schema) => void backups.push(schema) });
  await expect(opened).rejects.toMatchObject({ code: 'damaged', message: expect.stringContaining('000043.ldb') });
  expect(backups).toEqual([]);
  await db.open();
  expect(await db.iterator().all()).toEqual(before);
});

test.each([1, 2, 3])('a store that was being brought over from schema %i goes on', (schema) =>
  withDirectory(async (location) => {
    await writeFixture(location);
    await (await openDiskStore(location)).close();
    const db = new ClassicLevel<Uint8Array, Uint8Array>(location, VIEWS);
    await db.put(META.schema, records.sealRecord(META.schema, records.encodeU32(0x8000_0000 + schema)));
    await db.close();
    const store = await openDiskStore(location);
    expect((await store.load(realGenesis.chainId))?.tip).toBe(fixture.tip);
    await store.close();
    const { faults } = await verifyStore({ location, dataDir: join(location, '..') }, VERIFY);
    expect(faults).toEqual([]);
  }),
);

test('every schema from the first to this one can be brought over; one above or below is refused', async () => {
  for (let schema = 1; schema <= SCHEMA; schema += 1) expect(canMigrate(schema)).toBe(true);
  for (const schema of [0, SCHEMA + 1, 0x8000_0000, 0x8000_0000 + SCHEMA, 0xffff_ffff]) {
    expect(canMigrate(schema)).toBe(false);
    const db = makeMemory();
    await db.put(META.schema, records.sealRecord(META.schema, records.encodeU32(schema)));
    await expect(openMemoryStore(db)).rejects.toMatchObject({ code: 'wrong-schema' });
  }
});
