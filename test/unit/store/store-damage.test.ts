import { spawnSync } from 'node:child_process';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { describe, expect, test } from 'vitest';
import * as keys from '../../../node/store/keys.ts';
import { META } from '../../../node/store/keys.ts';
import * as records from '../../../node/store/records.ts';
import { SCHEMA } from '../../../node/store/schema.ts';
import type { Store } from '../../../node/store/store.ts';
import { checkpointOf, makeChain, makeCommit, makeTestVote, makeTransfer } from './chain-builder.ts';
import {
  INDEXED,
  type Memory,
  makeMemory,
  openDiskStore,
  openMemoryStore,
  readFiles,
  withDirectory,
} from './open-store.ts';

const { chainId, blocks } = makeChain(40);
const genesis = blocks[0]!;
const tip = blocks.at(-1)!;
const headers = blocks.map(({ entry }) => entry.header);
const vote = makeTestVote(chainId, 1, headers[0]!, headers[2]!);
const tx = makeTransfer(tip, chainId, 0, 1, 1n);

async function fill(store: Store): Promise<void> {
  await store.initialize(genesis, genesis.accounts);
  for (const block of blocks.slice(1)) await store.commit(makeCommit([block], block.parent!, block));
  await store.saveOwnVote(vote, { sourceHeight: 0n, targetHeight: 2n });
  await store.saveAgreement([{ source: headers[0]!, target: headers[1]!, votes: [vote] }], checkpointOf(headers[1]!));
  await store.saveEvidence({ kind: 'double', voter: vote.voter, first: vote, second: vote });
  await store.saveMempool([tx], []);
}

/** Everything a node reads. */
async function readAll(store: Store): Promise<void> {
  await store.load(chainId);
  for (const block of blocks) {
    await store.block(block.entry.header.id);
    await store.delta(block.entry.header.id);
    await store.history(block.block.header.miner, 1_000);
    for (const { id } of block.block.txs) await store.txLocation(id);
  }
}

const WORDS = (location: string) =>
  expect.stringContaining(`npx grapevine db repair --data-dir ${join(location, '..')}`);

describe('damaged files', () => {
  /** A store whose records are in a log, or, opened once more, in a table. */
  async function makeStore(location: string, inTable: boolean): Promise<void> {
    const store = await openDiskStore(location);
    await fill(store);
    await store.close();
    if (inTable) await (await openDiskStore(location)).close();
  }

  async function find(location: string, pattern: RegExp): Promise<string> {
    const name = (await readdir(location)).find((candidate) => pattern.test(candidate));
    if (name === undefined) throw new Error(`no file like ${pattern}`);
    return join(location, name);
  }

  async function flip(path: string, at: number, count = 1): Promise<void> {
    const bytes = await readFile(path);
    const start = Math.floor((bytes.length - 1) * at);
    for (let i = start; i < Math.min(bytes.length, start + count); i += 1) bytes[i] = bytes[i]! ^ 0x5a;
    await writeFile(path, bytes);
  }

  const LOG = /\.log$/;
  const MANIFEST = /^MANIFEST-/;
  const TABLE = /\.ldb$/;
  const found: readonly (readonly [string, (location: string) => Promise<void>])[] = [
    ['a log with a wrong byte early', async (at) => flip(await find(at, LOG), 0.1)],
    ['a log with a wrong byte late', async (at) => flip(await find(at, LOG), 0.9)],
    ['a log whose last byte is wrong', async (at) => flip(await find(at, LOG), 1)],
    [
      'a log whose last record was cut',
      async (at) => truncate(await find(at, LOG), (await size(await find(at, LOG))) - 9),
    ],
    [
      'a log cut in half',
      async (at) => truncate(await find(at, LOG), Math.floor((await size(await find(at, LOG))) / 2)),
    ],
    ['an emptied log', async (at) => truncate(await find(at, LOG), 0)],
    ['a log that is gone', async (at) => rm(await find(at, LOG))],
    ['a manifest with a wrong byte', async (at) => flip(await find(at, MANIFEST), 0.5)],
    [
      'a manifest cut in half',
      async (at) => truncate(await find(at, MANIFEST), Math.floor((await size(await find(at, MANIFEST))) / 2)),
    ],
    ['an emptied manifest', async (at) => truncate(await find(at, MANIFEST), 0)],
    ['a manifest that is gone', async (at) => rm(await find(at, MANIFEST))],
    ['CURRENT that is gone', (at) => rm(join(at, 'CURRENT'))],
    ['an emptied CURRENT', (at) => truncate(join(at, 'CURRENT'), 0)],
    ['CURRENT that names another file', (at) => writeFile(join(at, 'CURRENT'), 'MANIFEST-000099\n')],
    ['CURRENT that names a path', (at) => writeFile(join(at, 'CURRENT'), '../../etc/passwd\n')],
    ['a witness that is not JSON', (at) => writeFile(join(at, 'GRAPEVINE'), '{')],
    ['a witness that is not ours', (at) => writeFile(join(at, 'GRAPEVINE'), '[]')],
  ];

  for (const inTable of [false, true]) {
    const where = inTable ? 'records in a table' : 'records in the log';
    for (const [name, damage] of found) {
      // Opened once more, the log holds nothing: nothing is lost with what stands in it.
      if (inTable && name.includes('a log') && !name.includes('gone')) continue;
      if (inTable && name.includes('an emptied log')) continue;
      test(`${name} (${where}): refused, the repair command named, no file touched`, () =>
        withDirectory(async (location) => {
          await makeStore(location, inTable);
          await damage(location);
          const before = await readFiles(location);
          for (const _ of ['first', 'again']) {
            await expect(openDiskStore(location)).rejects.toMatchObject({ code: 'damaged', message: WORDS(location) });
          }
          expect(await readFiles(location)).toEqual(before);
        }));
    }
  }

  const tables: readonly (readonly [string, (path: string) => Promise<void>])[] = [
    ['overwritten at the start', (path) => flip(path, 0, 4_096)],
    ['overwritten in the middle', (path) => flip(path, 0.5, 4_096)],
    ['overwritten late', (path) => flip(path, 0.8, 4_096)],
    ['with one wrong byte', (path) => flip(path, 0.3)],
    ['without its end', async (path) => truncate(path, (await size(path)) - 100)],
    ['cut in half', async (path) => truncate(path, Math.floor((await size(path)) / 2))],
    ['emptied', (path) => truncate(path, 0)],
    ['that is gone', (path) => rm(path)],
  ];
  for (const [name, damage] of tables) {
    test(`a table ${name}: an error that names the repair command, and no table is deleted`, () =>
      withDirectory(async (location) => {
        await makeStore(location, true);
        const path = await find(location, TABLE);
        await damage(path);
        const before = (await readdir(location)).filter((file) => TABLE.test(file));
        let store: Store | undefined;
        const reading = async (): Promise<void> => {
          store = await openDiskStore(location);
          await readAll(store);
        };
        await expect(reading()).rejects.toMatchObject({ code: 'damaged', message: WORDS(location) });
        await store?.close();
        expect(await readdir(location)).toEqual(expect.arrayContaining(before));
      }));
  }

  test('a record cut short at the end of a log, as a killed process leaves it, is no damage', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      const last = await openDiskStore(location);
      await last.saveMempool([makeTransfer(tip, chainId, 1, 2, 1n)], []);
      await last.close();
      // No clean stop: the witness is as it was when the chain began.
      await writeFile(join(location, 'GRAPEVINE'), '{"files":{}}');
      const log = await find(location, LOG);
      await truncate(log, (await size(log)) - 9);
      const store = await openDiskStore(location);
      const loaded = await store.load(chainId);
      expect(loaded?.tip).toBe(tip.entry.header.id);
      expect(loaded?.mempool).toEqual([tx]);
      await store.close();
    }));

  test('a log that ends in zeros, as a power cut leaves it, is no damage', () =>
    withDirectory(async (location) => {
      await makeStore(location, false);
      await writeFile(join(location, 'GRAPEVINE'), '{"files":{}}');
      const log = await find(location, LOG);
      await truncate(log, (await size(log)) + 5_000);
      const store = await openDiskStore(location);
      expect((await store.load(chainId))?.mempool).toEqual([tx]);
      await store.close();
    }));

  test('a wrong length in the last block of a log is damage, not the end of it', () =>
    withDirectory(async (location) => {
      await makeStore(location, true);
      const last = await openDiskStore(location);
      for (const amount of [1n, 2n, 3n]) await last.saveMempool([makeTransfer(tip, chainId, 1, 2, amount)], []);
      await last.close();
      await writeFile(join(location, 'GRAPEVINE'), '{"files":{}}');
      const log = await find(location, LOG);
      const bytes = await readFile(log);
      const block = bytes.length - (bytes.length % 32_768);
      const second = block + 7 + bytes.readUInt16LE(block + 4);
      bytes.writeUInt16LE(bytes.length - second, second + 4);
      await writeFile(log, bytes);
      await expect(openDiskStore(location)).rejects.toMatchObject({ code: 'damaged', message: WORDS(location) });
    }));

  test('a store killed while LevelDB made its first file opens as new', () =>
    withDirectory(async (location) => {
      const db = new ClassicLevel(location);
      await db.open();
      await db.close();
      for (const name of await readdir(location)) if (!name.startsWith('MANIFEST')) await rm(join(location, name));
      const store = await openDiskStore(location);
      expect(await store.load(chainId)).toBeUndefined();
      await store.close();
    }));

  test('an empty store that was opened and closed is still new, not damaged', () =>
    withDirectory(async (location) => {
      await (await openDiskStore(location)).close();
      const store = await openDiskStore(location);
      expect(await store.load(chainId)).toBeUndefined();
      await store.close();
    }));
});

describe('damaged records', () => {
  const other = new Uint8Array(32).fill(7);
  const accountOf = keys.accountKey(blocks[1]!.block.header.miner);
  const cases: readonly (readonly [string, RegExp, (db: Memory) => Promise<void>])[] = [
    ['no schema', /schema record is missing/, (db) => db.del(META.schema)],
    ['no chain id', /chain id is missing/, (db) => db.del(META.chain)],
    ['no tip', /record of its tip is missing/, (db) => db.del(META.tip)],
    ['no final block', /record of its final block is missing/, (db) => db.del(META.final)],
    [
      'no chain id, tip or final block',
      /chain id is missing/,
      (db) => db.batch([META.chain, META.tip, META.final].map(del)),
    ],
    ['a header is missing', /has no parent/, (db) => db.del(keys.entryKey(headers[5]!.id))],
    ['the genesis header is missing', /has no parent/, (db) => db.del(keys.entryKey(headers[0]!.id))],
    ['the tip header is missing', /of the main chain is missing/, (db) => db.del(keys.entryKey(tip.entry.header.id))],
    ['the tip is another block', /of the main chain is missing/, (db) => put(db, META.tip, other)],
    ['the tip has no body', /has no body/, (db) => db.del(keys.blockKey(tip.entry.header.id))],
    ['a body is missing', /has no body/, (db) => db.del(keys.blockKey(headers[3]!.id))],
    ['a delta is missing', /has no delta/, (db) => db.del(keys.deltaKey(headers[3]!.id))],
    [
      'the final block is missing',
      /final block .* is missing/,
      (db) =>
        put(db, META.final, records.encodeCheckpoint({ height: 1n, id: '07'.repeat(32) as (typeof headers)[0]['id'] })),
    ],
    ['an account is missing', /accounts do not match/, (db) => db.del(accountOf)],
    [
      'an account is stale',
      /accounts do not match/,
      (db) => put(db, accountOf, records.encodeAccount({ balance: 1_000_000n, nonce: 0n })),
    ],
    [
      'an account too many',
      /accounts do not match/,
      (db) =>
        put(
          db,
          Uint8Array.of(keys.KIND.account, ...other.subarray(0, 20)),
          records.encodeAccount({ balance: 1n, nonce: 0n }),
        ),
    ],
    [
      'a record under another key',
      /fails its checksum/,
      async (db) => {
        const record = await db.get(keys.entryKey(headers[3]!.id));
        await db.put(keys.entryKey(headers[4]!.id), record!);
      },
    ],
    ['a record with nothing in it', /cut short/, (db) => db.put(META.tip, new Uint8Array())],
    ['a record too short for its kind', /cut short/, (db) => put(db, accountOf, new Uint8Array(3))],
    ['a record too long for its kind', /trailing bytes/, (db) => put(db, accountOf, new Uint8Array(17))],
  ];
  for (const [name, message, damage] of cases) {
    test(`${name}: damaged, and nothing is deleted`, async () => {
      const db = makeMemory();
      await fill(await openMemoryStore(db, INDEXED));
      await damage(db);
      const before = await db.iterator().all();
      const reading = async (): Promise<void> => {
        await db.open();
        await readAll(await openMemoryStore(db));
      };
      await expect(reading()).rejects.toMatchObject({ code: 'damaged', message: expect.stringMatching(message) });
      await db.open();
      expect(await db.iterator().all()).toEqual(before);
    });
  }

  test('any flipped bit in any record that is read is noticed', async () => {
    const db = makeMemory();
    await fill(await openMemoryStore(db, INDEXED));
    for (const [key, value] of await db.iterator().all()) {
      if (key[0] === META.batch[0] && key[1] === META.batch[1]) continue;
      const wrong = Uint8Array.from(value);
      const at = (key[key.length - 1]! * 31 + value.length) % value.length;
      wrong[at] = wrong[at]! ^ (1 << (key.length % 8));
      await db.put(key, wrong);
      const reading = async (): Promise<void> => {
        const store = await openMemoryStore(db);
        await readAll(store);
        await store.voteGuard(vote.voter);
        await store.certificate(1n);
      };
      await expect(reading(), `record ${Buffer.from(key).toString('hex')}`).rejects.toMatchObject({ code: 'damaged' });
      await db.open();
      await db.put(key, value);
    }
    await readAll(await openMemoryStore(db));
  });

  test('another schema is refused before anything is read or written', async () => {
    const db = makeMemory();
    await fill(await openMemoryStore(db, INDEXED));
    await put(db, META.schema, records.encodeU32(SCHEMA + 1));
    const message = expect.stringMatching(`has schema ${SCHEMA + 1}, .* reads schema ${SCHEMA}`);
    await expect(openMemoryStore(db)).rejects.toMatchObject({ name: 'StoreError', code: 'wrong-schema', message });
  });

  test('an empty database where a chain was stored is damage', async () => {
    await expect(openMemoryStore(makeMemory(), { hasChain: true })).rejects.toMatchObject({ code: 'damaged' });
    const db = makeMemory();
    await (await openMemoryStore(db)).savePeers(new Map());
    const store = await openMemoryStore(db, { hasChain: true });
    await expect(store.load(chainId)).rejects.toMatchObject({ code: 'damaged' });
  });
});

describe('locked', () => {
  test('a store that is open elsewhere in this process is locked, and the message names the path', () =>
    withDirectory(async (location) => {
      const store = await openDiskStore(location);
      await fill(store);
      const message = expect.stringContaining(location);
      await expect(openDiskStore(location)).rejects.toMatchObject({ name: 'StoreError', code: 'locked', message });
      await readAll(store);
      await store.close();
      await (await openDiskStore(location)).close();
    }));

  test('a store that another process holds is locked', () =>
    withDirectory(async (location) => {
      const store = await openDiskStore(location);
      const module = new URL('../../../node/store/open-level-store.ts', import.meta.url);
      const code = `import { openLevelStore } from ${JSON.stringify(module.href)};
        const place = { location: ${JSON.stringify(location)}, dataDir: '/data' };
        console.log(await openLevelStore(place).then(() => 'opened', (error) => error.code));`;
      const child = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', code], { encoding: 'utf8' });
      expect(child.stdout.trim(), child.stderr).toBe('locked');
      await store.close();
    }));
});

function del(key: Uint8Array) {
  return { type: 'del', key } as const;
}

function put(db: Memory, key: Uint8Array, payload: Uint8Array): Promise<void> {
  return db.put(key, records.sealRecord(key, payload));
}

async function size(path: string): Promise<number> {
  return (await readFile(path)).length;
}
