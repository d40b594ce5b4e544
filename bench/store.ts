/**
 * Measures the store on disk: durable commits of full blocks, and load of a long chain. Prints a table.
 *
 *     node bench/store.ts [directory on the disk to measure]
 */
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

const TXS_PER_BLOCK = 500;
const FULL_BLOCKS = 200;
const LONG_CHAIN = 10_000;

const parent = process.argv[2] ?? tmpdir();
const genesis = makeGenesis();
const chainId = chainIdOf(genesis);

const commits = await measureCommits();
const loading = await measureLoad();
console.table({ ...commits, ...loading });

/** Commits blocks of transfers between few and to many accounts, one batch with fsync each. */
async function measureCommits(): Promise<Record<string, object>> {
  return withDirectory(async (location) => {
    const store = await openLevelStore({ location, dataDir: location });
    await store.initialize(genesis, genesis.accounts);
    const times: number[] = [];
    let tip = genesis;
    for (let arrival = 1; arrival <= FULL_BLOCKS; arrival += 1) {
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
    const total = times.reduce((sum, time) => sum + time, 0);
    const commit = {
      count: times.length,
      ...percentiles(times),
      perSecond: Math.round((times.length / total) * 1_000),
    };
    return { [`commit, ${TXS_PER_BLOCK} txs, fsync`]: commit };
  });
}

/** Opens and loads a chain of `LONG_CHAIN` blocks, several times over. */
async function measureLoad(): Promise<Record<string, object>> {
  return withDirectory(async (location) => {
    const place = { location, dataDir: location };
    let store = await openLevelStore(place);
    await store.initialize(genesis, genesis.accounts);
    let tip = genesis;
    for (let arrival = 1; arrival <= LONG_CHAIN; ) {
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
      if (loaded?.entries.length !== LONG_CHAIN + 1) throw new Error('the chain is not whole');
      await store.close();
    }
    return {
      [`open, ${LONG_CHAIN} blocks`]: { count: opens.length, ...percentiles(opens) },
      [`load, ${LONG_CHAIN} blocks`]: { count: loads.length, ...percentiles(loads) },
    };
  });
}

function percentiles(times: readonly number[]): object {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(10 * sorted[Math.floor((sorted.length - 1) * share)]!) / 10;
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

async function withDirectory<T>(body: (location: string) => Promise<T>): Promise<T> {
  const root = await mkdtemp(join(parent, 'grapevine-bench-'));
  try {
    return await body(join(root, 'db'));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
