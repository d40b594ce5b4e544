/** LevelDB's tables, as LevelDB writes them: what is damage, and what is saved of a damaged one. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { expect, test } from 'vitest';
import { findDamageInTables, salvageTables } from '../../../node/store/level-tables.ts';
import { findTableDamage } from '../../../node/store/table-format.ts';
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

test('of a damaged table all is saved but the block that is damaged, the newest value of each key', () =>
  withDirectory(async (location) => {
    const written = await makeDatabase(location);
    for (const path of await tablesIn(location)) {
      const file = await readFile(path);
      const at = file.length >> 1;
      file[at] = file[at]! ^ 0x10;
      await writeFile(path, file);
    }
    const tables = (await tablesIn(location)).length;
    await salvageTables(location);
    expect(await tablesIn(location)).toEqual([]);
    await ClassicLevel.repair(location);
    expect(await damageIn(location)).toBeUndefined();

    const db: Level = new ClassicLevel(location);
    const saved = new Map(await db.iterator().all());
    await db.close();
    // A key of a lost block may show an older value of another table, or one that was deleted after.
    const lost = [...written].filter(([key, value]) => saved.get(key) !== value);
    const back = [...saved].filter(([key]) => !written.has(key));
    expect(lost.length + back.length).toBeGreaterThan(0);
    expect(lost.length + back.length).toBeLessThan(tables * KEYS_IN_A_BLOCK);
    expect(saved.size).toBeGreaterThan(written.size - tables * KEYS_IN_A_BLOCK);
  }));

test('a table whose index is damaged is left out, and the others are whole', () =>
  withDirectory(async (location) => {
    const written = await makeDatabase(location);
    const [path] = await tablesIn(location);
    const file = await readFile(path!);
    file[file.length - 60] = file[file.length - 60]! ^ 1;
    await writeFile(path!, file);
    await salvageTables(location);
    await ClassicLevel.repair(location);
    expect(await damageIn(location)).toBeUndefined();
    const db: Level = new ClassicLevel(location);
    const saved = new Map(await db.iterator().all());
    await db.close();
    const same = [...written].filter(([key, value]) => saved.get(key) === value).length;
    expect(same).toBeGreaterThan(0);
    expect(same).toBeLessThan(written.size);
  }));
