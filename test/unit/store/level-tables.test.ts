/** LevelDB's tables, as LevelDB writes them: what is damage, and what is saved of a damaged one. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { expect, test } from 'vitest';
import { findDamageInTables, salvageTables } from '../../../node/store/level-tables.ts';
import { findTableDamage, type TableEntry } from '../../../node/store/table-format.ts';
import { createSeededRng } from '../../../sim/seeded-rng.ts';
import { withDirectory } from './open-store.ts';

type Level = ClassicLevel<string, string>;
const KEYS = 2_000;
/** A block holds 4 KiB, and a value here is 40 bytes. */
const KEYS_IN_A_BLOCK = 200;

/** A database of some tables on two levels, and what it holds: each key was written up to three times, some are deleted. */
async function makeDatabase(location: string): Promise<ReadonlyMap<string, string>> {
  const rng = createSeededRng('level tables');
  const now = new Map<string, string>();
  for (let round = 0; round < 3; round += 1) {
    const db: Level = new ClassicLevel(location);
    for (let i = 0; i < KEYS; i += 1) {
      if (round > 0 && rng.unit() < 0.6) continue;
      const key = `key ${String(i).padStart(5, '0')}`;
      if (rng.unit() < 0.2) {
        await db.del(key);
        now.delete(key);
      } else {
        const value = `${round}:${Array.from({ length: 3 }, () => rng.unit().toString(36).slice(2)).join('')}`;
        await db.put(key, value);
        now.set(key, value);
      }
    }
    if (round === 0) await db.compactRange('', '\xff');
    await db.close();
  }
  const db: Level = new ClassicLevel(location); // what the log holds becomes a table
  await db.open();
  await db.close();
  return now;
}

async function tablesIn(location: string): Promise<readonly string[]> {
  return (await readdir(location)).filter((name) => name.endsWith('.ldb')).map((name) => join(location, name));
}

async function damageIn(location: string): Promise<string | undefined> {
  const db: Level = new ClassicLevel(location);
  await db.open();
  try {
    return await findDamageInTables(location, db.getProperty('leveldb.sstables'));
  } finally {
    await db.close();
  }
}

test('tables that LevelDB wrote are sound; a flipped bit anywhere in one is damage', () =>
  withDirectory(async (location) => {
    await makeDatabase(location);
    const tables = await tablesIn(location);
    expect(tables.length).toBeGreaterThan(1);
    expect(await damageIn(location)).toBeUndefined();
    const rng = createSeededRng('flips');
    for (const path of tables) {
      const file = await readFile(path);
      expect(findTableDamage(file)).toBeUndefined();
      for (let flip = 0; flip < 300; flip += 1) {
        const at = Math.floor(rng.unit() * file.length);
        const bit = 1 << Math.floor(rng.unit() * 8);
        file[at] = file[at]! ^ bit;
        expect(findTableDamage(file), `byte ${at}, bit ${bit}`).toBeDefined();
        file[at] = file[at]! ^ bit;
      }
      for (const length of [0, 47, 48, file.length - 1, file.length >> 1]) {
        expect(findTableDamage(file.subarray(0, length)), `cut to ${length}`).toBeDefined();
      }
    }
  }));

test('a table in use is named with its damage; one that a killed process left over is not looked at', () =>
  withDirectory(async (location) => {
    await makeDatabase(location);
    const [path] = await tablesIn(location);
    const file = await readFile(path!);
    file[10] = file[10]! ^ 4;
    await writeFile(path!, file);
    const db: Level = new ClassicLevel(location);
    await db.open();
    await writeFile(join(location, '999999.ldb'), 'half');
    expect(await findDamageInTables(location, db.getProperty('leveldb.sstables'))).toMatch(
      /^its file \d+\.ldb has a bad checksum at byte 0$/,
    );
    await db.close();
  }));

/** Entries that are no records: of an index, where the values are places in the file, and of a filter. */
const isOurs = ({ key, value }: TableEntry): boolean =>
  /^key \d{5}$/.test(Buffer.from(key).toString()) &&
  (value === undefined || /^\d:[0-9a-z]{20,}$/.test(Buffer.from(value).toString()));

async function damage(path: string, change: (file: Buffer) => Buffer): Promise<void> {
  await writeFile(path, change(await readFile(path)));
}

function flip(file: Buffer, at: number): Buffer {
  file[at] = file[at]! ^ 0x10;
  return file;
}

/** As `db repair` does; gives what the database then says of each key, asked one by one and all in a row. */
async function repair(location: string): Promise<ReadonlyMap<string, string>> {
  await salvageTables(location, isOurs);
  await ClassicLevel.repair(location);
  const db: Level = new ClassicLevel(location);
  await db.open();
  await db.compactRange('', '\xff');
  const saved = new Map(await db.iterator().all());
  const keys = Array.from({ length: KEYS }, (_, i) => `key ${String(i).padStart(5, '0')}`);
  const asked = await db.getMany(keys);
  await db.close();
  expect(asked).toEqual(keys.map((key) => saved.get(key)));
  expect(await damageIn(location)).toBeUndefined();
  return saved;
}

test('of a damaged table all is saved but the block that is damaged, the newest value of each key', () =>
  withDirectory(async (location) => {
    const written = await makeDatabase(location);
    const tables = await tablesIn(location);
    for (const path of tables) await damage(path, (file) => flip(file, file.length >> 1));
    const saved = await repair(location);
    // A key of a lost block may show an older value of another table, or one that was deleted after.
    const lost = [...written].filter(([key, value]) => saved.get(key) !== value);
    const back = [...saved].filter(([key]) => !written.has(key));
    expect(lost.length + back.length).toBeGreaterThan(0);
    expect(lost.length + back.length).toBeLessThan(tables.length * KEYS_IN_A_BLOCK);
    expect(saved.size).toBeGreaterThan(written.size - tables.length * KEYS_IN_A_BLOCK);
  }));

test('an old table that was damaged does not come before the newer ones', () =>
  withDirectory(async (location) => {
    const written = await makeDatabase(location);
    const [oldest] = [...(await tablesIn(location))].sort();
    await damage(oldest!, (file) => flip(file, 10));
    const saved = await repair(location);
    const wrong = [...written].filter(([key, value]) => saved.has(key) && saved.get(key) !== value);
    expect(wrong).toEqual([]); // what was lost with the block is gone; nothing older is in its place
    expect(saved.size).toBeGreaterThan(written.size - KEYS_IN_A_BLOCK);
  }));

for (const [what, change] of [
  ['whose footer is damaged', (file: Buffer) => flip(file, file.length - 1)],
  ['whose index is damaged', (file: Buffer) => flip(file, file.length - 60)],
  ['without its end', (file: Buffer) => file.subarray(0, file.length - 60)],
] as const) {
  test(`of a table ${what} every record is saved`, () =>
    withDirectory(async (location) => {
      const written = await makeDatabase(location);
      for (const path of await tablesIn(location)) await damage(path, change);
      expect(await repair(location)).toEqual(written);
    }));
}

test('of a table cut in the middle the blocks before the cut are saved', () =>
  withDirectory(async (location) => {
    const written = await makeDatabase(location);
    for (const path of await tablesIn(location)) await damage(path, (file) => file.subarray(0, file.length >> 1));
    const saved = await repair(location);
    expect(saved.size).toBeGreaterThan(written.size / 3);
    expect(saved.size).toBeLessThan(written.size);
  }));
