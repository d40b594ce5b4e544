import { expect, test } from 'vitest';
import type { Block } from '../../../chain/types.ts';
import { ENCODING } from '../../../node/store/database.ts';
import { blockIndexOperations } from '../../../node/store/derived-records.ts';
import { BACKLOG_LIMITS, IndexBacklog } from '../../../node/store/index-backlog.ts';
import { blockKey, txLocationKey } from '../../../node/store/keys.ts';
import type { ChainMove } from '../../../node/store/store.ts';
import { addressOfWallet, chainIdOf, makeChild, makeCommit, makeGenesis, makeTransfer } from './chain-builder.ts';
import { FaultyLevel, openMemoryStore, UNINDEXED } from './open-store.ts';

const genesis = makeGenesis();
const chainId = chainIdOf(genesis);
const BACKLOG = { maxTxs: 12, maxBlocks: 3, minSlice: 2, maxSlices: 9, settleMs: 3 };

/** So many blocks in line, each of so many transactions. */
function chainOf(lengths: readonly number[]): readonly Block[] {
  let tip = genesis;
  return lengths.map((length, at) => {
    const txs = Array.from({ length }, (_, i) => makeTransfer(tip, chainId, 0, 1, 1n, BigInt(i)));
    tip = makeChild(tip, txs, at + 1);
    return tip.block;
  });
}

function move(connected: readonly Block[], disconnected: readonly Block[] = []): ChainMove {
  return { tip: connected.at(-1)!.header.id, disconnected, connected, accounts: new Map() };
}

const idsOf = (blocks: readonly Block[]) => blocks.map(({ header }) => header.id);

test('what was taken of a block, and could not be written before the block left the chain, is not written later', () => {
  const backlog = new IndexBacklog(BACKLOG, () => 0);
  const [gone, stays, next] = chainOf([1, 1, 1]) as [Block, Block, Block];
  backlog.apply(backlog.plan(move([gone])));
  expect(backlog.nextSlice()).not.toEqual([]);
  const reorg = backlog.plan(move([stays], [gone]));
  expect([idsOf(reorg.overdue), reorg.waiting, reorg.listed]).toEqual([idsOf([stays]), [], []]);
  backlog.apply(reorg);
  backlog.apply(backlog.plan(move([next])));
  expect(backlog.nextSlice()).toEqual([...blockIndexOperations(next)].slice(0, BACKLOG.minSlice));
});

test('what was taken of a block, and could not be written before one below it was written with another, is written later', () => {
  const backlog = new IndexBacklog({ ...BACKLOG, minSlice: 7 }, () => 0);
  const blocks = chainOf([1, 1, 1, 1]);
  backlog.apply(backlog.plan(move(blocks.slice(0, 3))));
  expect(backlog.nextSlice().length).toBeGreaterThan(6);
  const change = backlog.plan(move(blocks.slice(3)));
  expect(idsOf(change.overdue)).toEqual(idsOf(blocks.slice(0, 1)));
  backlog.apply(change);
  const written: unknown[] = [];
  while (!backlog.isEmpty) {
    written.push(...backlog.nextSlice());
    backlog.written();
  }
  expect(written).toEqual(blocks.slice(1).flatMap((block) => [...blockIndexOperations(block)]));
});

test.each([
  ['blocks', [1, 0, 1, 1, 1, 1], 2],
  ['transactions', [5, 4, 4], 1],
  ['transactions, in one block', [13], 1],
  ['nothing, as what waits is just as much as may', [5, 4, 3], 0],
])('with the block that brings it beyond its bound are written: the oldest of too many %s', (_of, lengths, overdue) => {
  const blocks = chainOf(lengths);
  const backlog = new IndexBacklog(BACKLOG, () => 0);
  const withTxs = blocks.filter(({ txs }) => txs.length > 0);
  backlog.apply(backlog.plan(move(blocks.slice(0, 1))));
  const change = backlog.plan(move(blocks.slice(1).length > 0 ? blocks.slice(1) : blocks));
  const known = blocks.length > 1 ? withTxs : withTxs.slice(0, 1);
  expect(idsOf([...change.overdue, ...change.waiting])).toEqual(idsOf(known));
  expect(change.overdue).toHaveLength(overdue);
  expect(change.listed).toEqual(idsOf(change.waiting));
});

test('what waits is written in a bounded number of slices, which may be of several blocks', () => {
  const backlog = new IndexBacklog(BACKLOG, () => 0);
  const blocks = chainOf([6, 1, 5]);
  backlog.apply(backlog.plan(move(blocks)));
  const written: unknown[] = [];
  let slices = 0;
  for (; !backlog.isEmpty; slices += 1) {
    written.push(...backlog.nextSlice());
    expect(backlog.nextSlice().length).toBeLessThanOrEqual(4);
    backlog.written();
  }
  expect(slices).toBeLessThanOrEqual(BACKLOG.maxSlices);
  expect(written).toEqual(blocks.flatMap((block) => [...blockIndexOperations(block)]));
});

test('a block is listed for a while after it has been indexed: its index may be lost with the power still', () => {
  let nowMs = 100;
  const backlog = new IndexBacklog(BACKLOG, () => nowMs);
  const [first, second, third, fourth] = chainOf([1, 1, 1, 1]) as [Block, Block, Block, Block];
  const writeAll = (): void => {
    while (!backlog.isEmpty) {
      backlog.nextSlice();
      backlog.written();
    }
  };
  backlog.apply(backlog.plan(move([first])));
  writeAll();
  nowMs += BACKLOG.settleMs - 1;
  const change = backlog.plan(move([second]));
  expect(change.listed).toEqual(idsOf([first, second]));
  backlog.apply(change);
  writeAll();
  nowMs += 1;
  expect(backlog.plan(move([third])).listed).toEqual(idsOf([second, third]));
  expect(backlog.plan(move([fourth], [second])).listed).toEqual([]);
});

test('a transaction that a reorganisation moves from block to block is found at every moment of it', async () => {
  const db = new FaultyLevel();
  const store = await openMemoryStore(db);
  await store.initialize(genesis, genesis.accounts);
  const tx = makeTransfer(genesis, chainId, 0, 1, 1n);
  const [a, b] = [makeChild(genesis, [tx], 1), makeChild(genesis, [tx], 2)];
  await store.commit(makeCommit([a], genesis, a));
  await expect.poll(() => db.has(txLocationKey(tx.id), ENCODING), { interval: 1, timeout: 20_000 }).toBe(true);
  const seen: unknown[] = [];
  const write = db._batch.bind(db);
  db._batch = async (operations, options) => {
    await write(operations, options);
    // The database has it; who asked for it has not been told.
    seen.push(await store.txLocation(tx.id), (await store.history(addressOfWallet(1), 9))[0]);
  };
  await store.commit(makeCommit([b], a, b));
  expect(seen.slice(0, 2)).toMatchObject([{ block: b.entry.header.id }, { block: b.entry.header.id }]);
  await store.close();
});

test('many small blocks write about what they wrote before, whatever waits', async () => {
  const db = new FaultyLevel();
  let bytes = 0;
  const write = db._batch.bind(db);
  db._batch = async (operations, options) => {
    for (const { key, value } of operations as { readonly key: Uint8Array; readonly value?: Uint8Array }[]) {
      bytes += key.length + (value?.length ?? 0);
    }
    await write(operations, options);
  };
  const store = await openMemoryStore(db, { ...UNINDEXED, backlog: BACKLOG_LIMITS });
  await store.initialize(genesis, genesis.accounts);
  const perBlock: number[] = [];
  let tip = genesis;
  for (let at = 0; at < 200; at++) {
    const next = makeChild(tip, [makeTransfer(tip, chainId, 0, 1, 1n)], at + 1);
    bytes = 0;
    await store.commit(makeCommit([next], tip, next));
    perBlock.push(bytes);
    tip = next;
  }
  expect(perBlock.at(-1)! - perBlock[0]!).toBeLessThan(32 * BACKLOG_LIMITS.maxBlocks + 300);
  expect(perBlock.at(-1)).toBe(perBlock[100]);
  await store.close();
});

test('a store whose list names a block that is not there is damaged', async () => {
  const db = new FaultyLevel();
  const store = await openMemoryStore(db, UNINDEXED);
  await store.initialize(genesis, genesis.accounts);
  const block = makeChild(genesis, [makeTransfer(genesis, chainId, 0, 1, 1n)], 1);
  await store.commit(makeCommit([block], genesis, block));
  await db.del(blockKey(block.entry.header.id), ENCODING);
  await expect((await openMemoryStore(db)).load(chainId)).rejects.toMatchObject({ code: 'damaged' });
});
