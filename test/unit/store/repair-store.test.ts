import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseGenesis } from '../../../chain/genesis.ts';
import { formatAddress } from '../../../crypto/address.ts';
import { GUARD_FILE, readGuardFile, saveGuardFile } from '../../../node/store/guard-file.ts';
import * as keys from '../../../node/store/keys.ts';
import { META } from '../../../node/store/keys.ts';
import { markRepair, saveWitness } from '../../../node/store/level-directory.ts';
import { type OfflineDatabase, openDatabase } from '../../../node/store/offline-database.ts';
import * as records from '../../../node/store/records.ts';
import type { Store, VoteGuard, VoteProtectionStore } from '../../../node/store/store.ts';
import { repairStore, verifyStore } from '../../../node/store/verify-store.ts';
import { killAfterBatches, openDiskStore, withDirectory } from './open-store.ts';
import { MINER, realGenesis, VOTERS } from './real-chain.ts';
import { makeSoundRecords, type RecordPair, VERIFY } from './sound-store.ts';

const LENGTH = 60;
const VOTED = BigInt(LENGTH - 1);
const [VOTER] = VOTERS.map(({ address }) => address);
let sound: readonly RecordPair[];

beforeAll(async () => {
  sound = await makeSoundRecords(LENGTH);
});

const placeOf = (location: string) => ({ location, dataDir: dirname(location) });

/** A sound store on disk: its records in a log, or in a table. */
async function makeStore(location: string, inTable: boolean): Promise<void> {
  const db = await openDatabase(placeOf(location));
  await db.batch(sound.map(([key, value]) => ({ type: 'put', key, value })));
  await db.close();
  await saveWitness(location);
  await saveGuardFile(location, new Map([[VOTER!, { sourceHeight: VOTED - 1n, targetHeight: VOTED }]]));
  if (!inTable) return;
  await (await openDiskStore(location)).close();
}

async function find(location: string, pattern: RegExp): Promise<string> {
  const name = (await readdir(location)).find((candidate) => pattern.test(candidate));
  if (name === undefined) throw new Error(`no file like ${pattern}`);
  return join(location, name);
}

async function overwrite(path: string, at: number, bytes: number): Promise<void> {
  const handle = await open(path, 'r+');
  const { size } = await handle.stat();
  await handle.write(new Uint8Array(bytes).fill(0x5a), 0, bytes, Math.floor(size * at));
  await handle.close();
}

async function half(path: string): Promise<void> {
  await truncate(path, Math.floor((await stat(path)).size / 2));
}

const LOG = /\.log$/;
const TABLE = /\.ldb$/;
const MANIFEST = /^MANIFEST/;

const readWitness = (location: string) => readFile(join(location, 'GRAPEVINE'), 'utf8');

/** Everything that LevelDB or the look at its files can trip over. */
const DAMAGE: readonly (readonly [name: string, inTable: boolean, (location: string) => Promise<void>])[] = [
  ['a log cut in half', false, async (at) => half(await find(at, LOG))],
  ['a log with wrong bytes', false, async (at) => overwrite(await find(at, LOG), 0.5, 64)],
  ['a log that is gone', false, async (at) => rm(await find(at, LOG))],
  ['a table overwritten in the middle', true, async (at) => overwrite(await find(at, TABLE), 0.5, 5_000)],
  ['a table overwritten at the start', true, async (at) => overwrite(await find(at, TABLE), 0, 5_000)],
  ['a table cut in half', true, async (at) => half(await find(at, TABLE))],
  ['a table that is gone', true, async (at) => rm(await find(at, TABLE))],
  ['a manifest that is gone', true, async (at) => rm(await find(at, MANIFEST))],
  ['CURRENT that is gone', true, (at) => rm(join(at, 'CURRENT'))],
  ['a witness that is not JSON', true, (at) => writeFile(join(at, 'GRAPEVINE'), '{')],
  [
    'everything gone but the witness',
    true,
    async (at) => {
      for (const name of await readdir(at)) if (name !== 'GRAPEVINE') await rm(join(at, name));
    },
  ],
];

/** LevelDB's files are sound again, and a guard may have gone with what could not be read. */
async function expectDoubtUntilRepaired(location: string): Promise<void> {
  const message = expect.stringMatching(/repair of it was cut short.*npx grapevine db repair/);
  await expect(openDiskStore(location)).rejects.toMatchObject({ code: 'damaged', message });
  const [fault] = (await verifyStore(placeOf(location), VERIFY)).faults;
  expect(fault).toMatchObject({ kind: 'files', detail: 'a repair of it was cut short' });

  const report = await repairStore(placeOf(location), VERIFY);
  expect(report.raised.map(({ voter }) => formatAddress(voter))).toContain(formatAddress(VOTER!));
  const store = await openDiskStore(location);
  expect((await store.voteGuard(VOTER!))!.targetHeight).toBeGreaterThan(VOTED + 1_000n);
  await store.close();
  expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
}

describe('db repair', () => {
  const cases = DAMAGE.flatMap(([name, inTable, damage]) => [
    { name, inTable, damage, hasCopy: true, outcome: 'a sound store with the guard that it had' },
    { name, inTable, damage, hasCopy: false, outcome: 'without its copy the guard is above every vote' },
  ]);
  for (const { name, inTable, damage, hasCopy, outcome } of cases) {
    if (hasCopy && name.startsWith('everything gone')) continue;
    test(`${name}: a copy first, then ${outcome}`, () =>
      withDirectory(async (location) => {
        await makeStore(location, inTable);
        await damage(location);
        if (!hasCopy) await rm(join(location, GUARD_FILE), { force: true });
        const verified = await verifyStore(placeOf(location), VERIFY);
        expect(verified.faults.some(({ kind }) => kind === 'files' || kind === 'unreadable')).toBe(true);

        const before = await readdir(location);
        const report = await repairStore(placeOf(location), VERIFY);
        expect(report.faults.length).toBeGreaterThan(0);
        expect(report.remaining).toEqual([]);
        expect(report.repairedFiles).toBe(true);
        expect(report.backup).toBe(`${location}.backup-2025-01-02T00-00-00.000Z`);
        const kept = await readdir(report.backup!);
        if (verified.examination === undefined)
          expect(kept.sort()).toEqual(before.filter((each) => each !== 'LOCK').sort());
        if (hasCopy) expect(report.raised).toEqual([]);
        else expect(report.raised.map(({ voter }) => formatAddress(voter))).toContain(formatAddress(VOTER!));

        expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
        const store = await openDiskStore(location);
        const loaded = await store.load(realGenesis.chainId);
        expect(loaded).toBeDefined();
        const guard = await store.voteGuard(VOTER!);
        if (hasCopy) expect(guard).toEqual({ sourceHeight: VOTED - 1n, targetHeight: VOTED });
        else {
          expect(guard!.targetHeight).toBeGreaterThan(VOTED + 1_000n);
          expect(guard!.sourceHeight).toBe(guard!.targetHeight);
        }
        await store.close();
      }));
  }

  test('a sound store is left as it is, without a copy', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      const report = await repairStore(placeOf(location), VERIFY);
      expect(report).toMatchObject({
        faults: [],
        backup: undefined,
        raised: [],
        lost: undefined,
        repairedFiles: false,
      });
      expect(await readdir(dirname(location))).toEqual(['db']);
      const store = await openDiskStore(location);
      expect(await store.voteGuard(VOTER!)).toEqual({ sourceHeight: VOTED - 1n, targetHeight: VOTED });
      await store.close();
    }));

  test('verify and repair of a sound store end as a clean stop does: the witness is of the files as they are', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      for (const run of [verifyStore, repairStore]) {
        const before = await readWitness(location);
        await run(placeOf(location), VERIFY);
        const after = await readWitness(location);
        expect(after, run.name).not.toBe(before); // every opening begins a new log
        const names = (await readdir(location)).filter((name) => LOG.test(name) || MANIFEST.test(name));
        expect(Object.keys(JSON.parse(after).files).sort(), run.name).toEqual(names.sort());
      }
    }));

  test('an examination that breaks off declares nothing clean', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      const before = await readWitness(location);
      const killed = {
        ...VERIFY,
        onProgress: () => {
          throw new Error('killed');
        },
      };
      for (const run of [verifyStore, repairStore]) {
        await expect(run(placeOf(location), killed), run.name).rejects.toThrow('killed');
        expect(await readWitness(location), run.name).toBe(before);
      }
    }));

  test('after a write that failed nothing says that the store was left clean, nor that the repair is done', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      const db = await openDatabase(placeOf(location));
      await db.del(keys.accountKey(MINER.address));
      await db.close();
      const before = await readWitness(location);
      for (const writes of [0, 1]) {
        const restore = killAfterBatches(writes);
        await expect(repairStore(placeOf(location), VERIFY)).rejects.toThrow('killed');
        restore();
        expect(await readWitness(location), `${writes}`).toBe(before);
      }
      expect(await repairStore(placeOf(location), VERIFY)).toMatchObject({ remaining: [] });
      expect(await readWitness(location)).not.toBe(before);
    }));

  test('an empty store is neither damaged nor made to look so', () =>
    withDirectory(async (location) => {
      await (await openDiskStore(location)).close();
      expect(await verifyStore(placeOf(location), VERIFY)).toMatchObject({ faults: [], isEmpty: true });
      expect(await repairStore(placeOf(location), VERIFY)).toMatchObject({ faults: [], backup: undefined });
      const store = await openDiskStore(location);
      expect(await store.load(realGenesis.chainId)).toBeUndefined();
      await store.close();
    }));

  test('cut short, no node opens the store until it is done again', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      const db = await openDatabase(placeOf(location));
      await db.put(META.repairing, records.sealRecord(META.repairing, records.encodeU32(2)));
      await db.del(keys.accountKey(VOTER!));
      await db.close();
      const message = expect.stringMatching(/repair of it was cut short.*npx grapevine db repair/);
      await expect(openDiskStore(location)).rejects.toMatchObject({ code: 'damaged', message });
      const report = await repairStore(placeOf(location), VERIFY);
      expect(report.faults.map(({ kind }) => kind)).toEqual(['cut-short']);
      await (await openDiskStore(location)).close();
    }));

  test('of damaged files, refused for another genesis: the doubt stays until it is done with the right one', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      await rm(await find(location, MANIFEST));
      await rm(join(location, GUARD_FILE));
      const wrong = { ...VERIFY, genesis: parseGenesis({ ...realGenesis.doc, name: 'another' }) };
      await expect(repairStore(placeOf(location), wrong)).rejects.toMatchObject({ code: 'wrong-chain' });
      await expectDoubtUntilRepaired(location);
    }));

  test('of damaged files, killed right after LevelDB has repaired them: the doubt stays until it is done', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      await overwrite(await find(location, TABLE), 0.5, 5_000);
      await rm(join(location, GUARD_FILE));
      await markRepair(location);
      await ClassicLevel.repair(location);
      await expectDoubtUntilRepaired(location);
    }));

  test('a store of a later schema is refused, and nothing is left beside it', () =>
    withDirectory(async (location) => {
      await makeStore(location, false);
      const db = await openDatabase(placeOf(location));
      await db.put(META.schema, records.sealRecord(META.schema, records.encodeU32(99)));
      await db.close();
      await saveWitness(location);
      await expect(repairStore(placeOf(location), VERIFY)).rejects.toMatchObject({ code: 'wrong-schema' });
      expect(await readdir(dirname(location))).toEqual(['db']);
    }));

  test("another chain's store is refused, and nothing is left beside it", () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      const db = await openDatabase(placeOf(location));
      await db.put(META.chain, records.sealRecord(META.chain, new Uint8Array(32).fill(7)));
      await db.close();
      await expect(repairStore(placeOf(location), VERIFY)).rejects.toMatchObject({ code: 'wrong-chain' });
      expect(await readdir(dirname(location))).toEqual(['db']);
    }));

  test('a store that a node runs on is refused: no file of it changes, not even by a repair', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      const module = new URL('../../../node/store/open-level-store.ts', import.meta.url);
      const code = `import { openLevelStore } from ${JSON.stringify(module.href)};
        const store = await openLevelStore({ location: ${JSON.stringify(location)}, dataDir: '/data' });
        console.log('open');
        process.stdin.resume();`;
      const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', code], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      const sizes = async () =>
        Promise.all(
          (await readdir(location)).sort().map(async (name) => [name, (await stat(join(location, name))).mtimeMs]),
        );
      const before = await sizes();
      const message = expect.stringMatching(/the store in .* is in use by another process, .*: stop that first/);
      for (const run of [verifyStore, repairStore]) {
        await expect(run(placeOf(location), VERIFY)).rejects.toMatchObject({ code: 'locked', message });
      }
      expect(await sizes()).toEqual(before);
      expect(await readdir(dirname(location))).toEqual(['db']);
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
    }));

  test('the copy is the store as it was', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      await overwrite(await find(location, TABLE), 0.5, 5_000);
      const table = await readFile(await find(location, TABLE));
      const { backup } = await repairStore(placeOf(location), VERIFY);
      expect(await readFile(await find(backup!, TABLE))).toEqual(table);
      // It can take the store's place again.
      await rm(location, { recursive: true });
      await cp(backup!, location, { recursive: true });
      expect((await verifyStore(placeOf(location), VERIFY)).faults.map(({ kind }) => kind)).toEqual(['files']);
    }));

  test('a copy of the guards that is not what was written is made again; nobody is silenced for it', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      const path = join(location, GUARD_FILE);
      const text = await readFile(path, 'utf8');
      await writeFile(path, text.replace(`"targetHeight":"${VOTED}"`, `"targetHeight":"${VOTED - 1n}"`));
      const message = expect.stringMatching(/GRAPEVINE-GUARDS .* fails its checksum.*npx grapevine db repair/);
      await expect(openDiskStore(location)).rejects.toMatchObject({ code: 'damaged', message });
      expect((await verifyStore(placeOf(location), VERIFY)).faults.map(({ kind }) => kind)).toEqual(['guard-file']);
      expect(await repairStore(placeOf(location), VERIFY)).toMatchObject({ remaining: [], raised: [] });
      expect(await readFile(path, 'utf8')).toBe(text);
    }));

  test('a copy of the guards that was deleted is a fault that names whose guards are left, and is made again', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      const path = join(location, GUARD_FILE);
      const text = await readFile(path, 'utf8');
      await rm(path);
      const { faults } = await verifyStore(placeOf(location), VERIFY);
      const alone = `what ${formatAddress(VOTER!)} may not vote for stands in the database alone`;
      expect(faults).toMatchObject([{ kind: 'guard-file', detail: expect.stringContaining(alone) }]);
      expect(await repairStore(placeOf(location), VERIFY)).toMatchObject({ faults, remaining: [], raised: [] });
      expect(await readFile(path, 'utf8')).toBe(text);
      expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
    }));

  test('where the database has no guard either, it is said that whoever voted from here must not again', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      await rm(join(location, GUARD_FILE));
      const db = await openDatabase(placeOf(location));
      await db.del(keys.guardKey(VOTER!));
      await db.close();
      await saveWitness(location);
      const { faults } = await verifyStore(placeOf(location), VERIFY);
      const detail = expect.stringMatching(/holds no guard either: .* let none that has vote from here again/);
      expect(faults).toMatchObject([{ kind: 'guard-file', detail }]);
    }));
});

describe('the two copies of a guard', () => {
  const voted = { sourceHeight: VOTED - 1n, targetHeight: VOTED };
  const cases = [
    ['the record is gone', voted, async (db: OfflineDatabase) => db.del(keys.guardKey(VOTER!))],
    [
      'the record is one vote behind, as a crash between the two leaves it',
      voted,
      (db: OfflineDatabase) => putGuard(db, { sourceHeight: VOTED - 2n, targetHeight: VOTED - 1n }),
    ],
    [
      'the record does not know that the voter has moved away',
      { ...voted, disabled: true, moves: 1 },
      (db: OfflineDatabase) => putGuard(db, voted),
    ],
  ] as const;
  for (const [name, filed, change] of cases) {
    test(`${name}: the copy counts, and the store has it again`, () =>
      withDirectory(async (location) => {
        await makeStore(location, true);
        await saveGuardFile(location, new Map([[VOTER!, filed]]));
        const db = await openDatabase(placeOf(location));
        await change(db);
        await db.close();
        const store = await openDiskStore(location);
        expect(await store.voteGuard(VOTER!)).toEqual(filed);
        await store.close();
        await rm(join(location, GUARD_FILE));
        const again = await openDiskStore(location);
        expect(await again.voteGuard(VOTER!)).toEqual(filed);
        await again.close();
        expect(await readGuardFile(location)).toMatchObject({ kind: 'good', guards: new Map([[VOTER!, filed]]) });
      }));
  }

  test('a guard without a chain is there still when the log that held it is empty', () =>
    withDirectory(async (location) => {
      const store = (await openDiskStore(location)) as Store & VoteProtectionStore;
      await store.saveVoteGuard(VOTER!, { ...voted, disabled: false, moves: 2 });
      await store.close();
      await truncate(await find(location, LOG), 0);
      const again = await openDiskStore(location);
      expect(await again.voteGuard(VOTER!)).toEqual({ ...voted, disabled: false, moves: 2 });
      await again.close();
    }));

  test('a guard record that is wrong in a store without a chain is made good from the file', () =>
    withDirectory(async (location) => {
      const guard = { ...voted, disabled: false, moves: 2 };
      const store = (await openDiskStore(location)) as Store & VoteProtectionStore;
      await store.saveVoteGuard(VOTER!, guard);
      await store.close();
      const db = await openDatabase(placeOf(location));
      await db.put(keys.guardKey(VOTER!), new Uint8Array(25));
      await db.close();
      await expect(openDiskStore(location)).rejects.toMatchObject({ code: 'damaged' });
      expect(await verifyStore(placeOf(location), VERIFY)).toMatchObject({
        isEmpty: true,
        faults: [{ kind: 'guard-unreadable' }],
      });
      expect(await repairStore(placeOf(location), VERIFY)).toMatchObject({ raised: [], remaining: [] });
      const again = await openDiskStore(location);
      expect(await again.voteGuard(VOTER!)).toEqual(guard);
      await again.close();
    }));

  test('without a chain and without the file, a damaged table raises every guard that it may have held', () =>
    withDirectory(async (location) => {
      const store = (await openDiskStore(location)) as Store & VoteProtectionStore;
      await store.saveVoteGuard(VOTER!, voted);
      await store.close();
      await (await openDiskStore(location)).close(); // its log becomes a table
      await rm(join(location, GUARD_FILE));
      await overwrite(await find(location, TABLE), 0, 8);
      const { raised } = await repairStore(placeOf(location), VERIFY);
      expect(raised.map(({ voter }) => voter)).toContain(VOTER);
      const again = await openDiskStore(location);
      expect((await again.voteGuard(VOTER!))!.targetHeight).toBeGreaterThan(1_000n);
      await again.close();
    }));

  test('the file is not made of a database whose tables are damaged', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      await rm(join(location, GUARD_FILE));
      await overwrite(await find(location, TABLE), 0.3, 1);
      await expect(openDiskStore(location)).rejects.toMatchObject({ code: 'damaged' });
      expect(await readGuardFile(location)).toEqual({ kind: 'none' });
    }));

  test('a directory in the place of the file is damage, and said to be', () =>
    withDirectory(async (location) => {
      await makeStore(location, false);
      await rm(join(location, GUARD_FILE));
      await mkdir(join(location, GUARD_FILE));
      await expect(openDiskStore(location)).rejects.toMatchObject({ code: 'damaged' });
    }));

  test('what the file says, with a bit flipped anywhere, is damage', () =>
    withDirectory(async (location) => {
      await makeStore(location, false);
      const path = join(location, GUARD_FILE);
      const good = await readFile(path);
      for (let at = 0; at < good.length; at += 1) {
        const bytes = Buffer.from(good);
        bytes[at] = bytes[at]! ^ (1 << (at % 8));
        await writeFile(path, bytes);
        expect((await readGuardFile(location)).kind, `byte ${at}`).toBe('bad');
      }
    }));
});

function putGuard(db: OfflineDatabase, guard: VoteGuard): Promise<void> {
  const key = keys.guardKey(VOTER!);
  return db.put(key, records.sealRecord(key, records.encodeGuard(guard)));
}
