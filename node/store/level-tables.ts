/** LevelDB's tables on disk: whether their sums are good, and how to save what is good in one whose are not. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeLog } from './log-format.ts';
import { syncDirectory } from './replace-file.ts';
import { findTableDamage, salvageEntries, type TableEntry } from './table-format.ts';

const TABLE = /^(\d+)\.(?:ldb|sst)$/;
const NUMBERED = /^(?:MANIFEST-)?(\d+)/;
/** A line of LevelDB's own list of its tables: ` number:bytes[lowest key .. highest key]`. */
const LISTED = /^ (\d+):\d+\[/gm;

/**
 * What is wrong with the tables of an open database: the first thing found, or undefined.
 * @param listed LevelDB's property `leveldb.sstables`: a process that was killed may have left files that are in no use
 */
export async function findDamageInTables(location: string, listed: string): Promise<string | undefined> {
  const inUse = new Set(Array.from(listed.matchAll(LISTED), ([, number]) => Number(number)));
  for (const { name, number } of await tablesIn(location)) {
    if (!inUse.has(number)) continue;
    const file = await readUnlessGone(join(location, name));
    const damage = file && findTableDamage(file);
    if (damage !== undefined) return `its file ${name} has a ${damage}`;
  }
  return undefined;
}

/**
 * Before LevelDB's own repair, which would take damaged blocks for good ones: puts a log in the place of each table with a
 * bad sum, with every record of its good blocks. LevelDB's repair makes a table of it, with the records' old sequence numbers;
 * as it looks for a key in the newest table first, all have to be merged by these numbers before anything is read.
 *
 * @param isRecord tells the store's records from other entries, where a table's index can't
 */
export async function salvageTables(location: string, isRecord: (entry: TableEntry) => boolean): Promise<void> {
  for (const { name } of await tablesIn(location)) {
    const path = join(location, name);
    const file = await readFile(path);
    if (findTableDamage(file) === undefined) continue;
    const records = withoutTwins(salvageEntries(file, isRecord)).map(encodeBatch);
    if (records.length > 0) {
      const numbers = (await readdir(location)).map((each) => Number(NUMBERED.exec(each)?.[1] ?? 0));
      const log = `${String(Math.max(...numbers) + 1).padStart(6, '0')}.log`;
      await writeFile(join(location, log), encodeLog(records), { flush: true });
      await syncDirectory(location);
    }
    await rm(path);
  }
}

/** LevelDB ends the process over a log that holds a key twice with one sequence number. */
function withoutTwins(entries: Iterable<TableEntry>): readonly TableEntry[] {
  const byName = new Map<string, TableEntry>();
  for (const entry of entries) byName.set(`${entry.sequence} ${Buffer.from(entry.key).toString('latin1')}`, entry);
  return [...byName.values()];
}

/** LevelDB's batch of one record: sequence u64 LE | count u32 LE | type u8 | key, and the value of a put, with lengths. */
function encodeBatch({ key, value, sequence }: TableEntry): Uint8Array {
  const parts = [varint(key.length), key];
  if (value !== undefined) parts.push(varint(value.length), value);
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setBigUint64(0, sequence, true);
  view.setUint32(8, 1, true);
  view.setUint8(12, value === undefined ? 0 : 1);
  return Buffer.concat([head, ...parts]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
  return Uint8Array.from([...bytes, left]);
}

async function tablesIn(location: string): Promise<readonly { readonly name: string; readonly number: number }[]> {
  const names = await readdir(location);
  return names.sort().flatMap((name) => {
    const number = TABLE.exec(name)?.[1];
    return number === undefined ? [] : [{ name, number: Number(number) }];
  });
}

/** LevelDB deletes a table that it has merged into others. */
async function readUnlessGone(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
