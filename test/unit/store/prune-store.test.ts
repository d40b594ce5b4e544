import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { beforeAll, expect, test, vi } from 'vitest';
import { blockIdToBytes } from '../../../chain/codec.ts';
import { equalBytes } from '../../../crypto/bytes.ts';
import { createSystemRng } from '../../../node/adapters.ts';
import { composeOffline } from '../../../node/offline-node.ts';
import { KIND, rangeOf } from '../../../node/store/keys.ts';
import { saveWitness } from '../../../node/store/level-directory.ts';
import { type OfflineDatabase, openDatabase } from '../../../node/store/offline-database.ts';
import { type PruneReport, pruneStore } from '../../../node/store/prune-store.ts';
import { SCHEMA } from '../../../node/store/schema.ts';
import { readStats } from '../../../node/store/store-stats.ts';
import { repairStore, verifyStore } from '../../../node/store/verify-store.ts';
import { exportChain } from '../../../node/transfer/export-chain.ts';
import { importChain } from '../../../node/transfer/import-chain.ts';
import { StreamDecoder } from '../../../node/transfer/stream-format.ts';
import { silentLogger } from '../../loggers.ts';
import { killAfterBatches, openDiskStore, openMemoryStore, withDirectory } from './open-store.ts';
import { lateClock, mineBlock, realGenesis, receive, VOTERS } from './real-chain.ts';
import { databaseOf, makeSoundRecords, type RecordPair, VERIFY } from './sound-store.ts';

const LENGTH = 40;
/** The last but one is agreed, so the one below it is final. */
const FINAL = LENGTH - 2;
let sound: readonly RecordPair[];

beforeAll(async () => {
  sound = await makeSoundRecords(LENGTH);
});

const placeOf = (location: string) => ({ location, dataDir: dirname(location) });

async function makeStore(location: string): Promise<void> {
  const db = await openDatabase(placeOf(location));
  await db.batch(sound.map(([key, value]) => ({ type: 'put', key, value })));
  await db.close();
  await saveWitness(location);
  await (await openDiskStore(location)).close(); // as every node does: the guards' second copy is made
}

/** The first record of a kind but genesis' own, which sorts anywhere. */
async function firstOf(db: OfflineDatabase, kind: number): Promise<[Uint8Array, Uint8Array]> {
  const genesis = blockIdToBytes(realGenesis.entry.header.id);
  for await (const [key, value] of db.iterator(rangeOf(kind))) {
    if (!equalBytes(key.subarray(1), genesis)) return [Uint8Array.from(key), Uint8Array.from(value)];
  }
  throw new Error('no record of that kind');
}

function prune(location: string, keep: number, bodies: boolean, batch?: number): Promise<PruneReport> {
  const options = { chainId: realGenesis.chainId, keep: BigInt(keep), bodies, onMigrated: () => {} };
  return pruneStore(placeOf(location), batch === undefined ? options : { ...options, batch });
}

async function openNode(location: string) {
  const store = await openDiskStore(location);
  const ports = { store, clock: lateClock, rng: createSystemRng(), logger: silentLogger, verifier: VERIFY.verifier };
  return { store, node: await composeOffline(realGenesis, ports) };
}

test('removes undo records and votes below the line, and keeps what proves the final block', () =>
  withDirectory(async (location) => {
    await makeStore(location);
    const before = (await readStats(placeOf(location), () => {})).kinds;
    const report = await prune(location, 10, false);
    expect(report).toMatchObject({ final: BigInt(FINAL), keptFrom: BigInt(FINAL - 10), bodiesFrom: 0n });
    // Genesis, the blocks below the line, and the side branch at height 3; three votes a height.
    expect(report.removed).toEqual({
      deltas: FINAL - 10 + 1,
      votes: 3 * (FINAL - 11),
      certificates: 0,
      bodies: 0,
      index: 0,
    });
    const after = (await readStats(placeOf(location), () => {})).kinds;
    expect(after.delta.count).toBe(before.delta.count - report.removed.deltas);
    for (const kind of ['entry', 'block', 'certificate', 'guard', 'account', 'txLocation'] as const) {
      expect(after[kind], kind).toEqual(before[kind]);
    }
    expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
  }));

test('certificates beside the way to the final block go', () =>
  withDirectory(async (location) => {
    await makeStore(location);
    const { store, node } = await openNode(location);
    // A certificate of the side branch at height 3: from genesis, as it has no other agreed ancestor but 1 and 2.
    const { tree } = node.chain;
    const fork = tree.mainAt(2n)!.header;
    const side = tree.children(fork.id).find(({ header }) => !tree.isOnMain(header.id))!.header;
    const votes = VOTERS.map(() => node.agreement.rules.certificate(tree.mainAt(39n)!.header.id)!.votes[0]!);
    await store.saveAgreement([{ source: fork, target: { height: 3n, id: side.id }, votes }], undefined);
    await store.close();
    expect((await prune(location, 10, false)).removed.certificates).toBe(1);
  }));

test('with bodies: they are gone without being damage, the state is still verified, and the node goes on', () =>
  withDirectory(async (location) => {
    await makeStore(location);
    const report = await prune(location, 10, true);
    const from = FINAL - 10;
    expect(report).toMatchObject({ bodiesFrom: BigInt(from), undoFrom: BigInt(from) });
    expect(report.removed.bodies).toBe(from - 1 + 1); // and the side branch
    const verified = await verifyStore(placeOf(location), VERIFY);
    expect(verified.faults).toEqual([]);
    expect(verified.examination?.transactions).toBe(Math.floor(LENGTH / 2) - Math.floor((from - 1) / 2));

    const { store, node } = await openNode(location);
    expect(node.chain.bodiesFrom).toBe(BigInt(from));
    expect(await node.chain.block(node.chain.tree.mainAt(5n)!.header.id)).toBeUndefined();
    expect(await store.delta(node.chain.tree.mainAt(5n)!.header.id)).toBeUndefined();
    expect((await node.chain.block(node.chain.tree.mainAt(BigInt(from))!.header.id))?.header.height).toBe(BigInt(from));
    expect((await node.chain.block(realGenesis.entry.header.id))?.header.height).toBe(0n);
    const next = await receive(node, mineBlock(node.chain.tip, []));
    expect(node.chain.tip.header.id).toBe(next.header.id);
    await store.close();
    expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
  }));

test.each([1, 2, 11, 27, 28, 29, 30, 60, 100])(
  'cut short after %d writes, the store is sound, and pruned again it is as if it had not been',
  (writes) =>
    withDirectory(async (location) => {
      await makeStore(location);
      const restore = killAfterBatches(writes);
      await expect(prune(location, 10, true, 1)).rejects.toThrow('killed');
      restore();
      expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
      await prune(location, 10, true);
      const { kinds } = await readStats(placeOf(location), () => {});
      await withDirectory(async (whole) => {
        await makeStore(whole);
        await prune(whole, 10, true);
        expect(kinds).toEqual((await readStats(placeOf(whole), () => {})).kinds);
      });
    }),
);

test('an import counts the blocks whose bodies were pruned, and does not bring them back', () =>
  withDirectory(async (location) => {
    const parts: Uint8Array[] = [];
    const whole = await openMemoryStore(await databaseOf(sound));
    await exportChain(
      whole,
      realGenesis,
      async (part) => void parts.push(part),
      () => {},
    );
    await makeStore(location);
    const { bodiesFrom } = await prune(location, 10, true);
    const store = await openDiskStore(location);
    const stream = new StreamDecoder(
      (async function* () {
        yield* parts;
      })(),
    );
    const ports = { store, clock: lateClock, rng: createSystemRng(), logger: silentLogger, verifier: VERIFY.verifier };
    const report = await importChain(stream, await stream.genesis(), ports, () => {});
    expect(report).toMatchObject({ blocks: 0, known: LENGTH, pruned: Number(bodiesFrom) - 1 });
    await store.close();
    const { faults } = await verifyStore(placeOf(location), VERIFY);
    expect(faults).toEqual([]);
    const { pruned } = await readStats(placeOf(location), () => {});
    expect(pruned).toMatchObject({ bodiesFrom });
  }));

test('pruned again without bodies, the deltas that lead down to the lowest body stay', () =>
  withDirectory(async (location) => {
    await makeStore(location);
    await prune(location, 20, true);
    expect(await prune(location, 5, false)).toMatchObject({
      keptFrom: BigInt(FINAL - 5),
      bodiesFrom: BigInt(FINAL - 20),
      undoFrom: BigInt(FINAL - 20),
    });
    expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
    // And further with bodies once more.
    await prune(location, 5, true);
    expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
  }));

test('with little below the final block nothing goes', () =>
  withDirectory(async (location) => {
    await makeStore(location);
    const { removed } = await prune(location, 1_000, true);
    expect(Object.values(removed)).toEqual([0, 0, 0, 0, 0]);
    expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
  }));

test('stats counts records and bytes by kind, and names tip and final block', () =>
  withDirectory(async (location) => {
    await makeStore(location);
    const stats = await readStats(placeOf(location), () => {});
    expect(stats).toMatchObject({
      schema: SCHEMA,
      chainId: realGenesis.chainId,
      pruned: { bodiesFrom: 0n, undoFrom: 0n },
    });
    expect(stats.tip?.height).toBe(BigInt(LENGTH));
    expect(stats.final?.height).toBe(BigInt(FINAL));
    expect(stats.kinds.entry.count).toBe(LENGTH + 2);
    expect(stats.kinds.vote).toEqual({ count: 3 * (LENGTH - 1), bytes: 3 * (LENGTH - 1) * (61 + 215) });
    expect(stats.kinds.guard.count).toBe(1);
    expect(stats.files.other!.count).toBeGreaterThan(0);
  }));

test('a store that was never begun can not be pruned', async () => {
  expect(await (await openMemoryStore()).load(realGenesis.chainId)).toBeUndefined();
  await withDirectory(async (location) => {
    await (await openDiskStore(location)).close();
    await expect(prune(location, 10, false)).rejects.toMatchObject({ name: 'StoreError', code: 'empty' });
  });
});

test.each([
  ['block', KIND.block],
  ['certificate', KIND.certificate],
])('a %s that fails its checksum is damage, and nothing is pruned', (_name, kind) =>
  withDirectory(async (location) => {
    await makeStore(location);
    const db = await openDatabase(placeOf(location));
    const [key, value] = await firstOf(db, kind);
    value[value.length >> 1]! ^= 1;
    await db.put(key, value);
    await db.close();
    await saveWitness(location);
    const before = await readStats(placeOf(location), () => {});
    await expect(prune(location, 10, true)).rejects.toMatchObject({ name: 'StoreError', code: 'damaged' });
    const { kinds, pruned } = await readStats(placeOf(location), () => {});
    expect({ kinds, pruned }).toEqual({ kinds: before.kinds, pruned: before.pruned });
  }),
);

test('a delta above the line that is lost with the pruned bodies costs the chain, in one repair', () =>
  withDirectory(async (location) => {
    await makeStore(location);
    await prune(location, 10, true);
    const db = await openDatabase(placeOf(location));
    const [key] = await firstOf(db, KIND.delta);
    await db.del(key);
    await db.close();
    await saveWitness(location);
    const report = await repairStore(placeOf(location), VERIFY);
    expect(report.faults.map(({ kind }) => kind)).toContain('base-state');
    expect(report.remaining).toEqual([]);
    expect((await verifyStore(placeOf(location), VERIFY)).faults).toEqual([]);
  }));

test('after a write that failed nothing says that the store was left clean', () =>
  withDirectory(async (location) => {
    await makeStore(location);
    const witness = () => readFile(join(location, 'GRAPEVINE'), 'utf8');
    const before = await witness();
    const spy = vi.spyOn(ClassicLevel.prototype, 'batch').mockImplementation(() => {
      throw new Error('killed');
    });
    await expect(prune(location, 10, true)).rejects.toThrow('killed');
    spy.mockRestore();
    expect(await witness()).toBe(before);
    await prune(location, 10, true);
    expect(await witness()).not.toBe(before);
  }));
