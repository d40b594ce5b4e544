/** The store on disk (in `$TMPDIR`): durable commits of full blocks, and load of a long chain. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLevelStore } from '../node/store/open-level-store.ts';
import {
  chainIdOf,
  makeChild,
  makeCommit,
  makeGenesis,
  makeTransfer,
  type TestBlock,
  WALLETS,
} from '../test/unit/store/chain-builder.ts';
import { type Bench, type BenchContext, makeRow, type Row } from './measure.ts';

const TXS_PER_BLOCK = 500;

const genesis = makeGenesis();
const chainId = chainIdOf(genesis);

async function run({ short }: BenchContext): Promise<Row[]> {
  return [...(await measureCommits(short ? 50 : 200)), ...(await measureLoad(short ? 2_000 : 10_000))];
}

/** Commits blocks of transfers between few and to many accounts, one batch with fsync each. */
async function measureCommits(blocks: number): Promise<Row[]> {
  return withDirectory(async (location) => {
    const store = await openLevelStore({ location, dataDir: location });
    await store.initialize(genesis, genesis.accounts);
    const times: number[] = [];
    let tip = genesis;
    for (let arrival = 1; arrival <= blocks; arrival += 1) {
      const on = tip;
      // One in ten makes an account that was not there.
      const txs = Array.from({ length: TXS_PER_BLOCK }, (_, i) => {
        const to = i % 10 === 0 ? (arrival * TXS_PER_BLOCK + i) % 250 : (i + 1) % WALLETS;
        return makeTransfer(on, chainId, i % WALLETS, to, 1n, BigInt(Math.floor(i / WALLETS)));
      });
      tip = makeChild(on, txs, arrival);
      const change = makeCommit([tip], on, tip);
      const start = performance.now();
      await store.commit(change);
      times.push(performance.now() - start);
    }
    await store.close();
    return [makeRow(`store commit, ${TXS_PER_BLOCK} txs, fsync`, 'ms', times)];
  });
}

/** Opens and loads a long chain, several times over. */
async function measureLoad(blocks: number): Promise<Row[]> {
  return withDirectory(async (location) => {
    const place = { location, dataDir: location };
    let store = await openLevelStore(place);
    await store.initialize(genesis, genesis.accounts);
    let tip = genesis;
    for (let arrival = 1; arrival <= blocks; ) {
      const from = tip;
      const added: TestBlock[] = [];
      for (let i = 0; i < 500; i += 1, arrival += 1) {
        tip = makeChild(tip, [makeTransfer(tip, chainId, arrival % WALLETS, (arrival + 1) % WALLETS, 1n)], arrival);
        added.push(tip);
      }
      await store.commit(makeCommit(added, from, tip));
    }
    await store.close();
    const opens: number[] = [];
    const loads: number[] = [];
    for (let run = 0; run < 10; run += 1) {
      const start = performance.now();
      store = await openLevelStore(place);
      const opened = performance.now();
      const loaded = await store.load(chainId);
      loads.push(performance.now() - opened);
      opens.push(opened - start);
      if (loaded?.entries.length !== blocks + 1) throw new Error('the chain is not whole');
      await store.close();
    }
    return [makeRow(`store open, ${blocks} blocks`, 'ms', opens), makeRow(`store load, ${blocks} blocks`, 'ms', loads)];
  });
}

async function withDirectory<T>(body: (location: string) => Promise<T>): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'grapevine-bench-'));
  try {
    return await body(join(root, 'db'));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

export const storeBench: Bench = { name: 'store', run };
