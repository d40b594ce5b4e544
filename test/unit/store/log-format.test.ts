import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { crc32c, findLogDamage } from '../../../node/store/log-format.ts';

let log: Uint8Array;
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'grapevine-log-'));
  const db = new ClassicLevel<string, string>(root);
  // Short records, and one over several 32 KiB blocks, then short ones again.
  for (let i = 0; i < 50; i += 1) await db.put(`${i}`, 'v'.repeat(i * 20));
  await db.put('long', 'w'.repeat(100_000));
  for (let i = 0; i < 50; i += 1) await db.put(`after ${i}`, 'x'.repeat(i));
  await db.close();
  const name = (await readdir(root)).find((file) => file.endsWith('.log'));
  log = await readFile(join(root, name!));
});

afterAll(() => rm(root, { recursive: true, force: true }));

test('crc32c gives the check value of RFC 3720 B.4', () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
});

test('a log that LevelDB wrote has no damage', () => {
  expect(log.length).toBeGreaterThan(4 * 32_768 - 20_000);
  expect(findLogDamage(log, true)).toBeUndefined();
  expect(findLogDamage(new Uint8Array(), true)).toBeUndefined();
});

test('a log cut anywhere is the end of a killed process, but damage where it was complete', () => {
  let cutRecords = 0;
  for (let length = log.length - 1; length > log.length - 4_000; length -= 1) {
    const cut = log.subarray(0, length);
    expect(findLogDamage(cut, false), `cut at ${length}`).toBeUndefined();
    if (findLogDamage(cut, true) !== undefined) cutRecords += 1;
  }
  expect(cutRecords).toBeGreaterThan(3_900);
});

test('a wrong bit anywhere but in the last record is damage', () => {
  for (let at = 0; at < log.length - 200; at += 97) {
    const wrong = Uint8Array.from(log);
    wrong[at] = wrong[at]! ^ (1 << (at % 8));
    expect(findLogDamage(wrong, false), `bit at ${at}`).toMatch(/bad checksum|cut short/);
  }
});

test('zeros after the last record, or from a sector boundary within it, are a power cut', () => {
  const longer = new Uint8Array(log.length + 3_000);
  longer.set(log);
  expect(findLogDamage(longer, false)).toBeUndefined();
  expect(findLogDamage(longer, true)).toMatch(/bad checksum/);
  const torn = Uint8Array.from(log.subarray(0, 32_768)).fill(0, 32_768 - 1_024);
  expect(findLogDamage(torn, false)).toBeUndefined();
  const followed = Uint8Array.from(log).fill(0, 20_000, 21_000);
  expect(findLogDamage(followed, false)).toMatch(/bad checksum/);
});
