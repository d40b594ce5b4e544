import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Block, TxId } from '../../../chain/types.ts';
import { ENCODING, scanRecords } from '../../../node/store/database.ts';
import { blockIndexOperations, indexOf } from '../../../node/store/derived-records.ts';
import { BACKLOG_LIMITS, IndexBacklog } from '../../../node/store/index-backlog.ts';
import { blockKey, KIND, META, rangeOf, txLocationKey } from '../../../node/store/keys.ts';
import { unsealRecord } from '../../../node/store/records.ts';
import type { ChainMove, HistoryItem, Store } from '../../../node/store/store.ts';
import {
  addressOfWallet,
  chainIdOf,
  indexOnChain,
  makeChild,
  makeCommit,
  makeGenesis,
  makeTransfer,
  type TestBlock,
  WALLETS,
} from './chain-builder.ts';
import { FaultyLevel, openMemoryStore, UNINDEXED } from './open-store.ts';

const genesis = makeGenesis();
const chainId = chainIdOf(genesis);
const BACKLOG = { maxTxs: 12, maxBlocks: 3, minSlice: 2, maxSlices: 9, settleMs: 3 };

/** What happens to a node's store, one thing after another. */
type Step =
  | { readonly kind: 'extend'; readonly txs: number }
  | { readonly kind: 'reorg'; readonly depth: number; readonly lengths: readonly number[] }
  | { readonly kind: 'index' | 'kill' | 'stop' }
  | { readonly kind: 'full'; readonly arrivesLate: boolean; readonly isSlice: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('extend' as const), txs: fc.integer({ min: 0, max: 7 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('reorg' as const),
      depth: fc.integer({ min: 1, max: 4 }),
      lengths: fc.array(fc.integer({ min: 0, max: 7 }), { maxLength: 4 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('index' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('kill' as const, 'stop' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('full' as const), arrivesLate: fc.boolean(), isSlice: fc.boolean() }),
  },
);

/** A store whose index goes on when told, and the blocks that it must hold. */
class Node {
  readonly db = new FaultyLevel();
  readonly #everMined = new Set<TxId>();
  #goOn: (() => void)[] = [];
  #store: Store | undefined;
  #tip = genesis;
  #made = 0;
  #ms = 0;

  get #open(): Store {
    return this.#store!;
  }

  async start(): Promise<void> {
    this.#goOn = [];
    const pause = (): Promise<void> => new Promise((resolve) => this.#goOn.push(resolve));
    await this.db.open();
    const isNew = this.#store === undefined;
    this.#store = await openMemoryStore(this.db, { pause, backlog: BACKLOG, monotonicMs: () => this.#ms });
    if (isNew) await this.#store.initialize(genesis, genesis.accounts);
    else await this.#store.load(chainId);
  }

  stop(): Promise<void> {
    return this.#open.close();
  }

  async do(step: Step): Promise<void> {
    this.#ms += 1;
    if (step.kind === 'extend') await this.#moveTo([this.#child(this.#tip, step.txs)]);
    else if (step.kind === 'reorg') {
      let fork = this.#tip;
      for (let depth = 0; depth < step.depth; depth++) fork = fork.parent ?? fork;
      const branch: TestBlock[] = [];
      for (const txs of step.lengths) branch.push(this.#child(branch.at(-1) ?? fork, txs));
      await this.#moveTo(branch, fork);
    } else if (step.kind === 'index') {
      await this.#index();
    } else if (step.kind === 'full') {
      this.db.batchesLeft = 0;
      this.db.arrivesLate = step.arrivesLate;
      if (step.isSlice) await this.#index();
      const next = this.#child(this.#tip, 3);
      await expect(this.#open.commit(makeCommit([next], this.#tip, next))).rejects.toMatchObject({ code: 'full' });
      this.db.batchesLeft = Number.POSITIVE_INFINITY;
      this.db.arrivesLate = false;
      await this.#open.savePeers(new Map()); // undoes what arrived after all
    } else {
      if (step.kind === 'stop') await this.stop();
      await this.start();
    }
  }

  /** Lets it write one slice. */
  async #index(): Promise<void> {
    this.#goOn.shift()?.();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  #child(parent: TestBlock, txs: number): TestBlock {
    this.#made += 1;
    // Now and then what stands on an abandoned branch at the same nonces is mined again: the amounts are few.
    const made = Array.from({ length: txs }, (_, i) =>
      makeTransfer(
        parent,
        chainId,
        i % WALLETS,
        (i + txs) % WALLETS,
        BigInt(1 + (i % 2)),
        BigInt(Math.floor(i / WALLETS)),
      ),
    );
    for (const { id } of made) this.#everMined.add(id);
    return makeChild(parent, made, this.#made);
  }

  async #moveTo(added: readonly TestBlock[], fork = this.#tip): Promise<void> {
    const to = added.at(-1) ?? fork;
    await this.#open.commit(makeCommit(added, this.#tip, to));
    this.#tip = to;
  }

  /** What the store says of every transaction and address, and the chain. */
  async expectRight(): Promise<void> {
    const places = indexOnChain(this.#tip);
    for (const id of this.#everMined) expect(await this.#open.txLocation(id)).toEqual(places.get(id));
    for (let wallet = 0; wallet < WALLETS; wallet += 1) {
      const address = addressOfWallet(wallet);
      const all: HistoryItem[] = [];
      for (let at: TestBlock | undefined = this.#tip; at !== undefined; at = at.parent) {
        const { id, height } = at.entry.header;
        for (const [index, tx] of [...at.block.txs.entries()].toReversed()) {
          if (tx.from === address || tx.to === address) all.push({ height, block: id, index });
        }
      }
      expect(await this.#open.history(address, 1_000)).toEqual(all);
      const middle = all[Math.floor(all.length / 2)];
      if (middle === undefined) continue;
      expect(await this.#open.history(address, 3, middle)).toEqual(all.slice(all.indexOf(middle) + 1).slice(0, 3));
      const { height } = middle;
      expect(await this.#open.history(address, 3, { height })).toEqual(
        all.filter((item) => item.height < height).slice(0, 3),
      );
    }
  }

  /** Lets it write all that waits. */
  async finish(): Promise<void> {
    while (this.#goOn.length > 0) await this.#index();
  }

  /** The index on disk is that of the chain once nothing waits: nothing is missing, nothing else is there. */
  async expectIndexed(): Promise<void> {
    await this.db.open();
    const expected = new Map<string, string>();
    for (let at: TestBlock | undefined = this.#tip; at !== undefined; at = at.parent) {
      for (const [key, payload] of indexOf(at.block)) expected.set(hex(key), hex(payload));
    }
    const found = new Map<string, string>();
    for (const kind of [KIND.txLocation, KIND.history]) {
      for await (const [key, record] of scanRecords(this.db, rangeOf(kind))) {
        found.set(hex(key), hex(unsealRecord(key, record)));
      }
    }
    expect(found).toEqual(expected);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

test('whatever is indexed of the chain, and whenever the node dies, the index answers for the whole chain and ends whole', async () => {
  let waited = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const node = new Node();
      await node.start();
      for (const each of steps) {
        await node.do(each);
        if (await node.db.has(META.unindexed)) waited += 1;
        await node.expectRight();
      }
      await node.stop();
      await node.start();
      await node.expectRight();
      await node.finish();
      await node.expectIndexed();
    }),
    { numRuns: 60, seed: 9 },
  );
  expect(waited).toBeGreaterThan(100);
});

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
